"""The service rate: right under a steady load, silent until it knows, and not fooled by a single stall."""

from __future__ import annotations

import pytest

from deployments.inference.rate import ENOUGH_SENT, ServiceRate


def steady(rate: ServiceRate, begin: float, seconds: float) -> float:
    """Batches of four rows every tenth of a second, while others wait: 40 rows a second."""
    now = begin
    while now < begin + seconds:
        now += 0.1
        rate.sent(now, 4, others_wait=True)
    return now


def test_a_steady_load_is_told_rightly() -> None:
    """40 rows a second are 40."""
    rate = ServiceRate()
    steady(rate, 100, 3)
    assert rate.rows_per_second == pytest.approx(40)


def test_a_few_batches_tell_nothing() -> None:
    """One slow batch at the beginning would else refuse a whole queue."""
    rate = ServiceRate()
    rate.sent(100, 4, others_wait=True)
    for n in range(1, ENOUGH_SENT):
        rate.sent(100 + 4 * n, 4, others_wait=True)
    assert rate.rows_per_second == 0.0
    rate.sent(200, 4, others_wait=True)
    assert rate.rows_per_second > 0


def test_a_stall_does_not_halve_the_rate() -> None:
    """After five steady seconds and a stall of two, the queue is still known to be fast."""
    rate = ServiceRate()
    now = steady(rate, 100, 5)
    rate.sent(now + 2, 4, others_wait=True)
    assert 20 < rate.rows_per_second < 40


def test_a_lasting_slowdown_is_noticed() -> None:
    """A model that became ten times slower is seen as such within two fading times."""
    rate = ServiceRate()
    now = steady(rate, 100, 5)
    for _ in range(10):
        now += 1
        rate.sent(now, 4, others_wait=True)
    assert rate.rows_per_second < 10


def test_idle_time_does_not_count() -> None:
    """An hour without a queue leaves the rate as it was."""
    rate = ServiceRate()
    now = steady(rate, 100, 5)
    rate.sent(now + 0.1, 4, others_wait=False)
    steady(rate, now + 3600, 1)
    assert rate.rows_per_second == pytest.approx(40, rel=0.1)


def test_an_interruption_does_not_count() -> None:
    """A minute in which the queue was emptied otherwise, or had no replica, does not make it slow."""
    rate = ServiceRate()
    now = steady(rate, 100, 5)
    rate.idle()
    rate.sent(now + 60, 4, others_wait=True)
    assert rate.rows_per_second == pytest.approx(40)
