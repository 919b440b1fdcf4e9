"""The one internal form of a prediction's data: named tensors that share their first axis, the rows.

Every protocol decodes to it, every stage takes and gives it, every batch is one. It is a plain ``dict`` of
NumPy arrays, since a class of our own would be built and taken apart at every hop without adding a fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = dict[str, Array]
"""Name to array of shape [rows, ...]: numeric dtypes, or ``object`` holding one str or bytes per row."""

Layout = tuple[tuple[str, str, tuple[int, ...]], ...]
"""What two batches must share to be joined: for each tensor its name, dtype and shape of one row."""

PARAMS = "?params"
"""The name of a tensor beside the inputs: one str per row, the request's parameters as sorted JSON.

It is there only where a request of the batch gave any. Stages do not see it, the model does.
"""
MISSING_SUFFIX = "?missing"
"""What follows a column's name in the bool tensor that says which rows lack this optional column.

It is there only where one does; what stands in the column itself at such a row means nothing.
"""
JSON_SUFFIX = "?json"
"""What follows the name of an answer that no array can hold: object, one str per row, which is JSON."""


def rows_of(tensors: Tensors) -> int:
    """The number of rows, which all tensors share; 0 for no tensors."""
    for array in tensors.values():
        return len(array)
    return 0


def layout_of(tensors: Tensors) -> Layout:
    """What must be equal for two batches to be joined along their rows.

    A request's parameters are part of it: all its rows have the same, and they may change the answer's shape.
    """
    return tuple(
        (name, array.dtype.str if name != PARAMS else str(array[0]), array.shape[1:])
        for name, array in tensors.items()
    )


def join(parts: Sequence[Tensors]) -> Tensors:
    """One batch of all `parts`, in order; they must share their layout. A single part is not copied."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return {name: np.concatenate([part[name] for part in parts]) for name in first}


def take(tensors: Tensors, start: int, stop: int) -> Tensors:
    """Rows `start` to `stop` as views, without copying."""
    return {name: array[start:stop] for name, array in tensors.items()}


def pick(tensors: Tensors, rows: Sequence[int]) -> Tensors:
    """The given rows in the given order, copied."""
    index = np.asarray(rows, dtype=np.intp)
    return {name: array[index] for name, array in tensors.items()}
