"""What the edge reads from request headers, each with its bounds: ids, deadlines, lengths, content types."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable

from deployments.errors import BodyTooLarge, HeaderInvalid, UnsupportedContent

Headers = dict[bytes, bytes]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")
_UNIT_MAX_BYTES = 256


def collect(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers by lower-case name; of repeated ones the last."""
    return dict(raw)


def request_id(headers: Headers) -> str:
    """The caller's `X-Request-ID` if it is a plain token of at most 128 characters, else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return str(uuid.uuid4())


def timeout_ms(headers: Headers, longest: int) -> int:
    """How long the request may take: what `X-Request-Timeout-Ms` asks for, never more than `longest`.

    Raises:
        HeaderInvalid: It is not a whole number from 1.
    """
    given = headers.get(b"x-request-timeout-ms")
    if given is None:
        return longest
    if not given.isdigit() or len(given) > 9 or int(given) < 1:  # noqa: PLR2004
        raise HeaderInvalid(
            "X-Request-Timeout-Ms must be a whole number of milliseconds from 1",
            fields=("X-Request-Timeout-Ms",),
        )
    return min(int(given), longest)


def unit(headers: Headers) -> str | None:
    """The sticky key in `X-Penstock-Unit`, if any.

    Raises:
        HeaderInvalid: It is longer than 256 bytes or not UTF-8.
    """
    given = headers.get(b"x-penstock-unit")
    if not given:
        return None
    try:
        if len(given) <= _UNIT_MAX_BYTES:
            return given.decode()
    except UnicodeDecodeError:
        pass
    raise HeaderInvalid(
        f"X-Penstock-Unit must be at most {_UNIT_MAX_BYTES} bytes of UTF-8",
        fields=("X-Penstock-Unit",),
    )


def require_json(headers: Headers) -> None:
    """Check that the body is declared to be JSON in UTF-8, unencoded.

    Raises:
        UnsupportedContent: It is declared to be something else.
    """
    content_type = headers.get(b"content-type", b"")
    if content_type != b"application/json":
        kind, _, parameters = content_type.partition(b";")
        charset = parameters.strip().lower()
        if kind.strip().lower() != b"application/json" or charset not in (
            b"",
            b"charset=utf-8",
            b'charset="utf-8"',
        ):
            raise UnsupportedContent(
                "this route reads application/json in UTF-8: set the Content-Type header to it",
                fields=("Content-Type",),
            )
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise UnsupportedContent(
            "this route reads bodies without a Content-Encoding", fields=("Content-Encoding",)
        )


def check_length(headers: Headers, limit: int) -> None:
    """Refuse a body by its declared length, before any of it is read.

    Raises:
        BodyTooLarge: It is over the limit.
        HeaderInvalid: The length is not a number.
    """
    given = headers.get(b"content-length")
    if given is None:
        return
    if not given.isdigit():
        raise HeaderInvalid("Content-Length must be a number", fields=("Content-Length",))
    if len(given) > 15 or int(given) > limit:  # noqa: PLR2004
        raise too_large(limit)


def too_large(limit: int) -> BodyTooLarge:
    """The error for a body over the limit."""
    return BodyTooLarge(f"the body may have at most {limit} bytes; send fewer rows at a time")
