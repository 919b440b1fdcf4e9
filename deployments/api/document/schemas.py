"""JSON schemas of what an endpoint takes: they say as much as the decoder checks, and name dtype and shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deployments.api.document.fixed import Json
from deployments.inference.columns import dtype_of, is_array, scalar_of
from deployments.inference.inputs import (
    ColumnInput,
    ImageInput,
    Input,
    ParamInput,
    TensorInput,
    TextInput,
    by_name,
)
from deployments.inference.table import EndpointRoute


def body_schema(route: EndpointRoute) -> Json:
    """What the decoder of this endpoint takes."""
    row = _object(route.inputs) if by_name(route.inputs) else _row(route.inputs[0])
    properties: Json = {
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": route.max_request_rows,
            "items": row,
        },
        "unit": {
            "type": "string",
            "minLength": 1,
            "maxLength": 256,
            "description": "Whom the traffic split is sticky for: a user, a session, a device",
        },
    }
    if route.params:
        properties["params"] = {
            "type": "object",
            "description": "For all rows of the request; what is not given has the model's default",
            "properties": {each.name: _param(each) for each in route.params},
            "additionalProperties": False,
        }
    return {
        "type": "object",
        "required": ["inputs"],
        "additionalProperties": False,
        "properties": properties,
    }


def _object(inputs: tuple[Input, ...]) -> Json:
    return {
        "type": "object",
        "properties": {spec.name: _row(spec) for spec in inputs},
        "required": [spec.name for spec in inputs if getattr(spec, "required", True)],
        "additionalProperties": False,
    }


def _row(spec: Input) -> Json:
    match spec:
        case ImageInput():
            return _image(spec)
        case TextInput():
            return {"type": "string", "minLength": 1, "maxLength": spec.max_chars}
        case TensorInput():
            sizes = ", ".join("any" if n == -1 else str(n) for n in spec.shape[1:])
            schema = _nested(_item(np.dtype(spec.dtype)), spec.shape[1:])
            return {**schema, "description": f"{spec.dtype} [{sizes}]" if sizes else spec.dtype}
        case ColumnInput():
            return _column(spec)


def _image(spec: ImageInput) -> Json:
    grey = {"type": "number", "minimum": spec.low, "maximum": spec.high}
    png = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
    return {"oneOf": [_nested(grey, spec.shape), png]}


def _column(spec: ColumnInput) -> Json:
    schema = _nested(_scalar(spec.type), (-1,)) if is_array(spec.type) else _scalar(spec.type)
    if spec.required:
        return {**schema, "description": spec.type}
    return _or_null({**schema, "description": f"{spec.type}; may be null or left out"})


def _param(spec: ParamInput) -> Json:
    schema = {**_nested(_scalar(spec.type), spec.shape), "description": spec.type}
    if spec.default is None:
        return _or_null(schema)
    # NaN is a default that MLflow can write and JSON cannot.
    finite = not isinstance(spec.default, float) or math.isfinite(spec.default)
    return {**schema, "default": spec.default} if finite else schema


def _or_null(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _scalar(kind: str) -> Json:
    if scalar_of(kind) == "binary":
        return {"type": "string", "contentEncoding": "base64"}
    return _item(dtype_of(kind))


def _item(dtype: np.dtype[Any]) -> Json:
    match dtype.kind:
        case "f":
            return {"type": "number"}
        case "i" | "u":
            info = np.iinfo(dtype)
            return {"type": "integer", "minimum": int(info.min), "maximum": int(info.max)}
        case "b":
            return {"type": "boolean"}
        case "S":
            return {"type": "string", "contentEncoding": "base64"}
        case "M":
            return {"type": "string", "format": "date-time"}
    return {"type": "string"}


def _nested(item: Json, shape: tuple[int, ...]) -> Json:
    for length in reversed(shape):
        bounds = {} if length == -1 else {"minItems": length, "maxItems": length}
        item = {"type": "array", "items": item, **bounds}
    return item
