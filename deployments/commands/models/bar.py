"""A bar of the bytes that have arrived, on a terminal and nowhere else; it goes to stderr, so stdout can be piped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


class Bar:
    """Shown while `during` lasts and something is downloaded."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress: Progress | None = None
        if not quiet and sys.stderr.isatty():
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                console=Console(stderr=True),
                transient=True,
            )

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """The time in which downloads belong to `what`."""
        if self._progress is None:
            yield
            return
        with self._progress:
            self._progress.add_task(what, total=None)
            yield
            for task in self._progress.task_ids:
                self._progress.remove_task(task)

    def expected(self, total: int) -> None:
        """So many bytes will arrive."""
        if self._progress is not None and self._progress.task_ids:
            self._progress.update(self._progress.task_ids[-1], completed=0, total=total)

    def arrived(self, count: int) -> None:
        """`count` more bytes have."""
        if self._progress is not None and self._progress.task_ids:
            self._progress.update(self._progress.task_ids[-1], advance=count)
