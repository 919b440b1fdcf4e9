"""What retries are paid from, so that a fault never multiplies the load that may have caused it.

Every answered batch earns a tenth of a retry, as in the retry budgets of Finagle and Envoy; a store of some
lets a quiet service retry too. When it is empty a lost call is an error at once.
"""

from __future__ import annotations


class RetryBudget:
    """A token bucket filled by successes.

    Args:
        ratio: Retries earned by each success.
        burst: The most that can be saved up, and what there is at the start.
    """

    def __init__(self, *, ratio: float = 0.1, burst: float = 20.0) -> None:
        self._ratio = ratio
        self._burst = burst
        self._tokens = burst

    def deposit(self) -> None:
        """A call succeeded."""
        self._tokens = min(self._burst, self._tokens + self._ratio)

    def withdraw(self) -> bool:
        """Pay for one retry; False if there is nothing left to pay with."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
