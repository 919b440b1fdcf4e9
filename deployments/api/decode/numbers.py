"""Tensors in a request: nested lists of numbers, booleans, strings, base64 or points in time."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np

from deployments.api.decode.where import At, Column
from deployments.errors import InvalidInput
from deployments.inference.columns import NotAMoment, moments
from deployments.inference.inputs import TensorInput
from deployments.inference.tensors import Array, Tensors

_INT64_MAX = 2**63 - 1


def row_type(spec: TensorInput) -> Any:
    """Lists within lists, of the dtype's numbers."""
    kind: Any = item_type(np.dtype(spec.dtype))
    for _ in spec.shape[1:]:
        kind = list[kind]
    return kind


def item_type(dtype: np.dtype[Any]) -> Any:
    """The type of one number, within the range of its dtype where that is of whole numbers."""
    if dtype.kind == "f":
        return float
    if dtype.kind == "b":
        return bool
    if dtype.kind in "iu":
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        # msgspec's bounds are 64-bit signed; too large a uint64 is left to NumPy, which raises on overflow.
        return Annotated[int, msgspec.Meta(ge=low, le=high if high <= _INT64_MAX else None)]
    return bytes if dtype.kind == "S" else str


def column(spec: TensorInput) -> Column:
    """What makes the tensor of a request's values."""
    dtype, name, shape = np.dtype(spec.dtype), spec.name, spec.shape[1:]
    if dtype.kind == "M":
        return lambda rows, at: {name: _moments(rows, shape, at)}
    if dtype.kind in "OSU":
        text = np.dtype(object)  # one str or bytes each, of whatever length
        return lambda rows, at: {name: to_array(rows, text, shape, at)}
    if dtype.kind == "f":
        return lambda rows, at: _floats(name, dtype, rows, shape, at)
    return lambda rows, at: {name: to_array(rows, dtype, shape, at)}


def _floats(
    name: str, dtype: np.dtype[Any], rows: list[Any], shape: tuple[int, ...], at: At
) -> Tensors:
    array = to_array(rows, dtype, shape, at)
    if not np.isfinite(array).all():
        bad = int(np.argmin(np.isfinite(array).reshape(len(rows), -1).all(axis=1)))
        raise InvalidInput(f"a number is out of range at {at(bad)}", fields=(at(bad),))
    return {name: array}


def _moments(rows: list[Any], shape: tuple[int, ...], at: At) -> Array:
    texts = to_array(rows, np.dtype(object), shape, at)
    try:
        return moments(texts.reshape(-1).tolist()).reshape(texts.shape)
    except NotAMoment as exc:
        raise not_a_moment(at(exc.row * len(rows) // texts.size)) from None


def not_a_moment(where: str) -> InvalidInput:
    """A string that is no point in time, at a path."""
    return InvalidInput(
        "a date and time is written like 2026-01-31T13:45:00Z, from 1678 to 2261, "
        f"but is not at {where}",
        fields=(where,),
    )


def to_array(rows: list[Any], dtype: np.dtype[Any], shape: tuple[int, ...], at: At) -> Array:
    """Rows as one array of [rows, *shape]; -1 in `shape` is any length, but one and the same for all rows.

    Raises:
        InvalidInput: A row is of another shape, or a number does not fit the dtype.
    """
    try:
        with np.errstate(over="ignore"):
            array = np.array(rows, dtype=dtype)
    except (ValueError, OverflowError, TypeError):
        array = np.empty(0)
    if array.ndim == len(shape) + 1 and all(
        want in (-1, got) for want, got in zip(shape, array.shape[1:], strict=True)
    ):
        return array
    raise _misshapen(rows, shape, at)


def _misshapen(rows: list[Any], shape: tuple[int, ...], at: At) -> InvalidInput:
    """Find the first row that is not of the shape, or not of the first row's."""
    expected = "x".join("any" if n == -1 else str(n) for n in shape)
    first = _shape(rows[0])
    for row, value in enumerate(rows):
        mine = _shape(value)
        fits = mine is not None and len(mine) == len(shape)
        if not fits or any(w not in (-1, g) for w, g in zip(shape, mine or (), strict=False)):
            return InvalidInput(f"expected {expected} values at {at(row)}", fields=(at(row),))
        if mine != first:
            return InvalidInput(
                f"all rows of a request must have one shape; another begins at {at(row)}",
                fields=(at(row),),
            )
    return InvalidInput(f"a number is out of range for its type at {at(0)}", fields=("inputs",))


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of nested lists, or None if they are ragged."""
    if not isinstance(value, list):
        return ()
    inner = {_shape(each) for each in value}
    if len(inner) > 1 or None in inner:
        return None
    return (len(value), *(inner.pop() if inner else ()))  # type: ignore[misc]
