"""The input example that a model was saved with, as tensors: what a replica warms up on and what the API document shows.

Read here and not by MLflow, for the same reason as the signature. What cannot be read as the signature says is as if
there were none: an example that nobody checked must not keep a model from being served.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from deployments.inference.columns import column, is_array, plain, scalar_of
from deployments.inference.mlmodel import ColumnSpec, ModelFile, Signature, TensorSpec
from deployments.inference.saved import read_saved, to_tensors
from deployments.inference.tensors import MISSING_SUFFIX, Array, Tensors

log = logging.getLogger(__name__)

_UNFIT = (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError)


def example(folder: Path, file: ModelFile) -> Tensors | None:
    """The saved example, or None where there is none that fits the signature.

    Args:
        folder: The artifact folder.
        file: Its `MLmodel`; with another signature in it, where a configuration declares one.

    Returns:
        As a request would bring it: a tensor for each input of the signature, and `NAME?missing` where an optional
        column lacks a value. Parameters are left out.
    """
    if file.signature is None or not file.input_example:
        return None
    try:
        saved = read_saved(folder, file.input_example)
        return None if saved is None else to_tensors(saved, file.signature)
    except _UNFIT as exc:
        log.warning("the input example in %s does not fit the signature: %r", folder, exc)
        return None


def made_up(signature: Signature | None, rows: int = 1) -> Tensors:
    """Tensors that fit a signature: zeros, or the text "a"; what may have any length has the length 1.

    No tensors where there is no signature, or one with what no tensor can hold.
    """
    tensors: Tensors = {}
    for spec in signature.inputs if signature is not None else ():
        if isinstance(spec, TensorSpec):
            tensors[spec.name] = _made_up_tensor(spec, rows)
        elif scalar_of(spec.type) is None:
            return {}
        else:
            tensors |= column(spec.name, spec.type, [_made_up_value(spec)] * rows)
    return tensors


def json_row(tensors: Tensors, signature: Signature, row: int = 0) -> Any:
    """One row as a request has it: the bare value of a lone tensor, else an object without what is missing.

    None where it has no form in JSON, as numbers that are not finite.
    """
    values: dict[str, Any] = {}
    for spec in signature.inputs:
        missing = tensors.get(spec.name + MISSING_SUFFIX)
        if missing is None or not missing[row]:
            array = tensors[spec.name][row : row + 1]
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return None
            values[spec.name] = plain(array)[0]
    if len(signature.inputs) == 1 and isinstance(signature.inputs[0], TensorSpec):
        return next(iter(values.values()))
    return values


def _made_up_tensor(spec: TensorSpec, rows: int) -> Array:
    dtype = np.dtype(spec.dtype)
    shape = (rows, *(1 if size == -1 else size for size in spec.shape[1:]))
    if dtype.kind in "OU":
        return np.full(shape, "a", dtype=object)
    if dtype.kind == "S":
        return np.full(shape, b"a", dtype=object)
    return np.zeros(shape, dtype)


def _made_up_value(spec: ColumnSpec) -> Any:
    kind = scalar_of(spec.type) or ""
    values = {"string": "a", "binary": b"a", "datetime": "1970-01-01", "boolean": False}
    value: Any = values.get(kind, 0)
    return [value] if is_array(spec.type) else value
