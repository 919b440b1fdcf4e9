"""Errors as `application/problem+json` (RFC 9457): one shape for all of them, with a stable `code`.

Nothing of the request is ever echoed but the names of its fields: not its values, and nothing of ours that
only a log should hold.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson

from deployments.errors import PenstockError

CONTENT_TYPE = b"application/problem+json"


def problem(error: PenstockError, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of an error's answer."""
    document: dict[str, Any] = {
        "type": f"urn:penstock:problem:{error.code}",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "code": error.code,
        "detail": error.message,
        "request_id": request_id,
    }
    if error.fields:
        document["fields"] = list(error.fields)
    body = orjson.dumps(document)
    headers = [
        (b"content-type", CONTENT_TYPE),
        (b"content-length", str(len(body)).encode()),
    ]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    return error.status, headers, body
