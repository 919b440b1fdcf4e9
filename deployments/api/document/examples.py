"""A request that an endpoint answers: with the model's own example where it has one, else with made-up values."""

from __future__ import annotations

from typing import Any

import numpy as np

from deployments.api.document.fixed import Json
from deployments.inference.columns import is_array, scalar_of
from deployments.inference.inputs import (
    ColumnInput,
    ImageInput,
    Input,
    TensorInput,
    TextInput,
    by_name,
)
from deployments.inference.table import EndpointRoute

MOMENT = "2026-01-31T13:45:00Z"
BASE64 = "YSBmZXcgYnl0ZXM="
_SCALARS = {"boolean": True, "integer": 1, "long": 1, "float": 0.5, "double": 0.5}
_STRINGS = {"string": "a short text", "binary": BASE64, "datetime": MOMENT}
_KINDS = {"b": True, "i": 1, "u": 1, "f": 0.5, "S": BASE64, "M": MOMENT}


def example_body(route: EndpointRoute) -> Json:
    """A request body that the endpoint answers, of one row."""
    known = any(spec.example is not None for spec in route.inputs)
    row: Any = {
        spec.name: _example(spec)
        for spec in route.inputs
        # What the model's own example lacks is lacking here too.
        if spec.example is not None or not known or getattr(spec, "required", True)
    }
    return {"inputs": [row if by_name(route.inputs) else next(iter(row.values()))]}


def _example(spec: Input) -> Any:
    if spec.example is not None:
        return spec.example
    match spec:
        case ImageInput():
            return [[spec.low] * spec.shape[1]] * spec.shape[0]
        case TextInput():
            return "a short text"
        case TensorInput():
            value: Any = _KINDS.get(np.dtype(spec.dtype).kind, "a short text")
            for length in reversed(spec.shape[1:]):
                value = [value] * (1 if length == -1 else length)
            return value
        case ColumnInput():
            value = (_SCALARS | _STRINGS)[scalar_of(spec.type) or ""]
            return [value] if is_array(spec.type) else value
