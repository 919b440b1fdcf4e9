"""Holds a model's native libraries to the replica's share of the processors."""

from __future__ import annotations

import importlib.util
import sys
import threading


class ThreadLimit:
    """Limits BLAS, OpenMP and torch to `threads` in whichever thread calls it; once in each.

    OpenMP counts for each calling thread by itself (`nthreads-var` in its specification), and a replica
    loads its model in another thread than it runs it in.
    """

    def __init__(self, threads: int | None) -> None:
        self._threads = threads
        self._done = threading.local()

    def __call__(self) -> None:
        if self._threads is None or getattr(self._done, "yes", False):
            return
        self._done.yes = True
        if importlib.util.find_spec("threadpoolctl") is not None:
            from threadpoolctl import threadpool_limits

            threadpool_limits(self._threads)
        # A model may have brought torch; one that has not shall not pay for it.
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(self._threads)
