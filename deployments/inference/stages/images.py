"""The `images` preprocess stage: grey images of any size become the small float tensor that a model takes.

PNGs are decoded here, in a replica, and not at the edge: decoding is the costliest thing done to a request
before the model, and a hostile file must not be able to hold up an edge's event loop.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from deployments.inference.inputs import PNG_SUFFIX, ImageInput, Input
from deployments.inference.stages import BadRows
from deployments.inference.tensors import Array, Tensors, rows_of

MAX_PIXELS = 4096 * 4096
"""A PNG says its size before it is unpacked; one with more pixels is refused unread."""


class Images:
    """Scales grey values to 0..1 and decodes PNGs to the same.

    Params:
        name: The tensor's name, ``image`` by default; it goes on under this name, float32 [rows, height, width].
        size: Height and width, for example [8, 8].
        high: The grey value that is white in a request's lists, 255 by default; PNGs know their own range.
    """

    needs_artifact = False

    def __init__(self, params: Mapping[str, Any], artifact: Path | None) -> None:
        spec = self.inputs(params, ())[0]
        self._name, self._shape, self._scale = spec.name, spec.shape, np.float32(1 / spec.high)

    @staticmethod
    def inputs(params: Mapping[str, Any], model: tuple[Input, ...]) -> tuple[ImageInput, ...]:
        height, width = params["size"]
        name = params.get("name", "image")
        return (ImageInput(name, (height, width), 0.0, float(params.get("high", 255))),)

    def __call__(self, tensors: Tensors) -> Tensors:
        encoded = tensors.get(self._name + PNG_SUFFIX)
        lists = tensors.get(self._name)
        if encoded is None:
            if lists is None:
                raise BadRows(dict.fromkeys(range(rows_of(tensors)), f"no tensor {self._name!r}"))
            return {self._name: lists.astype(np.float32, copy=False) * self._scale}
        images = np.zeros((len(encoded), *self._shape), dtype=np.float32)
        if lists is not None:
            images = lists * self._scale
        bad: dict[int, str] = {}
        for row, blob in enumerate(encoded.tolist()):
            if blob or lists is None:
                try:
                    images[row] = self._decode(blob)
                except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as exc:
                    bad[row] = (
                        exc.args[0] if isinstance(exc, _Refused) else "not a readable PNG image"
                    )
        if bad:
            raise BadRows(bad)
        return {self._name: images}

    def _decode(self, blob: bytes) -> Array:
        """A PNG as float32 [height, width], 0 black to 1 white."""
        with Image.open(io.BytesIO(blob), formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _Refused(f"a PNG may have at most {MAX_PIXELS} pixels")
            if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion to 8 would clip it
                grey = Image.fromarray((np.asarray(image) / 257).astype(np.uint8))
            else:
                grey = image.convert("L")
            height, width = self._shape
            # BOX averages all pixels that fall into one: enlarged test images come back exactly.
            small = grey.resize((width, height), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float32) / np.float32(255)


class _Refused(ValueError):
    """A refusal whose text is ours and may be shown."""
