"""The edge's queue for one stage of one model version: joins what waits into batches and keeps replicas busy.

A batch is whatever arrived while the previous ones were in flight: no timer, so a lone request waits for
nothing and batches grow exactly when load does. Each replica has a window of batches under way, two by
default: one that it runs and one that is there when it finishes.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial

from deployments.errors import PenstockError, ReplicaLost, error_by_code
from deployments.inference.rate import ServiceRate
from deployments.inference.retry import RetryBudget
from deployments.inference.tensors import Layout, Tensors, join, take
from deployments.inference.transport.address import ReplicaAddress
from deployments.inference.transport.client import Channel
from deployments.inference.transport.frames import MAX_FRAME_BYTES, Reply, pack_tensors
from deployments.inference.work import Part


class Lane:
    """Feeds the replicas of one stage.

    Args:
        name: The stage, for messages.
        max_rows: The most rows in a batch.
        max_in_flight: The most batches under way on one replica from this edge.
        budget: What a retry of a lost batch is paid from.
        on_done: Called with each part that the stage has answered and its tensors.
    """

    def __init__(
        self,
        name: str,
        *,
        max_rows: int,
        max_in_flight: int,
        budget: RetryBudget,
        on_done: Callable[[Part, Tensors], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self._max_rows = max_rows
        self._max_in_flight = max_in_flight
        self._budget = budget
        self._on_done = on_done
        self._tls = tls
        self._queues: OrderedDict[Layout, deque[Part]] = OrderedDict()
        self._channels: dict[str, Channel] = {}
        self._scheduled = False
        self._rate = ServiceRate()
        self.waiting_rows = 0

    @property
    def ready(self) -> bool:
        """Whether any replica can take a batch."""
        return any(channel.ready for channel in self._channels.values())

    @property
    def rows_per_second(self) -> float:
        """How fast rows leave the queue; 0 while there is no telling."""
        return self._rate.rows_per_second

    def put(self, part: Part) -> None:
        """Let a part wait for the stage."""
        part.entered = time.monotonic()
        queue = self._queues.setdefault(part.layout, deque())
        # With no replica to send to, nothing else takes the expired out, and the queue would grow without end.
        while queue and queue[0].work.dead:
            queue.popleft()
        queue.append(part)
        self._entered(part)
        self._schedule()

    def left(self, part: Part) -> None:
        """The part does not wait any more; if it is dead, it is taken out of its queue when its turn comes."""
        part.queue = None
        self.waiting_rows -= part.rows
        if not self.waiting_rows:
            self._rate.idle()

    def _entered(self, part: Part) -> None:
        part.queue = self
        self.waiting_rows += part.rows

    def set_replicas(self, addresses: Sequence[ReplicaAddress]) -> None:
        """Follow which replicas are running: connect to the new ones, let the others finish and go."""
        wanted = {address.replica_id: address for address in addresses}
        for replica_id in self._channels.keys() - wanted.keys():
            self._channels.pop(replica_id).retire()
        for replica_id in wanted.keys() - self._channels.keys():
            self._channels[replica_id] = Channel(
                wanted[replica_id], self._schedule, max_frame_bytes=MAX_FRAME_BYTES, tls=self._tls
            )

    def close(self) -> None:
        """Let all replicas go."""
        self.set_replicas(())

    def _schedule(self) -> None:
        # On the next turn of the loop, not now: what else is readable in this turn still joins the batch.
        if not self._scheduled and self._queues:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._queues and (channel := self._free_channel()) is not None:
            batch = self._next_batch()
            if batch:
                self._send(channel, batch)
        if not self.ready:
            self._rate.idle()  # nobody serves the queue: that says nothing of how fast it will be served

    def _free_channel(self) -> Channel | None:
        """The ready replica with the fewest batches under way, if its window has room."""
        best: Channel | None = None
        for channel in self._channels.values():
            if channel.ready and (best is None or channel.in_flight < best.in_flight):
                best = channel
        return best if best is not None and best.in_flight < self._max_in_flight else None

    def _next_batch(self) -> list[Part]:
        """Parts of one layout, oldest first, up to `max_rows` rows, without the dead; layouts take turns."""
        layout, queue = next(iter(self._queues.items()))
        batch: list[Part] = []
        rows = 0
        while queue and rows + queue[0].rows <= max(
            self._max_rows, queue[0].rows if not rows else 0
        ):
            part = queue.popleft()
            if not part.work.dead:
                self.left(part)
                batch.append(part)
                rows += part.rows
        if queue:
            self._queues.move_to_end(layout)
        else:
            del self._queues[layout]
        return batch

    def _send(self, channel: Channel, batch: list[Part]) -> None:
        now = time.monotonic()
        tensors = join([part.tensors for part in batch])
        heads, buffers = pack_tensors(tensors)
        items = []
        for part in batch:
            items.append((part.rows, max(1, int((part.work.deadline - now) * 1000))))
            part.work.timing.queue += (now - part.entered) * 1000
        on_reply = partial(self._on_reply, batch)
        call = channel.call(items, self.waiting_rows, heads, buffers, on_reply)
        for index, part in enumerate(batch):
            part.flight = (channel, call, index)
        rows = sum(part.rows for part in batch)
        self._rate.sent(now, rows, others_wait=self.waiting_rows > 0)

    def _on_reply(self, batch: list[Part], reply: Reply | None, tensors: Tensors) -> None:
        for part in batch:
            part.flight = None
        if reply is None:
            self._lost(batch)
            return
        self._budget.deposit()
        errors = {error.row: error for error in reply.errors}
        row = taken = 0
        for part in batch:
            bad = [errors[r] for r in range(row, row + part.rows) if r in errors] if errors else []
            row += part.rows
            survivors = part.rows - len(bad)
            if bad:
                first = bad[0]
                at = part.start + first.row - (row - part.rows)
                part.work.fail(error_by_code(first.code)(first.message, fields=(f"inputs[{at}]",)))
            elif not part.work.dead:
                timing = part.work.timing
                timing.queue += reply.queued_ms
                timing.stages.update((time_.stage, time_.ms) for time_ in reply.times)
                self._on_done(part, take(tensors, taken, taken + part.rows))
            taken += survivors
        self._schedule()

    def _lost(self, batch: list[Part]) -> None:
        """A batch went down with its replica: put it first in the queue again, once and within the budget."""
        again = [part for part in batch if not part.work.dead]
        if not again:
            return
        if self._budget.withdraw():
            fresh = [part for part in again if not part.retried]
            for part in reversed(fresh):
                part.retried = True
                self._queues.setdefault(part.layout, deque()).appendleft(part)
                self._entered(part)
            again = [part for part in again if part not in fresh]
        for part in again:
            part.work.fail(self._lost_error())
        self._schedule()

    def _lost_error(self) -> PenstockError:
        return ReplicaLost(
            f"the replica that ran the {self.name} stage was lost; try again", retry_after=1
        )
