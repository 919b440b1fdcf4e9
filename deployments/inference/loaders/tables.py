"""From tensors to what a model of tables takes: a data frame as its signature says, or plain arrays.

The types are those that MLflow's own check of a model's input accepts (`mlflow.models.utils._enforce_schema`),
so that a model sees the same here as behind MLflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from deployments.inference.loaders.columns import NUMERIC, cast, found
from deployments.inference.mlmodel import ColumnSpec, Signature, TensorSpec
from deployments.inference.tensors import MISSING_SUFFIX, PARAMS, Array, Tensors, rows_of

# An integer that is missing needs a type with a mark for it; pandas' own loses no digit, as a float would.
_NULLABLE = {"integer": "Int32", "long": "Int64"}


def model_input(tensors: Tensors, signature: Signature | None) -> Any:
    """What a model that is no tensor program takes.

    Returns:
        A `pandas.DataFrame` of exactly the signature's columns in its order, if it has columns. If it has
        tensors, or there is no signature: the array, if it is one, else a dict of them; and without a
        signature a data frame for several arrays of one number per row.

    Raises:
        ModelFailed: A tensor is missing, or would lose something in being turned into the type that is asked.
    """
    specs = () if signature is None else signature.inputs
    columns = [spec for spec in specs if isinstance(spec, ColumnSpec)]
    if columns:
        return frame(tensors, columns)
    arrays = {
        spec.name: cast(found(tensors, spec.name), np.dtype(spec.dtype), spec.name)
        for spec in specs
        if isinstance(spec, TensorSpec)
    } or {k: v for k, v in tensors.items() if k != PARAMS and not k.endswith(MISSING_SUFFIX)}
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if not specs and all(array.ndim == 1 for array in arrays.values()):
        return pd.DataFrame(arrays)
    return arrays


def frame(tensors: Tensors, columns: Sequence[ColumnSpec]) -> pd.DataFrame:
    """A data frame of `columns`, one row per row.

    A value that its row lacks is NaN in a column of floats, NaT in one of times, None in one of bytes or
    truth values, `pandas.NA` in one of integers, which is nullable only then; and in one of strings it is
    what pandas itself makes of None, which in pandas 3 is NaN.
    """
    rows = rows_of(tensors)
    made = {}
    for spec in columns:
        if spec.name not in tensors and not spec.required:
            made[spec.name] = _absent(spec, rows)
            continue
        missing = tensors.get(spec.name + MISSING_SUFFIX)
        made[spec.name] = _column(found(tensors, spec.name), spec, missing)
    return pd.DataFrame(made, index=pd.RangeIndex(rows))


def _column(array: Array, spec: ColumnSpec, missing: Array | None) -> Any:
    """One column; `missing` is bool [rows], or None if no row lacks its value."""
    lacking = missing is not None and bool(missing.any())
    dtype = NUMERIC.get(spec.type)
    if dtype is None:
        values: list[Any] = array.tolist()  # of lists, for a column of arrays
        if missing is not None:
            values = [None if gone else v for v, gone in zip(values, missing, strict=True)]
        # Strings get the type that pandas gives them by itself, as they had in training.
        return pd.Series(values, dtype=None if spec.type == "string" and values else object)
    plain = cast(array, dtype, spec.name)
    if not lacking:
        return plain
    if spec.type in _NULLABLE:
        return pd.Series(plain).astype(_NULLABLE[spec.type]).mask(missing)
    if dtype.kind == "b":
        plain = plain.astype(object)
        plain[missing] = None
        return plain
    plain = plain.copy()
    plain[missing] = np.datetime64("NaT") if dtype.kind == "M" else np.nan
    return plain


def _absent(spec: ColumnSpec, rows: int) -> Any:
    dtype = NUMERIC.get(spec.type, np.dtype(object))
    return _column(np.zeros(rows, dtype), spec, np.ones(rows, dtype=bool))
