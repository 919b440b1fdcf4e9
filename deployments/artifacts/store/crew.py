"""Threads that work through tasks until all are done, one fails or time is up, and are then left behind.

`concurrent.futures` would wait for a thread that hangs in a read, here and again when the interpreter ends; a
deadline that waits for what hangs is none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

_GRACE_S = 1.0


def work_through(
    tasks: Sequence[Callable[[], object]],
    *,
    threads: int,
    deadline: float,
    stop: threading.Event | None = None,
) -> None:
    """Runs every task in one of `threads` daemon threads.

    Args:
        tasks: Started in this order.
        threads: How many run at once, at most.
        deadline: When to give up, in `time.monotonic` seconds.
        stop: Set when it is over, however it ended: tasks that still run should look at it and return.

    Raises:
        TimeoutError: Not all were done by the deadline.
        BaseException: What the first task to fail raised.
    """
    stop = stop or threading.Event()
    waiting: SimpleQueue[Callable[[], object]] = SimpleQueue()
    outcomes: SimpleQueue[BaseException | None] = SimpleQueue()
    for task in tasks:
        waiting.put(task)
    team = [
        threading.Thread(target=_work, args=(waiting, outcomes, stop), daemon=True)
        for _ in range(min(threads, len(tasks)))
    ]
    for thread in team:
        thread.start()
    try:
        for _ in tasks:
            _raise_if_failed(outcomes, deadline)
    finally:
        stop.set()
        last = time.monotonic() + _GRACE_S
        for thread in team:
            thread.join(max(0.0, last - time.monotonic()))


def _work(
    waiting: SimpleQueue[Callable[[], object]],
    outcomes: SimpleQueue[BaseException | None],
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            task = waiting.get_nowait()
        except Empty:
            return
        try:
            task()
        except BaseException as fault:  # noqa: BLE001 - raised again by who waits
            outcomes.put(fault)
        else:
            outcomes.put(None)


def _raise_if_failed(outcomes: SimpleQueue[BaseException | None], deadline: float) -> None:
    try:
        left = min(
            max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX
        )  # "inf" is a deadline too
        fault = outcomes.get(timeout=left)
    except Empty:
        raise TimeoutError from None
    if fault is not None:
        raise fault
