"""Whether a replica is still fit to serve, and the one remedy when it is not: to be replaced.

Serve asks every few seconds, and by itself only notices a process that is gone. What it cannot see is looked for
here: a stage that never returns, and a model that no longer answers its own example as it did when it was warmed
up (after a fault of the device that raised nothing, or in an object that went wrong for good).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from deployments.inference.faults import DeviceBroken, OutOfMemory, fault_of
from deployments.inference.replica import Replica

log = logging.getLogger(__name__)

IDLE_CHECK_EVERY_S = 30.0
SUSPICIOUS_AFTER_BATCHES = 3
"""So many batches in a row without one row answered may be bad input; the model's own example tells."""


class SelfCheck(Protocol):
    """Runs the model on its example; raises what is wrong with the answer."""

    def __call__(self) -> None: ...


class Fitness:
    """Judges one replica whenever it is asked to.

    Args:
        replica: The replica.
        self_check: Blocking; None where there is nothing to check, as without a model.
        stuck_after_s: How long a batch may run.
        on_broken: What is done about a replica that is unfit; it does not come back.
    """

    def __init__(
        self,
        replica: Replica,
        self_check: SelfCheck | None,
        *,
        stuck_after_s: float,
        on_broken: Callable[[str], None],
    ) -> None:
        self._replica = replica
        self._self_check = self_check
        self._stuck_after_s = stuck_after_s
        self._on_broken = on_broken
        self._checked = time.monotonic()

    async def check(self) -> None:
        """Returns when the replica is fit, and calls `on_broken` when it is not."""
        now = time.monotonic()
        running = self._replica.running_for(now)
        if running > self._stuck_after_s:
            self._on_broken(f"a batch has been running for {running:.0f} s and will not end")
            return
        suspicious = self._replica.failed_batches >= SUSPICIOUS_AFTER_BATCHES
        idle = not self._replica.rows and now - self._checked > IDLE_CHECK_EVERY_S
        if self._self_check is None or not (suspicious or idle):
            return
        self._checked = now
        try:
            await self._replica.in_thread(self._self_check)
        except Exception as exc:  # noqa: BLE001 - a model may raise anything
            fault = fault_of(exc)
            if isinstance(
                fault, OutOfMemory
            ):  # others fill the device; a new replica would find no more
                log.warning("the self-check ran out of memory: %s", fault)
                return
            what = (
                "the device is broken" if isinstance(fault, DeviceBroken) else "self-check failed"
            )
            self._on_broken(f"{what}: {fault or exc}")
