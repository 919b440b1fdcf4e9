"""Columns of a table in a request: each a value a row, by MLflow's types, with those missing that may be."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np

from deployments.api.decode.numbers import not_a_moment
from deployments.api.decode.where import At
from deployments.errors import InvalidInput
from deployments.inference.columns import NotAMoment, column, is_array, scalar_of
from deployments.inference.inputs import ColumnInput
from deployments.inference.tensors import Tensors


def _within(kind: type[int | float], dtype: type[np.generic]) -> Any:
    """Bounds, so that the parser itself says at which row a number does not fit."""
    info: Any = np.iinfo(dtype) if kind is int else np.finfo(dtype)
    return Annotated[kind, msgspec.Meta(ge=kind(info.min), le=kind(info.max))]


_TYPES: dict[str, Any] = {
    "boolean": bool,
    "integer": _within(int, np.int32),
    "long": _within(int, np.int64),
    "float": _within(float, np.float32),
    "double": float,
    "string": str,
    "binary": bytes,  # msgspec takes it from base64
    "datetime": str,
}


def row_type(kind: str) -> Any:
    """The type of one value of MLflow's type `kind`, or a list of them for `array(...)`."""
    item: Any = _TYPES[scalar_of(kind) or ""]
    return list[item] if is_array(kind) else item


def tensors(spec: ColumnInput, values: list[Any], at: At) -> Tensors:
    """One column's tensors; None is a value that is missing.

    Raises:
        InvalidInput: A point in time that is none, or lists of different lengths.
    """
    try:
        return column(spec.name, spec.type, values)
    except NotAMoment as exc:
        raise not_a_moment(at(exc.row)) from None
    except ValueError:
        lengths = [len(value) if value is not None else None for value in values]
        first = next(length for length in lengths if length is not None)
        other = next(row for row, n in enumerate(lengths) if n is not None and n != first)
        raise InvalidInput(
            f"all lists of a request's column must have one length; another begins at {at(other)}",
            fields=(at(other),),
        ) from None
