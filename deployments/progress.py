"""How a command tells what it does: a spinner per step on a terminal, plain lines elsewhere, JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text


class Progress(ABC):
    """Steps, one at a time, each with a changing detail; and lines between them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Everything inside is `title`; it is done when left, unless by an error."""
        started = time.monotonic()
        self.begin(title)
        try:
            yield
        except BaseException:
            self.done(title, time.monotonic() - started, ok=False)
            raise
        self.done(title, time.monotonic() - started, ok=True)

    @abstractmethod
    def begin(self, title: str) -> None:
        """A step begins."""

    @abstractmethod
    def detail(self, text: str) -> None:
        """Where the present step stands; told as often as one likes."""

    @abstractmethod
    def done(self, title: str, seconds: float, *, ok: bool) -> None:
        """A step ended."""

    @abstractmethod
    def say(self, text: str, **facts: Any) -> None:
        """A line for the reader; `facts` are the same for a program."""


class Lines(Progress):
    """One line per step and per change of detail: for logs, pipes and CI."""

    def __init__(self) -> None:
        self._last = ""

    def begin(self, title: str) -> None:
        self._print(f"{title} ...")

    def detail(self, text: str) -> None:
        if text and text != self._last:
            self._print(f"  {text}")
            self._last = text

    def done(self, title: str, seconds: float, *, ok: bool) -> None:
        self._print(f"{title}: {'done' if ok else 'stopped'} ({seconds:.1f} s)")

    def say(self, text: str, **facts: Any) -> None:
        self._print(text)

    @staticmethod
    def _print(text: str) -> None:
        print(text, flush=True)  # noqa: T201


class JsonLines(Progress):
    """One JSON object per event on stdout: ``event``, and what belongs to it."""

    def begin(self, title: str) -> None:
        self._emit(event="begin", step=title)

    def detail(self, text: str) -> None:
        self._emit(event="detail", text=text)

    def done(self, title: str, seconds: float, *, ok: bool) -> None:
        self._emit(event="done", step=title, seconds=round(seconds, 2), ok=ok)

    def say(self, text: str, **facts: Any) -> None:
        self._emit(event="say", text=text, **facts)

    @staticmethod
    def _emit(**event: Any) -> None:
        print(json.dumps(event), flush=True)  # noqa: T201


class Terminal(Progress):
    """A spinner with the seconds that the present step has taken, and a line for each step done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(
            get_renderable=self._render, console=console, refresh_per_second=8, transient=True
        )
        self._spinner = Spinner("dots")
        self._title = self._detail = ""
        self._started = 0.0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def begin(self, title: str) -> None:
        self._title, self._detail, self._started = title, "", time.monotonic()
        self._live.start()

    def detail(self, text: str) -> None:
        self._detail = text

    def done(self, title: str, seconds: float, *, ok: bool) -> None:
        self._live.stop()
        mark, style = ("✓", "green") if ok else ("✗", "red")
        self._console.print(Text.assemble((mark, style), f" {title} ", (f"{seconds:.1f} s", "dim")))

    def say(self, text: str, **facts: Any) -> None:
        # Unwrapped and unstyled: a command to be pasted must come out as it is.
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _render(self) -> Text | Spinner:
        elapsed = time.monotonic() - self._started
        self._spinner.update(
            text=Text(
                f"{self._title}  {elapsed:.0f} s  {self._detail}", overflow="ellipsis", no_wrap=True
            )
        )
        return self._spinner


def progress_for(*, as_json: bool) -> Progress:
    """The kind of progress that suits whoever reads stdout."""
    if as_json:
        return JsonLines()
    return Terminal(Console()) if sys.stdout.isatty() else Lines()
