"""Points in time as JSON has them: ISO 8601 strings to and from `datetime64[ns]`, which is UTC without saying so.

Not by NumPy's own parser alone: it takes offsets with a warning, and years that nanoseconds cannot count come out as
another century without one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from deployments.inference.tensors import Array

# Date; or date, time of day to at most nanoseconds, and an offset or none. [0-9] since \d takes other scripts' digits.
_ISO = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_FIRST, _LAST = "1678-01-01", "2262-01-01"
"""Whole years that 64 bits of nanoseconds around 1970 can count."""
_MAX_OFFSET_HOURS, _MAX_MINUTES = 24, 60
_UNITS: tuple[tuple[Literal["s", "ms", "us", "ns"], int], ...] = (
    ("s", 10**9),
    ("ms", 10**6),
    ("us", 10**3),
    ("ns", 1),
)


def parse(text: str) -> np.datetime64:
    """A point in time; without an offset it is UTC.

    Raises:
        ValueError: It is not ISO 8601, no such day or time, or outside of 1678 to 2261.
    """
    found = _ISO.fullmatch(text)
    if found is None or not _FIRST <= found["date"] < _LAST:
        raise ValueError("not a date and time as in 2026-01-31T13:45:00Z, from 1678 to 2261")
    time = found["time"]
    moment = np.datetime64(f"{found['date']}T{time}" if time else found["date"], "ns")
    return moment - _offset(found["offset"])


def _offset(text: str | None) -> np.timedelta64:
    if text is None or text in "Zz":
        return np.timedelta64(0, "ns")
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours >= _MAX_OFFSET_HOURS or minutes >= _MAX_MINUTES:
        raise ValueError("no such offset from UTC")
    east = 1 if text[0] == "+" else -1
    return np.timedelta64(east * (60 * hours + minutes) * 60 * 10**9, "ns")


def texts(moments: Array) -> list[str | None]:
    """Each point in time of a flat `datetime64` array as a string with Z; None for NaT.

    With as many digits of the second as the finest of them needs.
    """
    missing = np.isnat(moments)
    counts = np.where(missing, np.datetime64(0, "ns"), moments.astype("M8[ns]")).view(np.int64)
    unit = next(unit for unit, size in _UNITS if not (counts % size).any())
    rounded: np.ndarray[Any, np.dtype[np.datetime64]] = counts.view("M8[ns]")
    written: Sequence[str] = np.datetime_as_string(rounded, unit=unit).tolist()
    return [None if gone else f"{text}Z" for gone, text in zip(missing, written, strict=True)]
