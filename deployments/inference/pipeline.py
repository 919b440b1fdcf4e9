"""A model version as the edge sees it: its stages in order, its bounds, and one verb, `predict`.

Rows are admitted once, at the front; from then on a request moves from stage to stage without being awaited
anywhere but at the end. What a stage answers waits for the next one beside everybody else's rows and is joined
anew, so a slow stage sees larger batches than a fast one.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deployments.errors import DeadlineUnmeetable, Overloaded
from deployments.inference.lane import Lane
from deployments.inference.retry import RetryBudget
from deployments.inference.tensors import Tensors, rows_of, take
from deployments.inference.transport.address import ReplicaAddress
from deployments.inference.work import Part, Timing, Work


@dataclass(frozen=True)
class Bounds:
    """How much one edge takes on for one model version.

    Attributes:
        max_rows: Rows in a batch.
        max_in_flight: Batches under way per replica.
        max_queued_rows: Rows admitted and not yet answered; more are refused with 429.
    """

    max_rows: int = 64
    max_in_flight: int = 2
    max_queued_rows: int = 4096


class Pipeline:
    """One model version's stages.

    Args:
        deployments: The Serve deployments to go through, in order.
        bounds: How much to take on.
    """

    def __init__(
        self, deployments: Sequence[str], bounds: Bounds, *, tls: ssl.SSLContext | None = None
    ) -> None:
        budget = RetryBudget()
        self._bounds = bounds
        self._rows = 0
        self._lanes: list[Lane] = []
        for index, name in enumerate(deployments):
            self._lanes.append(
                Lane(
                    name.lower(),
                    max_rows=bounds.max_rows,
                    max_in_flight=bounds.max_in_flight,
                    budget=budget,
                    on_done=self._after(index),
                    tls=tls,
                )
            )
        self._by_name = dict(zip(deployments, self._lanes, strict=True))

    @property
    def deployments(self) -> list[str]:
        """The deployments whose replicas it needs to know."""
        return list(self._by_name)

    @property
    def rows(self) -> int:
        """Rows admitted and not yet answered."""
        return self._rows

    def missing(self) -> list[str]:
        """The stages that no replica can run now."""
        return [lane.name for lane in self._lanes if not lane.ready]

    def set_replicas(self, deployment: str, addresses: Sequence[ReplicaAddress]) -> None:
        """Follow which replicas of a deployment are running."""
        self._by_name[deployment].set_replicas(addresses)

    def close(self) -> None:
        """Let all replicas go, once what is under way is answered."""
        for lane in self._lanes:
            lane.close()

    async def predict(self, tensors: Tensors, deadline: float) -> tuple[Tensors, Timing]:
        """Send rows through all stages.

        Args:
            tensors: The request's rows.
            deadline: On the monotonic clock, in seconds.

        Raises:
            Overloaded: Too many rows are waiting.
            DeadlineUnmeetable: They would not be done in time.
            DeadlineExceeded: They were not.
            PenstockError: What a stage said of one of the rows.
        """
        rows = rows_of(tensors)
        now = time.monotonic()
        self._admit(rows, deadline - now)
        loop = asyncio.get_running_loop()
        work = Work(rows, deadline, loop.create_future())
        step = self._bounds.max_rows
        if rows <= step:
            work.parts.append(Part(work, 0, rows, tensors, now))
        else:
            for start in range(0, rows, step):
                stop = min(rows, start + step)
                part = Part(work, start, stop - start, take(tensors, start, stop), now)
                work.parts.append(part)
        timer = loop.call_later(max(0.0, deadline - now), work.expire)
        self._rows += rows
        try:
            for part in work.parts:
                self._lanes[0].put(part)
            return await work.future, work.timing
        except asyncio.CancelledError:
            work.abandon()
            raise
        finally:
            self._rows -= rows
            timer.cancel()

    def _admit(self, rows: int, remaining: float) -> None:
        if self._rows and self._rows + rows > self._bounds.max_queued_rows:
            raise Overloaded(
                f"{self._rows} rows are waiting for this model version, which is all it takes on",
                retry_after=self._retry_after(),
            )
        wait = self._wait()
        if wait > remaining:
            raise DeadlineUnmeetable(
                "the rows that wait already would keep this request beyond its deadline",
                retry_after=max(1, math.ceil(wait - remaining)),
            )

    def _wait(self) -> float:
        """Seconds until a row that joins the longest queue now would be sent on, by that queue's recent rate."""
        return max(
            (
                lane.waiting_rows / lane.rows_per_second
                for lane in self._lanes
                if lane.waiting_rows and lane.rows_per_second
            ),
            default=0.0,
        )

    def _retry_after(self) -> int:
        return max(1, math.ceil(self._wait()))

    def _after(self, index: int) -> Callable[[Part, Tensors], None]:
        """What becomes of a part that stage number `index` has answered."""

        def on_done(part: Part, tensors: Tensors) -> None:
            if index + 1 < len(self._lanes):
                part.tensors = tensors
                self._lanes[index + 1].put(part)
            else:
                part.work.finish(part, tensors)

        return on_done
