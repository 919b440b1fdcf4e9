"""From a column's values to its tensor, and back to JSON, by MLflow's names of types.

Edges use it for requests and replicas for the example that a model was saved with, so that a warm-up sees exactly
what a request would bring.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from deployments.inference import timestamps
from deployments.inference.mlmodel import SCALARS
from deployments.inference.tensors import MISSING_SUFFIX, Array, Tensors

_ARRAY = "array("
_DTYPES: dict[str, np.dtype[Any]] = {kind: np.dtype(name) for kind, name in SCALARS.items()}
_BLANK: dict[str, Any] = {"string": "", "binary": b"", "datetime": "1970-01-01", "boolean": False}
"""What stands where a value is missing, before it becomes part of a tensor; 0 for the other types."""


class NotAMoment(ValueError):
    """A value of a datetime column is none; `row` says which."""

    def __init__(self, row: int) -> None:
        super().__init__(
            f"row {row} is no date and time as in 2026-01-31T13:45:00Z, from 1678 to 2261"
        )
        self.row = row


def scalar_of(kind: str) -> str | None:
    """The scalar type of a column: itself, or of its items where it is `array(...)` of them; None if neither."""
    item = kind[len(_ARRAY) : -1] if is_array(kind) else kind
    return item if item in SCALARS else None


def is_array(kind: str) -> bool:
    """Whether a value of such a column is a list."""
    return kind.startswith(_ARRAY) and kind.endswith(")")


def dtype_of(kind: str) -> np.dtype[Any]:
    """The dtype of the column's tensor; object for str and bytes."""
    return _DTYPES[scalar_of(kind) or ""]


def column(name: str, kind: str, values: list[Any]) -> Tensors:
    """One value a row as tensors: `name`, and `name?missing` where any value is None.

    Args:
        name: The column's.
        kind: Its type, of `mlmodel.SCALARS` or `array(...)` of one.
        values: bool, int, float, str, bytes, or lists of them; datetimes as ISO 8601 strings.

    Returns:
        [rows], or [rows, n] for a column of arrays, which must all be of one length.

    Raises:
        NotAMoment: A string of a datetime column is none.
        ValueError: Arrays of different lengths.
        OverflowError: An integer does not fit.
    """
    if None not in values:
        return {name: _filled(kind, values)}
    missing = [value is None for value in values]
    blank = _blank(kind, values)
    filled = [blank if gone else value for gone, value in zip(missing, values, strict=True)]
    return {name: _filled(kind, filled), name + MISSING_SUFFIX: np.array(missing)}


def _blank(kind: str, values: list[Any]) -> Any:
    item = _BLANK.get(scalar_of(kind) or "", 0)
    if not is_array(kind):
        return item
    # As long as the others, so that they make one tensor.
    return [item] * next((len(value) for value in values if value is not None), 0)


def _filled(kind: str, values: list[Any]) -> Array:
    if kind in SCALARS:
        return _scalars(kind, values)
    lengths = {len(value) for value in values}
    if len(lengths) > 1:
        raise ValueError("arrays of different lengths")
    length = lengths.pop()
    flat = [item for value in values for item in value]
    try:
        return _scalars(scalar_of(kind) or "", flat).reshape(len(values), length)
    except NotAMoment as exc:
        raise NotAMoment(exc.row // length) from None


def _scalars(kind: str, values: Sequence[Any]) -> Array:
    dtype = _DTYPES[kind]
    if dtype.kind == "O":
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    if dtype.kind == "M":
        return moments(values)
    return np.array(values, dtype=dtype)


def moments(values: Sequence[str]) -> Array:
    """ISO 8601 strings as datetime64[ns], in UTC.

    Raises:
        NotAMoment: One is none.
    """
    array = np.empty(len(values), dtype="M8[ns]")
    for row, text in enumerate(values):
        try:
            array[row] = timestamps.parse(text)
        except ValueError:
            raise NotAMoment(row) from None
    return array


def plain(array: Array) -> list[Any]:
    """An array as JSON has it, row by row: datetimes in ISO 8601, bytes in base64, the rest as Python's own.

    Of a float32 it gives the shortest decimal number that reads back the same.
    """
    if array.dtype.kind == "M":
        flat: list[Any] = list(timestamps.texts(array.reshape(-1)))
    elif array.dtype.kind in "OSU":
        flat = [_plain_object(value) for value in array.reshape(-1).tolist()]
    elif array.dtype.kind == "f":
        flat = [float(str(value)) for value in array.reshape(-1)]
    else:
        values: list[Any] = array.tolist()
        return values
    shaped = np.empty(len(flat), dtype=object)
    shaped[:] = flat
    return shaped.reshape(array.shape).tolist()


def _plain_object(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
