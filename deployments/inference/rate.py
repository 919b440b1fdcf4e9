"""How fast a queue is being served, which tells a new request how long it would wait.

Sums that fade, not a mean of single rates: after a stall of the machine one interval is long, and a mean would
take the queue for slow long after it is over. Requests that could have been answered would then be refused.
"""

from __future__ import annotations

import math

FADE_S = 5.0
"""What is longer ago than this counts little."""
ENOUGH_SENT = 8
"""Before so many batches were sent while others waited, there is no telling."""


class ServiceRate:
    """Rows per second, measured only while rows wait: an idle queue's rate says nothing."""

    def __init__(self) -> None:
        self._rows = self._seconds = 0.0
        self._sent = 0
        self._last = 0.0

    @property
    def rows_per_second(self) -> float:
        """The recent rate; 0 while there is no telling."""
        if self._sent < ENOUGH_SENT or not self._seconds:
            return 0.0
        return self._rows / self._seconds

    def idle(self) -> None:
        """Nothing waits, or nobody is there to serve it: the time until the next batch does not count."""
        self._last = 0.0

    def sent(self, now: float, rows: int, *, others_wait: bool) -> None:
        """A batch of `rows` was sent at `now`, in seconds of any steady clock."""
        if self._last:
            elapsed = now - self._last
            kept = math.exp(-elapsed / FADE_S)
            self._rows = kept * self._rows + rows
            self._seconds = kept * self._seconds + elapsed
            self._sent += 1
        self._last = now if others_wait else 0.0
