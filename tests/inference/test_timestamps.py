"""Points in time: what is taken, what it means, and that it comes back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.inference import timestamps

NS_1678 = int(np.datetime64("1678-01-01", "ns").view(np.int64))
NS_2262 = int(np.datetime64("2262-01-01", "ns").view(np.int64))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-01-31", "2026-01-31T00:00:00"),
        ("2026-01-31T13:45", "2026-01-31T13:45:00"),
        ("2026-01-31 13:45:10.5", "2026-01-31T13:45:10.5"),
        ("2026-01-31T13:45:10.123456789Z", "2026-01-31T13:45:10.123456789"),
        ("2026-01-31T13:45:00+02:00", "2026-01-31T11:45:00"),
        ("2026-01-31T23:45:00-0130", "2026-02-01T01:15:00"),
    ],
)
def test_what_is_taken(text, meant) -> None:
    """Without an offset it is UTC."""
    assert timestamps.parse(text) == np.datetime64(meant, "ns")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026",
        "2026-1-1",
        "20260131",
        "2026-02-29",
        "1677-12-31",
        "2262-01-01",
        "2026-01-01T24:00",
        "2026-01-01T10:00:60",
        "2026-01-01T10:00+01:60",
        "2026-01-01Z",
        "NaT",
    ],
)
def test_what_is_not(text) -> None:
    """No year alone, no second 60, nothing that 64 bits of nanoseconds would turn into another century."""
    with pytest.raises(ValueError, match=r".+"):
        timestamps.parse(text)


@given(st.lists(st.integers(NS_1678, NS_2262 - 1), min_size=1))
def test_what_is_written_reads_back_the_same(counts) -> None:
    """To the nanosecond, with no more digits than there are."""
    moments = np.array(counts, dtype=np.int64).view("M8[ns]")

    texts = timestamps.texts(moments)

    assert [timestamps.parse(text) for text in texts] == list(moments)


def test_nothing_is_written_as_none() -> None:
    """NaT has no form in JSON but null."""
    assert timestamps.texts(np.array(["NaT", "2026-01-31"], dtype="M8[D]")) == [
        None,
        "2026-01-31T00:00:00Z",
    ]
