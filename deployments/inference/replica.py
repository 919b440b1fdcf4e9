"""What a replica does with the batches that several edges send it: join them, run its stages, split the answers.

No timers: a batch is whatever arrived while the previous one ran. The stages run in one thread of their own,
so that a forward pass never blocks the event loop, which answers health checks and takes the next batch in
meanwhile. One thread, because two forward passes at once on one device only make both slower.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from deployments.errors import Internal, ReplicaLost
from deployments.inference.delivery import deliver
from deployments.inference.execution import Answer, Execution, Job
from deployments.inference.faults import DeviceBroken
from deployments.inference.tensors import Layout, Tensors, layout_of
from deployments.inference.transport.frames import Call, Reply, RowError

log = logging.getLogger(__name__)

BACKLOG_FORGOTTEN_AFTER_S = 2.0
FAILED = "the replica failed"
BROKEN = "the device failed while it ran this batch, and its replica is replaced; try again"

T = TypeVar("T")
SendReply = Callable[[Reply, list[Any]], None]


@dataclass(frozen=True, kw_only=True)
class _Queued(Job):
    """A call in the queue, whose it is and how it is answered."""

    source: int
    reply: SendReply


class Replica:
    """Joins calls into batches of at most `max_rows` rows and runs them, one batch at a time.

    Args:
        execution: What is done with a batch.
        max_rows: The most rows in a batch. A single call may bring more; the edge does not send such.
        on_broken: Called on the event loop when the device is broken, which nothing runs on afterwards. The batch
            that broke it fails, as it might break the next one; the edges ask another replica for all others.
    """

    def __init__(
        self,
        execution: Execution,
        *,
        max_rows: int,
        on_broken: Callable[[str], None],
    ) -> None:
        self._execution = execution
        self._max_rows = max_rows
        self._on_broken = on_broken
        self._queues: OrderedDict[Layout, deque[_Queued]] = OrderedDict()
        self._by_id: dict[tuple[int, int], _Queued] = {}
        # A bare queue and thread: an executor's futures cost more than a tiny model's forward pass.
        self._thread: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name="stages", daemon=True).start()
        self._running_rows = 0
        self._running_since = 0.0
        self._waiting_rows = 0
        self._failed_batches = 0
        self._backlogs: dict[int, tuple[int, float]] = {}

    @property
    def rows(self) -> int:
        """Rows waiting and running here, which autoscaling follows."""
        return self._waiting_rows + self._running_rows

    def backlog(self, now: float) -> int:
        """Rows that wait at the edges for this stage, as each edge last told."""
        return sum(
            rows for rows, told in self._backlogs.values() if now - told < BACKLOG_FORGOTTEN_AFTER_S
        )

    @property
    def failed_batches(self) -> int:
        """How many batches in a row, up to the last, had not one row answered by the model."""
        return self._failed_batches

    def running_for(self, now: float) -> float:
        """How long the present batch has been running, in seconds; 0 while none is."""
        return now - self._running_since if self._running_rows else 0.0

    async def in_thread(self, task: Callable[[], T]) -> T:
        """Runs `task` between two batches, in the thread that the stages run in."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._thread.put(partial(deliver, task, future, loop))
        return await future

    def submit(self, source: int, call: Call, tensors: Tensors, reply: SendReply) -> None:
        """Queue a call; `reply` is called once on the event loop."""
        now = time.monotonic()
        self._backlogs[source] = (call.backlog, now)
        rows = sum(rows for rows, _ in call.items)
        queued = _Queued(call, tensors, now, rows, source=source, reply=reply)
        self._queues.setdefault(layout_of(tensors), deque()).append(queued)
        self._by_id[source, call.id] = queued
        self._waiting_rows += queued.rows
        if not self._running_rows:
            self._start()

    def cancel(self, source: int, call: int, item: int) -> None:
        """Drop an item of a call that has not begun to run."""
        queued = self._by_id.get((source, call))
        if queued is not None:
            queued.dead_items.add(item)

    def disconnected(self, source: int) -> None:
        """Drop everything that a lost edge had queued."""
        self._backlogs.pop(source, None)
        for (owner, _), queued in self._by_id.items():
            if owner == source:
                queued.dead_items.update(range(len(queued.call.items)))

    async def drain(self) -> None:
        """Return once nothing waits or runs."""
        while self.rows:  # noqa: ASYNC110 - once in a replica's life
            await asyncio.sleep(0.01)

    def close(self) -> None:
        """Stop the thread; what runs is finished."""
        self._thread.put(None)

    def _start(self) -> None:
        """Begin the next batch, if there is one. Called with nothing running."""
        batch = self._next_batch()
        if not batch:
            return
        self._running_rows = sum(queued.rows for queued in batch)
        self._waiting_rows -= self._running_rows
        for queued in batch:
            del self._by_id[queued.source, queued.call.id]
        self._running_since = time.monotonic()
        self._thread.put(partial(self._run, batch, self._running_since, asyncio.get_running_loop()))

    def _next_batch(self) -> list[_Queued]:
        """Calls of one layout, oldest first, up to `max_rows` rows; the layouts take turns."""
        if not self._queues:
            return []
        layout, queue = next(iter(self._queues.items()))
        batch: list[_Queued] = []
        rows = 0
        while queue and (not batch or rows + queue[0].rows <= self._max_rows):
            batch.append(queue.popleft())
            rows += batch[-1].rows
        if queue:
            self._queues.move_to_end(layout)
        else:
            del self._queues[layout]
        return batch

    def _finish(self, batch: list[_Queued], answers: list[Answer] | Exception) -> None:
        if isinstance(answers, DeviceBroken):
            for queued in batch:
                queued.reply(_failed(queued, ReplicaLost.code, BROKEN), [])
            self._on_broken(str(answers))
            return
        self._running_rows = 0
        self._start()  # first, so that the thread works while the replies are written
        if isinstance(answers, Exception):
            log.error("a batch could not be run", exc_info=answers)
            answers = [(_failed(queued, Internal.code, FAILED), []) for queued in batch]
        answered = False
        for queued, (reply, buffers) in zip(batch, answers, strict=True):
            answered = answered or len(reply.errors) < queued.rows
            queued.reply(reply, buffers)
        self._failed_batches = 0 if answered else self._failed_batches + 1

    def _work(self) -> None:
        """The thread: runs one batch after the other until it is told to end."""
        while (task := self._thread.get()) is not None:
            task()

    def _run(self, batch: list[_Queued], started: float, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread: one batch, whose answers go back to the event loop."""
        answers: list[Answer] | Exception
        try:
            answers = self._execution.run(batch, started)
        except Exception as exc:  # noqa: BLE001 - a bug of ours; the callers must be told
            answers = exc
        loop.call_soon_threadsafe(self._finish, batch, answers)


def _failed(queued: _Queued, code: str, message: str) -> Reply:
    """What a call is told when no stage answered it: a caller must never be left waiting."""
    errors = [RowError(row, code, message) for row in range(queued.rows)]
    return Reply(queued.call.id, 0.0, [], errors, [])
