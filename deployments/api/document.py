"""The OpenAPI document: each endpoint by its own name, with the inputs that it really takes and an example that works."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from deployments.inference.inputs import ImageInput, Input, TensorInput, TextInput
from deployments.inference.table import EndpointRoute, Table

Json = dict[str, Any]

_PROBLEMS = {
    400: "The body is not JSON, or a header has a value that it cannot have",
    404: "No endpoint has this name",
    408: "The body did not arrive in time",
    413: "The body is over the limit",
    415: "The body is not declared to be application/json",
    422: "A field is wrong; `fields` says which",
    429: "Too many rows are waiting; come back after `Retry-After` seconds",
    500: "The model failed on a row of this request",
    503: "Nobody can answer now, or not within the deadline",
    504: "The deadline passed",
}

_PROBLEM_SCHEMA: Json = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:penstock:problem:invalid_input"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable: branch on it"},
        "detail": {"type": "string", "description": "What is wrong and what to do"},
        "request_id": {"type": "string"},
        "fields": {"type": "array", "items": {"type": "string"}, "examples": [["inputs[3]"]]},
    },
}

_HEADERS: Json = {
    "X-Request-ID": "The request's id, as given or made here",
    "X-Penstock-Variant": "The variant that answered",
    "X-Penstock-Model": "The model version that answered, name/version",
    "Server-Timing": "Where the time went, in milliseconds: queue and each stage",
}

_PARAMETERS: list[Json] = [
    {
        "name": "X-Request-ID",
        "in": "header",
        "schema": {"type": "string", "maxLength": 128},
        "description": "An id of yours for the request; one is made when it is missing",
    },
    {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "schema": {"type": "integer", "minimum": 1},
        "description": "Shortens the endpoint's deadline; it cannot lengthen it",
    },
    {
        "name": "X-Penstock-Unit",
        "in": "header",
        "schema": {"type": "string", "maxLength": 256},
        "description": "Whom the traffic split is sticky for, where the body has no `unit`",
    },
]


def openapi(app: FastAPI, table: Table) -> Json:
    """The document for the application's routes and all endpoints of the table."""
    document: Json = get_openapi(
        title=app.title,
        version=app.version,
        routes=app.routes,
        description="Predictions from registered model versions. Errors are problem documents (RFC 9457).",
    )
    document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
    for name, route in table.endpoints.items():
        document["paths"][f"/api/v1/endpoints/{name}/predict"] = {"post": _operation(name, route)}
    return document


def example_body(route: EndpointRoute) -> Json:
    """A request body that the endpoint answers."""
    examples = {spec.name: _example(spec) for spec in route.inputs}
    row = next(iter(examples.values())) if len(examples) == 1 else examples
    return {"inputs": [row]}


def _operation(name: str, route: EndpointRoute) -> Json:
    return {
        "tags": ["predict"],
        "summary": f"Predict with {name}",
        "operationId": f"predict_{name}",
        "parameters": _PARAMETERS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _body(route), "example": example_body(route)}
            },
        },
        "responses": {
            "200": {
                "description": "One prediction for each input, in order",
                "headers": {
                    header: {"description": text, "schema": {"type": "string"}}
                    for header, text in _HEADERS.items()
                },
                "content": {"application/json": {"schema": _ANSWER}},
            },
            **{
                str(status): {
                    "description": text,
                    "content": {
                        "application/problem+json": {
                            "schema": {"$ref": "#/components/schemas/Problem"}
                        }
                    },
                }
                for status, text in _PROBLEMS.items()
            },
        },
    }


_ANSWER: Json = {
    "type": "object",
    "required": ["id", "endpoint", "variant", "model", "predictions"],
    "properties": {
        "id": {"type": "string"},
        "endpoint": {"type": "string"},
        "variant": {"type": "string"},
        "model": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "version": {"type": "string"}},
        },
        "predictions": {"type": "array", "items": {"type": "object"}},
    },
}


def _body(route: EndpointRoute) -> Json:
    rows = {spec.name: _row(spec) for spec in route.inputs}
    row = (
        next(iter(rows.values()))
        if len(rows) == 1
        else {
            "type": "object",
            "properties": rows,
            "required": list(rows),
            "additionalProperties": False,
        }
    )
    return {
        "type": "object",
        "required": ["inputs"],
        "additionalProperties": False,
        "properties": {
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
        },
    }


def _row(spec: Input) -> Json:
    match spec:
        case ImageInput():
            grey = {"type": "number", "minimum": spec.low, "maximum": spec.high}
            return {
                "oneOf": [
                    _nested(grey, spec.shape),
                    {
                        "type": "string",
                        "contentEncoding": "base64",
                        "contentMediaType": "image/png",
                    },
                ]
            }
        case TextInput():
            return {"type": "string", "minLength": 1, "maxLength": spec.max_chars}
        case TensorInput():
            kinds = {"f": "number", "i": "integer", "u": "integer", "b": "boolean"}
            return _nested({"type": kinds.get(_kind(spec.dtype), "string")}, spec.shape[1:])


def _nested(item: Json, shape: tuple[int, ...]) -> Json:
    for length in reversed(shape):
        bounds = {} if length == -1 else {"minItems": length, "maxItems": length}
        item = {"type": "array", "items": item, **bounds}
    return item


def _kind(dtype: str) -> str:
    return {"float": "f", "int": "i", "uint": "u", "bool": "b"}.get(dtype.rstrip("0123456789"), "O")


def _example(spec: Input) -> Any:
    if spec.example is not None:
        return spec.example
    match spec:
        case ImageInput():
            return [[spec.low] * spec.shape[1]] * spec.shape[0]
        case TextInput():
            return "a short text"
        case TensorInput():
            value: Any = {"f": 0.5, "i": 1, "u": 1, "b": True}.get(_kind(spec.dtype), "text")
            for length in reversed(spec.shape[1:]):
                value = [value] * (1 if length == -1 else length)
            return value
