"""Reads an input example as MLflow saves it: JSON in one of a few forms, made into tensors by the signature.

The forms are those of `mlflow.models.utils._Example`, MLflow 3.17: `ndarray` is nested lists, or such by name;
`dataframe` has its columns and its data apart (`split`), or only its data (`values`); `json_object` is anything.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deployments.inference.columns import column, is_array, moments, scalar_of
from deployments.inference.mlmodel import ColumnSpec, Signature, TensorSpec
from deployments.inference.tensors import Array, Tensors, rows_of

MAX_BYTES = 16 * 1024 * 1024
"""A saved example that is larger is left alone."""


def read_saved(folder: Path, info: Mapping[str, Any]) -> Any:
    """The JSON of the example, without parameters; a table as its columns by name, or as a list of rows."""
    sparse = str(info.get("type", "")).startswith("sparse")
    # Of a sparse matrix MLflow writes the whole one for its own server.
    path = (folder / str(info["serving_input_path" if sparse else "artifact_path"])).resolve()
    if not path.is_relative_to(folder.resolve()) or path.stat().st_size > MAX_BYTES:
        return None
    saved = json.loads(path.read_text(encoding="utf-8"))
    if sparse or info.get("params"):
        saved = saved["inputs"]
    if info.get("type") == "dataframe":
        return _table(saved)
    return saved


def _table(saved: Any) -> Any:
    if not isinstance(saved, dict):
        return saved
    if "columns" not in saved:
        return saved["data"]
    columns = zip(*saved["data"], strict=True)
    return dict(zip(map(str, saved["columns"]), map(list, columns), strict=True))


def to_tensors(saved: Any, signature: Signature) -> Tensors:
    if all(isinstance(spec, TensorSpec) for spec in signature.inputs):
        values = saved if isinstance(saved, dict) else {signature.inputs[0].name: saved}
        tensors = {
            spec.name: _tensor(spec, values[spec.name])
            for spec in signature.inputs
            if isinstance(spec, TensorSpec)
        }
    else:
        tensors = {}
        for number, spec in enumerate(signature.inputs):
            if isinstance(spec, TensorSpec):
                raise TypeError("tensors and columns in one signature")
            tensors |= _column(spec, _values(saved, number, spec, len(signature.inputs)))
    if not rows_of(tensors) or len({len(array) for array in tensors.values()}) > 1:
        raise ValueError("no rows, or not the same number of them in all inputs")
    return tensors


def _values(saved: Any, number: int, spec: ColumnSpec, columns: int) -> list[Any]:
    """A column's values, however the table was saved."""
    if isinstance(saved, dict):  # columns by name; or one row, as MLflow takes a dict for
        values = saved.get(spec.name)
        return values if isinstance(values, list) and not _is_one(spec, values) else [values]
    rows = saved if isinstance(saved, list) else [saved]
    if rows and isinstance(rows[0], dict):
        return [row.get(spec.name) for row in rows]
    if rows and isinstance(rows[0], list) and not (columns == 1 and is_array(spec.type)):
        return [row[number] for row in rows]
    return rows


def _is_one(spec: ColumnSpec, values: list[Any]) -> bool:
    return is_array(spec.type) and not any(isinstance(value, list) for value in values)


def _column(spec: ColumnSpec, values: list[Any]) -> Tensors:
    kind = scalar_of(spec.type)
    if kind is None:
        raise ValueError(f"a column of type {spec.type}")
    given = [None if _is_nan(value) else value for value in values]
    if spec.required and None in given:
        raise ValueError(f"column {spec.name} lacks a value")
    if kind == "binary":
        given = [_from_base64(value) for value in given]
    if not is_array(spec.type):
        given = [None if value is None else _typed(kind, value) for value in given]
    with np.errstate(over="raise"):  # FloatingPointError is an ArithmeticError, as OverflowError is
        return column(spec.name, spec.type, given)


def _typed(kind: str, value: Any) -> Any:
    """A value that has gone through pandas and JSON, where whole numbers beside a gap become floats."""
    if kind in ("integer", "long"):
        if value != int(value):
            raise ValueError("a fraction in a column of whole numbers")
        return int(value)
    wanted = {"boolean": bool, "string": str, "datetime": str, "binary": bytes}.get(kind)
    if wanted is not None and not isinstance(value, wanted):
        raise TypeError(f"a {type(value).__name__} in a column of type {kind}")
    return value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _from_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_base64(each) for each in value]
    return value if value is None else base64.b64decode(value)


def _tensor(spec: TensorSpec, values: Any) -> Array:
    """Nested lists as a tensor; None in them is what JSON has for NaN."""
    dtype = np.dtype(spec.dtype)
    array = np.array(values, dtype=object if dtype.kind in "OSUM" else dtype)
    fits = len(array.shape) == len(spec.shape) and all(
        want in (-1, got) for want, got in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{spec.name} is of shape {array.shape}, not {spec.shape}")
    if dtype.kind == "M":
        return moments(array.reshape(-1).tolist()).reshape(array.shape)
    return array
