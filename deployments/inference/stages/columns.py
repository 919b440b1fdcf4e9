"""The `columns` preprocess stage: a table's named columns become the one tensor that a model of numbers takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deployments.errors import SpecError
from deployments.inference.columns import dtype_of
from deployments.inference.inputs import ColumnInput, Input, TensorInput
from deployments.inference.mlmodel import SCALARS
from deployments.inference.stages import BadRows
from deployments.inference.tensors import MISSING_SUFFIX, Array, Tensors, rows_of

NUMERIC = ("boolean", "integer", "long", "float", "double")


class Columns:
    """Puts columns side by side in a fixed order; text becomes one column of 0 and 1 for each of its categories.

    Params:
        order: Names of the columns.
        name: The tensor's name, the model's only input or ``input`` by default.
        dtype: The tensor's, float32 by default.
        types: MLflow's type of a column where it is not double, or string for one with categories.
        fill: What stands for a missing value, by column; these columns are optional in requests.
        categories: The values of a column that is one-hot, in the order of their positions.

    Answers `name`, `dtype` [rows, n]: n counts one for each column, or one for each of its categories.
    """

    needs_artifact = False

    def __init__(self, params: Mapping[str, Any], artifact: Path | None) -> None:
        self._columns = [
            (
                each.name,
                params.get("fill", {}).get(each.name),
                _positions(params.get("categories", {}).get(each.name)),
            )
            for each in _inputs(params)
        ]
        self._name = params.get("name", "input")
        self._dtype = np.dtype(params.get("dtype", "float32"))

    @staticmethod
    def inputs(params: Mapping[str, Any], model: tuple[Input, ...]) -> tuple[ColumnInput, ...]:
        columns = _inputs(params)
        categories = params.get("categories", {})
        width = sum(len(categories.get(each.name, (1,))) for each in columns)
        name = params.get("name", "input")
        for each in model:
            if not isinstance(each, TensorInput) or each.name != name:
                takes = ", ".join(one.name for one in model)
                raise SpecError(
                    f"the columns stage makes one tensor `{name}`, the model takes {takes}"
                )
            if each.shape[1:] not in ((width,), (-1,)):
                raise SpecError(
                    f"the columns stage makes [rows, {width}] of its columns, the model takes "
                    f"{list(each.shape)}"
                )
        return columns

    def __call__(self, tensors: Tensors) -> Tensors:
        bad: dict[int, str] = {}
        parts = []
        for name, fill, positions in self._columns:
            values = tensors[name]
            missing = tensors.get(name + MISSING_SUFFIX)
            if missing is not None:
                values = values.copy()
                values[missing] = fill
            if positions is None:
                parts.append(values.reshape(-1, 1))
            else:
                parts.append(_one_hot(name, values, positions, bad))
        if bad:
            raise BadRows(bad)
        joined = np.empty((rows_of(tensors), sum(p.shape[1] for p in parts)), dtype=self._dtype)
        np.concatenate(parts, axis=1, out=joined, casting="unsafe")
        return {self._name: joined}


def _inputs(params: Mapping[str, Any]) -> tuple[ColumnInput, ...]:
    order: Sequence[str] = params["order"]
    fill, types = params.get("fill", {}), params.get("types", {})
    categories = params.get("categories", {})
    for what, named in (("fill", fill), ("types", types), ("categories", categories)):
        if unknown := named.keys() - set(order):
            raise SpecError(
                f"{what} of the columns stage names {', '.join(sorted(unknown))}, which order does not"
            )
    return tuple(_input(name, fill, types, categories) for name in order)


def _input(
    name: str, fill: Mapping[str, Any], types: Mapping[str, str], categories: Mapping[str, Any]
) -> ColumnInput:
    among = categories.get(name)
    kind = types.get(name, "double" if among is None else "string")
    if kind not in SCALARS or (among is None and kind not in NUMERIC):
        raise SpecError(
            f"column {name} of the columns stage is of type {kind}; without categories it is one of "
            f"{', '.join(NUMERIC)}"
        )
    if among is not None and name in fill and fill[name] not in among:
        raise SpecError(f"the fill of column {name} is none of its categories")
    if among is None and name in fill and np.array(fill[name], dtype_of(kind)) != fill[name]:
        raise SpecError(f"the fill of column {name} is no {kind}")
    return ColumnInput(name, kind, required=name not in fill)


def _positions(categories: Sequence[Any] | None) -> dict[Any, int] | None:
    if categories is None:
        return None
    return {value: position for position, value in enumerate(categories)}


def _one_hot(name: str, values: Array, positions: dict[Any, int], bad: dict[int, str]) -> Array:
    """One column of 0 and 1 for each category; rows with another value are told in `bad`."""
    hot = np.zeros((len(values), len(positions)), dtype=np.float32)
    for row, value in enumerate(values.tolist()):
        position = positions.get(value)
        if position is None:
            bad[row] = f"{name} is none of its {len(positions)} categories"
        else:
            hot[row, position] = 1
    return hot
