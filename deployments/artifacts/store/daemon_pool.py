"""A pool whose threads nobody waits for when the interpreter ends.

MLflow's downloaders work in pools of `concurrent.futures`, which wait for their threads then, whatever these wait for
themselves: a process that has given up on a store that stalls could never end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonPool(Executor):
    """Runs what is submitted in at most `size` daemon threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._started = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as fault:  # noqa: BLE001 - it is whoever waits for the future that it is for
                future.set_exception(fault)

        self._waiting.put(run)
        if self._started < self._size:
            self._started += 1
            threading.Thread(target=self._work, daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            self._waiting.get()()


def with_daemon_pools(repository: Any) -> Any:
    """An MLflow repository whose pools, made already or yet to be made, are daemon ones of the same size."""
    for name, value in list(vars(repository).items()):
        if isinstance(value, ThreadPoolExecutor):
            size = value._max_workers  # noqa: SLF001 - it is said nowhere else
            value.shutdown(wait=False)
            setattr(repository, name, DaemonPool(size))
            repository._create_thread_pool = partial(DaemonPool, size)  # noqa: SLF001 - some are made later
    return repository
