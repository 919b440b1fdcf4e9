"""One batch through a replica's stages: which rows are still wanted, what each stage makes of them, whose is what.

It runs in the replica's thread and knows nothing of queues. A request's parameters travel beside the rows, in a
tensor of their own; only the model sees it, so that no stage has to hand on what it does not understand.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployments.errors import DeadlineExceeded
from deployments.inference import isolate
from deployments.inference.stages import Stage
from deployments.inference.tensors import PARAMS, Tensors, join, pick, take
from deployments.inference.transport.frames import Call, Reply, RowError, StageTime, pack_tensors

MODEL = "model"


@dataclass(frozen=True)
class Job:
    """A call that waits, as far as running it is concerned."""

    call: Call
    tensors: Tensors
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


Answer = tuple[Reply, list[Any]]
"""A reply and the buffers that go with it."""


class Execution:
    """Runs `stages`, by name and in order, on whole batches."""

    def __init__(self, stages: Sequence[tuple[str, Stage]]) -> None:
        self._stages = list(stages)

    def run(self, batch: Sequence[Job], started: float) -> list[Answer]:
        """An answer for each call of the batch.

        Args:
            batch: Calls of one layout.
            started: The monotonic time in seconds; what is past its deadline then is not run.

        Raises:
            DeviceBroken: The device is.
        """
        live = [job.live_rows(started) for job in batch]
        parts = [
            job.tensors if len(rows) == job.rows else pick(job.tensors, rows)
            for job, rows in zip(batch, live, strict=True)
            if rows
        ]
        # Which row of which call each row of the joined batch is.
        owners = [(which, row) for which, rows in enumerate(live) for row in rows]
        errors = [_expired(job, rows) for job, rows in zip(batch, live, strict=True)]
        tensors = join(parts) if parts else {}
        times: list[StageTime] = []
        for name, stage in self._stages:
            if not owners:
                break
            begun = time.perf_counter()
            params = None
            if PARAMS in tensors and name != MODEL:
                params = tensors[PARAMS]
                tensors = {key: array for key, array in tensors.items() if key != PARAMS}
            outcome = isolate.run(name, stage, tensors)
            times.append(StageTime(name, (time.perf_counter() - begun) * 1000))
            for error in outcome.errors:
                which, row = owners[error.row]
                errors[which].append(RowError(row, error.code, error.message))
            if outcome.errors:
                owners = [owners[row] for row in outcome.kept]
            tensors = outcome.tensors
            if params is not None and owners:
                tensors = {**tensors, PARAMS: params[outcome.kept] if outcome.errors else params}
        return list(_split(batch, owners, tensors, errors, times, started))


def _split(
    batch: Sequence[Job],
    owners: list[tuple[int, int]],
    tensors: Tensors,
    errors: list[list[RowError]],
    times: list[StageTime],
    started: float,
) -> Iterator[Answer]:
    counts = [0] * len(batch)
    for which, _ in owners:
        counts[which] += 1
    start = 0
    for which, job in enumerate(batch):
        mine = take(tensors, start, start + counts[which]) if counts[which] else {}
        start += counts[which]
        heads, buffers = pack_tensors(mine)
        queued_ms = (started - job.arrived) * 1000
        yield Reply(job.call.id, queued_ms, times, errors[which], heads), buffers


def _expired(job: Job, live: list[int]) -> list[RowError]:
    if len(live) == job.rows:
        return []
    message = "the deadline passed while the request waited for the model"
    gone = set(range(job.rows)) - set(live)
    return [RowError(row, DeadlineExceeded.code, message) for row in sorted(gone)]
