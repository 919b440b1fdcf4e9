"""The parameters of a request: checked as its rows are, and carried beside them as one JSON text a row.

What is not given is left out and not filled in: the model knows its own defaults.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import orjson

from deployments.api.decode.columns import row_type
from deployments.api.decode.refused import refuse
from deployments.errors import InvalidInput
from deployments.inference import timestamps
from deployments.inference.inputs import ParamInput
from deployments.inference.tensors import PARAMS, Tensors


def params_type(params: tuple[ParamInput, ...]) -> Any:
    """The type that the object `params` of a body is parsed as."""
    fields: list[Any] = [
        (f"f{number}", _type(each) | msgspec.UnsetType, msgspec.UNSET)
        for number, each in enumerate(params)
    ]
    names = {f"f{number}": each.name for number, each in enumerate(params)}
    return msgspec.defstruct("Params", fields, rename=names, forbid_unknown_fields=True)


def tensor(params: tuple[ParamInput, ...], parsed: Any, rows: int) -> Tensors:
    """The tensor `PARAMS` of what was given, or nothing where nothing was.

    Raises:
        InvalidInput: A point in time that is none, or a list of another length.
    """
    given: dict[str, Any] = {}
    for number, each in enumerate(params):
        value = getattr(parsed, f"f{number}")
        if value is not msgspec.UNSET:
            given[each.name] = value
            _check(each, value)
    if not given:
        return {}
    text = orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode()
    return {PARAMS: np.full(rows, text, dtype=object)}


def _type(spec: ParamInput) -> Any:
    kind: Any = row_type(spec.type)
    for _ in spec.shape:
        kind = list[kind]
    # A model whose own default is None says by it that it takes None.
    return kind | None if spec.default is None else kind


def _check(spec: ParamInput, value: Any) -> None:
    where = f"params.{spec.name}"
    if value is not None and not _fits(spec.shape, value):
        sizes = "x".join("any" if n == -1 else str(n) for n in spec.shape)
        raise refuse(where, f"expected {sizes} values")
    if spec.type == "datetime":
        for text in _flat(value):
            _check_moment(text, where)


def _fits(shape: tuple[int, ...], value: Any) -> bool:
    if not shape:
        return True
    return shape[0] in (-1, len(value)) and all(_fits(shape[1:], each) for each in value)


def _flat(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for each in value for text in _flat(each)]
    return [] if value is None else [value]


def _check_moment(text: str, where: str) -> None:
    try:
        timestamps.parse(text)
    except ValueError:
        raise _not_a_moment(where) from None


def _not_a_moment(where: str) -> InvalidInput:
    return refuse(where, "a date and time is written like 2026-01-31T13:45:00Z, but is not")
