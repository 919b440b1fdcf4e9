"""Images in a request: nested lists of grey values, or PNGs in base64, which are decoded in a replica."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np

from deployments.api.decode.numbers import to_array
from deployments.api.decode.where import At
from deployments.errors import InvalidInput
from deployments.inference.inputs import PNG_SUFFIX, ImageInput
from deployments.inference.tensors import Array, Tensors

_GREY = np.dtype(np.float32)


def tensors(spec: ImageInput, rows: list[Any], at: At) -> Tensors:
    """The tensors that `ImageInput` tells of.

    Raises:
        InvalidInput: A list of another shape or with values out of range, or a string that is no PNG in base64.
    """
    encoded = [isinstance(row, str) for row in rows]
    if not any(encoded):
        return {spec.name: _grey(spec, rows, at)}
    blobs = np.empty(len(rows), dtype=object)
    for row, value in enumerate(rows):
        blobs[row] = _base64(value, at(row)) if encoded[row] else b""
    if all(encoded):
        return {spec.name + PNG_SUFFIX: blobs}
    blank = [[0.0] * spec.shape[1]] * spec.shape[0]
    lists = [blank if encoded[row] else value for row, value in enumerate(rows)]
    return {spec.name: _grey(spec, lists, at), spec.name + PNG_SUFFIX: blobs}


def _grey(spec: ImageInput, rows: list[Any], at: At) -> Array:
    array = to_array(rows, _GREY, spec.shape, at)
    # Written so that NaN fails it too, were one ever to come this far.
    if not (array.min() >= spec.low and array.max() <= spec.high):
        inside = ((array >= spec.low) & (array <= spec.high)).reshape(len(rows), -1).all(axis=1)
        row = int(np.argmin(inside))
        raise InvalidInput(
            f"grey values go from {spec.low:g} to {spec.high:g} at {at(row)}", fields=(at(row),)
        )
    return array


def _base64(value: str, where: str) -> bytes:
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if not blob.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InvalidInput(f"a string must be a PNG image in base64 at {where}", fields=(where,))
    return blob
