"""The parts of the API document that are the same for every endpoint: problems, headers, the answer."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

PROBLEMS = {
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

PROBLEM_SCHEMA: Json = {
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

HEADERS: Json = {
    "X-Request-ID": "The request's id, as given or made here",
    "X-Penstock-Variant": "The variant that answered",
    "X-Penstock-Model": "The model version that answered, name/version",
    "Server-Timing": "Where the time went, in milliseconds: queue and each stage",
}

PARAMETERS: list[Json] = [
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

ANSWER: Json = {
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
