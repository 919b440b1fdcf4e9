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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from deployments.errors import DeadlineExceeded, Internal
from deployments.inference import isolate
from deployments.inference.stages import Stage
from deployments.inference.tensors import Layout, Tensors, join, layout_of, pick, take
from deployments.inference.transport.frames import Call, Reply, RowError, StageTime, pack_tensors

log = logging.getLogger(__name__)

BACKLOG_FORGOTTEN_AFTER_S = 2.0

SendReply = Callable[[Reply, list[Any]], None]


@dataclass
class _Queued:
    source: int
    call: Call
    tensors: Tensors
    reply: SendReply
    arrived: float
    rows: int
    dead_items: set[int] = field(default_factory=set)

    def live_rows(self, now: float) -> list[int]:
        """The rows whose requests still want an answer: neither cancelled nor past their deadline."""
        rows: list[int] = []
        start = 0
        for item, (count, budget_ms) in enumerate(self.call.items):
            if item not in self.dead_items and now - self.arrived < budget_ms / 1000:
                rows.extend(range(start, start + count))
            start += count
        return rows


@dataclass
class _Answer:
    """What the thread made of one batch: for each call in it, its reply."""

    replies: list[tuple[_Queued, Reply, list[Any]]]


class Replica:
    """Joins calls into batches of at most `max_rows` rows and runs `stages` on them, one batch at a time.

    Args:
        stages: Name and stage, in the order in which they run: one where each stage has replicas of its own,
            all three where they share one.
        max_rows: The most rows in a batch. A single call may bring more; the edge does not send such.
    """

    def __init__(self, stages: Sequence[tuple[str, Stage]], *, max_rows: int) -> None:
        self._stages = list(stages)
        self._max_rows = max_rows
        self._queues: OrderedDict[Layout, deque[_Queued]] = OrderedDict()
        self._by_id: dict[tuple[int, int], _Queued] = {}
        # A bare queue and thread: an executor's futures cost more than a tiny model's forward pass.
        self._thread: SimpleQueue[tuple[list[_Queued], float, asyncio.AbstractEventLoop] | None]
        self._thread = SimpleQueue()
        threading.Thread(target=self._work, name="stages", daemon=True).start()
        self._running_rows = 0
        self._waiting_rows = 0
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

    def submit(self, source: int, call: Call, tensors: Tensors, reply: SendReply) -> None:
        """Queue a call; `reply` is called once on the event loop."""
        now = time.monotonic()
        self._backlogs[source] = (call.backlog, now)
        queued = _Queued(source, call, tensors, reply, now, sum(rows for rows, _ in call.items))
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
        self._thread.put((batch, time.monotonic(), asyncio.get_running_loop()))

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

    def _finish(self, batch: list[_Queued], answer: _Answer | Exception) -> None:
        self._running_rows = 0
        self._start()  # first, so that the thread works while the replies are written
        if isinstance(answer, Exception):
            log.error("a batch could not be run", exc_info=answer)
            answer = _Answer([(queued, _failed(queued), []) for queued in batch])
        for queued, reply, buffers in answer.replies:
            queued.reply(reply, buffers)

    def _work(self) -> None:
        """The thread: runs one batch after the other until it is told to end."""
        while (task := self._thread.get()) is not None:
            batch, started, loop = task
            answer: _Answer | Exception
            try:
                answer = self._run(batch, started)
            except Exception as exc:  # noqa: BLE001 - a bug of ours; the callers must be told
                answer = exc
            loop.call_soon_threadsafe(self._finish, batch, answer)

    def _run(self, batch: list[_Queued], started: float) -> _Answer:
        """In the thread: run every stage on the live rows of the batch, then cut the answer up by calls."""
        live = [queued.live_rows(started) for queued in batch]
        parts = [
            queued.tensors if len(rows) == queued.rows else pick(queued.tensors, rows)
            for queued, rows in zip(batch, live, strict=True)
            if rows
        ]
        # Which row of which call each row of the joined batch is.
        owners = [(which, row) for which, rows in enumerate(live) for row in rows]
        errors: list[list[RowError]] = [
            _expired(q, rows) for q, rows in zip(batch, live, strict=True)
        ]
        tensors = join(parts) if parts else {}
        times: list[StageTime] = []
        for name, stage in self._stages:
            if not owners:
                break
            begun = time.perf_counter()
            outcome = isolate.run(name, stage, tensors)
            times.append(StageTime(name, (time.perf_counter() - begun) * 1000))
            for error in outcome.errors:
                which, row = owners[error.row]
                errors[which].append(RowError(row, error.code, error.message))
            if outcome.errors:
                owners = [owners[row] for row in outcome.kept]
            tensors = outcome.tensors
        return _Answer(list(self._split(batch, owners, tensors, errors, times, started)))

    def _split(
        self,
        batch: list[_Queued],
        owners: list[tuple[int, int]],
        tensors: Tensors,
        errors: list[list[RowError]],
        times: list[StageTime],
        started: float,
    ) -> Any:
        counts = [0] * len(batch)
        for which, _ in owners:
            counts[which] += 1
        start = 0
        for which, queued in enumerate(batch):
            mine = take(tensors, start, start + counts[which]) if counts[which] else {}
            start += counts[which]
            heads, buffers = pack_tensors(mine)
            queued_ms = (started - queued.arrived) * 1000
            yield queued, Reply(queued.call.id, queued_ms, times, errors[which], heads), buffers


def _failed(queued: _Queued) -> Reply:
    """What a call is told when not a stage but this module failed: a caller must never be left waiting."""
    errors = [RowError(row, Internal.code, "the replica failed") for row in range(queued.rows)]
    return Reply(queued.call.id, 0.0, [], errors, [])


def _expired(queued: _Queued, live: list[int]) -> list[RowError]:
    if len(live) == queued.rows:
        return []
    message = "the deadline passed while the request waited for the model"
    gone = set(range(queued.rows)) - set(live)
    return [RowError(row, DeadlineExceeded.code, message) for row in sorted(gone)]
