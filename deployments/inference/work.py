"""One request on its way through a model version: what it waits for, and what it has been answered so far."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from deployments.errors import DeadlineExceeded, PenstockError
from deployments.inference.tensors import Layout, Tensors, join, layout_of
from deployments.inference.transport.client import Channel


@dataclass(slots=True, eq=False)
class Timing:
    """Where a request's time went, in milliseconds. What a request of several parts shows is its last part's."""

    queue: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Work:
    """A request: done when all its parts are, or when one of them failed, or when nobody waits any more.

    Attributes:
        deadline: On the monotonic clock, in seconds.
    """

    rows: int
    deadline: float
    future: asyncio.Future[Tensors]
    parts: list[Part] = field(default_factory=list)
    finished: int = 0
    timing: Timing = field(default_factory=Timing)

    @property
    def dead(self) -> bool:
        """Nobody waits for it: it was answered, failed or cancelled, and what is left of it may be dropped."""
        return self.future.done()

    def fail(self, error: PenstockError) -> None:
        """Answer with an error; the first one stands."""
        if not self.future.done():
            self.future.set_exception(error)
            self.abandon()

    def expire(self) -> None:
        """The deadline has passed."""
        self.fail(DeadlineExceeded("the deadline passed before the model had answered"))

    def finish(self, part: Part, tensors: Tensors) -> None:
        """Take the answer of one part; with the last one the request is answered, rows in their order."""
        part.tensors = tensors
        self.finished += 1
        if self.finished == len(self.parts) and not self.future.done():
            self.future.set_result(join([each.tensors for each in self.parts]))

    def abandon(self) -> None:
        """Tell the queues and the replicas that hold a part of it that they need not begin."""
        for part in self.parts:
            if part.queue is not None:
                part.queue.left(part)
            if part.flight is not None:
                channel, call, item = part.flight
                channel.cancel(call, item)


class Queue(Protocol):
    """What a part waits in."""

    def left(self, part: Part) -> None:
        """It does not wait any more: it is sent on, or nobody wants its answer."""


@dataclass(slots=True, eq=False)
class Part:
    """At most a batch's worth of a request's rows, at one stage.

    Attributes:
        start: The number of its first row within the request.
        entered: When it began to wait for its present stage, on the monotonic clock.
        retried: Whether it was already lost once with a replica.
        flight: The channel, call and item by which a replica has it now.
        queue: What it waits in now.
    """

    work: Work
    start: int
    rows: int
    tensors: Tensors
    entered: float
    retried: bool = False
    flight: tuple[Channel, int, int] | None = None
    queue: Queue | None = None

    @property
    def layout(self) -> Layout:
        """What it shares with the parts that it can be joined with."""
        return layout_of(self.tensors)
