"""What a signature's columns and tensors ask of the arrays that a model is called with, without pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deployments.errors import ModelFailed
from deployments.inference.mlmodel import SCALARS
from deployments.inference.tensors import MISSING_SUFFIX, Array, Tensors

NUMERIC = {kind: np.dtype(name) for kind, name in SCALARS.items() if name != "object"}
"""The dtypes of MLflow's column types that are no Python objects."""


def found(tensors: Tensors, name: str) -> Array:
    """The tensor of this name.

    Raises:
        ModelFailed: A preprocess stage gives other tensors than the model takes.
    """
    try:
        return tensors[name]
    except KeyError as exc:
        raise ModelFailed(
            f"The model takes a tensor `{name}`, but preprocessing gave "
            f"{', '.join(f'`{n}`' for n in tensors) or 'none'}."
        ) from exc


def cast(array: Array, dtype: np.dtype[Any], name: str) -> Array:
    """The array in another dtype, if that is of the same kind or wider.

    Raises:
        ModelFailed: It is not: a float is no integer.
    """
    if array.dtype == dtype or dtype.kind in "OUS":
        return array
    try:
        return array.astype(dtype, casting="same_kind")
    except TypeError:
        raise ModelFailed(
            f"The model takes `{name}` as {dtype}, but preprocessing gave {array.dtype}."
        ) from None


def side_by_side(tensors: Tensors, names: Sequence[str]) -> Array:
    """Columns of numbers as one array [rows, columns], for models that take a table as a matrix.

    What is missing is NaN, in float64 if it was an integer: a matrix has no other mark for it.
    """
    columns = []
    for name in names:
        column = found(tensors, name)
        missing = tensors.get(name + MISSING_SUFFIX)
        if missing is not None and missing.any():
            wide = column if column.dtype.kind == "f" else column.astype(np.float64)
            column = np.where(missing, wide.dtype.type(np.nan), wide)
        columns.append(column)
    return np.stack(columns, axis=1)
