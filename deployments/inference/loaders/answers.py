"""From whatever a model answers to named tensors: arrays, tables, series, lists, mappings, nested or not.

What no tensor can hold, a list of other length in each row, a mapping, None among strings, becomes one JSON
text per row under the name with `JSON_SUFFIX`, and is nested again in the answer that a client gets. So a row's
answer does not depend on which rows it was batched with, though the batch's tensors do.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from deployments.inference.loaders.columns import NUMERIC
from deployments.inference.mlmodel import SCALARS, ColumnSpec, Signature, Spec, TensorSpec
from deployments.inference.tensors import JSON_SUFFIX, Array, Tensors

OUTPUT = "output"
"""What a lone result is called that neither names itself nor is named by a signature."""


def tensors_of(answer: Any, signature: Signature | None) -> Tensors:
    """A model's answer as named tensors.

    Args:
        answer: An array (NumPy, torch, SciPy sparse), a pandas data frame or series, a mapping of arrays, a
            tuple of arrays, a list with one value or one mapping per row, or a single value for a single row.
        signature: Whose outputs name the results, in order; without one they keep the names they have, else
            are `output`, or `output_0` and so on.

    Returns:
        Numbers as they came, or in the type that the signature declares where that loses nothing. Everything
        else is object, one str or bytes per row; with `JSON_SUFFIX` after the name where that is JSON.
    """
    outputs = () if signature is None else signature.outputs
    specs = {spec.name: spec for spec in outputs}
    tensors: Tensors = {}
    for name, values in _named(answer, outputs):
        array = _tensor(values, specs.get(name))
        if array.dtype == object and not all(isinstance(value, str | bytes) for value in array):
            tensors[name + JSON_SUFFIX] = _objects([_json(value) for value in array])
        else:
            tensors[name] = array
    return tensors


def _named(answer: Any, outputs: Sequence[Spec]) -> list[tuple[str, Any]]:
    """Each result with its name: its own if the signature has all of those names, else by order."""
    pairs = _parts(answer)
    own = [name for name, _ in pairs]
    names = [spec.name for spec in outputs]
    if len(pairs) == 1 and len(names) > 1:
        values = _array(pairs[0][1])
        if values is not None and values.shape[1:] == (len(names),):
            # A table's columns in one array, such as an estimator's probabilities.
            return [(name, values[:, i]) for i, name in enumerate(names)]
    if len(names) == len(pairs) and set(names) != set(own):
        own = list(names)
    unnamed = [OUTPUT] if len(pairs) == 1 else [f"{OUTPUT}_{i}" for i in range(len(pairs))]
    return [
        (unnamed[i] if name is None else name, values)
        for i, (name, (_, values)) in enumerate(zip(own, pairs, strict=True))
    ]


def _parts(answer: Any) -> list[tuple[str | None, Any]]:
    """The results that an answer consists of, each with the name that it brings, if any."""
    if hasattr(answer, "columns") and hasattr(answer, "iloc"):
        # By position, since two columns may share a name; numbers are no names.
        return [
            (label if isinstance(label, str) else None, answer.iloc[:, i])
            for i, label in enumerate(answer.columns)
        ]
    if hasattr(answer, "iloc"):
        return [(answer.name if isinstance(answer.name, str) else None, answer)]
    if isinstance(answer, Mapping):
        # One mapping of values that are no arrays is a single row's answer.
        return [(str(name), values) for name, values in answer.items()]
    if isinstance(answer, tuple) and answer and all(_array(part) is not None for part in answer):
        return [(None, part) for part in answer]
    if rows := _alike(answer):
        return [(str(key), [row[key] for row in rows]) for key in rows[0]]
    return [(None, answer)]


def _alike(answer: Any) -> list[Mapping[Any, Any]]:
    """The rows of a list of mappings with the same keys; else none."""
    if not isinstance(answer, list) or not all(isinstance(row, Mapping) for row in answer):
        return []
    same = all(row.keys() == answer[0].keys() for row in answer)
    return answer if same and answer and answer[0] else []


def _array(values: Any) -> Array | None:
    """The array that something is, in any library's form; None if it is not one."""
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "detach"):  # torch
        values = values.detach().cpu()
        # NumPy has no bfloat16.
        return np.asarray(values.float() if "bfloat16" in str(values.dtype) else values)
    if hasattr(values, "toarray"):  # SciPy, sparse
        return np.asarray(values.toarray())
    if hasattr(values, "to_numpy") and hasattr(values, "shape"):
        return _from_pandas(values)
    return None


def _from_pandas(values: Any) -> Array:
    """What a series or table holds; pandas' own types have zones, and marks of their own for what is missing."""
    dtype = getattr(values, "dtype", np.dtype(object))
    if getattr(dtype, "tz", None) is not None:
        values = values.dt.tz_convert(None)  # to UTC, as tensors have no zones
    elif not isinstance(dtype, np.dtype) and values.isna().any():
        return np.asarray(values.to_numpy(object, na_value=None))
    return np.asarray(values.to_numpy())


def _tensor(values: Any, spec: Spec | None) -> Array:
    array = _array(values)
    if isinstance(spec, ColumnSpec) and spec.type not in SCALARS:
        return _objects(values if array is None else list(array))
    if array is None:
        array = _from_list(values)
    if array.ndim == 0:
        array = array.reshape(1)
    if array.dtype.kind in "OUS":
        array = _from_objects(array, spec)
    elif array.dtype.kind == "M":
        array = array.astype("datetime64[ns]")
    return _declared(array, spec)


def _from_list(values: Any) -> Array:
    """An array of a list's values: of numbers where it is rectangular and holds only numbers, else of objects."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        return _objects([values])
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):  # ragged, or an integer of more than 64 bits
        return _objects(list(values))
    # NumPy makes strings of numbers that stand beside strings, and that would lose which was which.
    return array if array.dtype.kind in "biufc" else _objects(list(values))


def _from_objects(array: Array, spec: Spec | None) -> Array:
    """Numbers if all are, with NaN for None among them; else the objects themselves."""
    if math.prod(array.shape[1:]) == 1:
        array = array.reshape(-1)  # a column of strings, as ONNX graphs answer them
    values = array.tolist()
    declared = _dtype(spec)
    if declared is not None and declared.kind == "M":
        return np.array(values, dtype=declared)
    if declared is not None or any(isinstance(value, int | float) for value in values):
        found = _from_list([np.nan if value is None else value for value in values])
        if found.dtype.kind in "biuf":
            return found
    return _objects(values)


def _json(value: Any) -> str:
    """JSON of nested Python and NumPy values; what has no such form by its own `str`."""
    try:
        options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
        return orjson.dumps(value, default=_plain, option=options).decode()
    except TypeError:  # an integer of more than 64 bits, which Python's own writes out
        return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "model_dump"):  # pydantic, which MLflow's type hints are made of
        return value.model_dump()
    if hasattr(value, "isoformat"):  # pandas' moments, which are no numbers to anybody else
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return list(value)
    array = _array(value)
    return str(value) if array is None else array.tolist()


def _objects(values: Sequence[Any]) -> Array:
    """An array of the values themselves, whatever they are; NumPy would look into lists."""
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array


def _declared(array: Array, spec: Spec | None) -> Array:
    """In the type that the signature declares, if every value of this type has its place in it."""
    dtype = _dtype(spec)
    if dtype is None or array.dtype == dtype or not np.can_cast(array.dtype, dtype, "safe"):
        return array
    return array.astype(dtype)


def _dtype(spec: Spec | None) -> np.dtype[Any] | None:
    if isinstance(spec, TensorSpec):
        dtype = np.dtype(spec.dtype)
        return None if dtype.kind in "OUS" else dtype
    return None if spec is None else NUMERIC.get(spec.type)
