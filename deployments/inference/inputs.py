"""How one row of a request must look: plain values that the edge validates by, without importing any stage.

They are worked out once, when a configuration is rendered, and travel to the edges as data: so a request is
refused before any work is queued for it, and the API document shows each endpoint's real inputs.
"""

from __future__ import annotations

import msgspec
import numpy as np


class ImageInput(msgspec.Struct, frozen=True, tag="image", tag_field="kind"):
    """Grey values as nested lists of `shape`, each from `low` to `high`, or a base64 PNG of any size.

    Becomes the tensor `name`, float32 [rows, *shape], and where any row is a PNG `name.png`, one bytes per
    row, empty for the rows that are not.
    """

    name: str
    shape: tuple[int, int]
    low: float = 0.0
    high: float = 255.0
    example: list[list[float]] | None = None


class TextInput(msgspec.Struct, frozen=True, tag="text", tag_field="kind"):
    """A string of 1 to `max_chars` characters; becomes an object tensor of str."""

    name: str
    max_chars: int = 20_000
    example: str | None = None


class TensorInput(msgspec.Struct, frozen=True, tag="tensor", tag_field="kind"):
    """Nested lists of numbers of `shape`, in which -1 is any length; becomes a tensor of `dtype`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    example: object = None

    def __post_init__(self) -> None:
        np.dtype(self.dtype)  # raises TypeError for what is none
        if not self.shape:
            raise ValueError("shape is empty; its first axis is the rows")


Input = ImageInput | TextInput | TensorInput

PNG_SUFFIX = ".png"
"""What the tensor of encoded images is called, after the image input's name."""
