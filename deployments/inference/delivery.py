"""Brings what a thread made of a task back to the event loop that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def deliver(
    task: Callable[[], T], future: asyncio.Future[T], loop: asyncio.AbstractEventLoop
) -> None:
    """In the thread: runs `task` and settles `future`, which belongs to `loop`, unless its owner has given up.

    What ends a process, such as `sys.exit` in a model's code, becomes an error of the task: raised in the event
    loop it would end what waits for others too.
    """
    answer: T | None = None
    error: Exception | None = None
    try:
        answer = task()
    except Exception as exc:  # noqa: BLE001 - it is for whoever waits
        error = exc
    except BaseException as exc:  # noqa: BLE001 - see above
        error = RuntimeError(f"it tried to end the process: {exc!r}")
    if not loop.is_closed():  # nobody is left to be told
        loop.call_soon_threadsafe(_settle, future, error, answer)


def _settle(future: asyncio.Future[T], error: Exception | None, answer: T | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(answer)  # type: ignore[arg-type]  # exactly one of the two is given
