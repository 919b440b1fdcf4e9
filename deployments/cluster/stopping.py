"""Signals that end `penstock up`: the first stops it wherever it is, the second stops the waiting, none kills it."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Stopped(BaseException):
    """Raised in the main thread by the first signal; no `except Exception` on its way must swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class StopSignals:
    """While entered, SIGINT, SIGTERM and SIGHUP raise `Stopped` once; later ones set `hurry` and do no more."""

    _NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.hurry = threading.Event()
        self.number: int | None = None
        """The signal that asked to stop; it counts even where `Stopped` did not come through."""
        self._stopped = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in self._NUMBERS}
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def take(self) -> None:
        """Take the signals (again: `ray.init` puts handlers of its own in place)."""
        for number in self._NUMBERS:
            signal.signal(number, self._on_signal)

    def ignore_first(self) -> None:
        """From now on no signal raises: the stop has begun, and must not be cut short by the one that asks for it."""
        self._stopped = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stopped:
            self.hurry.set()
            return
        self._stopped = True
        self.number = number
        raise Stopped(number)
