"""What a caller is told of a body that is refused: the field's path, and never a value."""

from __future__ import annotations

import re

from deployments.errors import InvalidInput

MAX_CHARS = 200
_NAMED = re.compile(
    r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL
)
_PLAIN = re.compile(r"[^ -~]")


def invalid(message: str) -> InvalidInput:
    """What msgspec says, with the path taken out of it and into `fields`.

    A column that is missing and a key that is unknown become part of the path: msgspec stops at the object around.
    """
    # From the right: names of columns are anybody's and may hold backquotes.
    text, found, path = message.rpartition(" - at `$")
    text, field = (text, path[:-1].removeprefix(".")) if found else (message, "")
    named = _NAMED.fullmatch(text)
    if named is None:
        return refuse(field, plain(text))
    missing = named["what"] == "missing required"
    if field:
        name = named["name"] if missing else plain(named["name"])
        return refuse(
            f"{field}.{name}", "a required field is missing" if missing else "unknown field"
        )
    if named["name"] == "params" and not missing:
        return refuse("params", "this endpoint takes no params; none are to be given")
    return refuse("", plain(text))


def refuse(field: str, text: str) -> InvalidInput:
    """The error for a field, by its path; the whole body where that is empty."""
    where = field[:MAX_CHARS]
    return InvalidInput(text + (f" at {where}" if where else ""), fields=(where or "body",))


def plain(text: str) -> str:
    """Text of the caller's or of a parser's as it may stand in a message."""
    return _PLAIN.sub("?", text.replace("`", ""))[:MAX_CHARS]


def reason(exc: Exception) -> str:
    """Why a body is not JSON."""
    if isinstance(exc, UnicodeDecodeError):
        return "it is not UTF-8"
    return plain(str(exc).removeprefix("JSON is malformed: "))
