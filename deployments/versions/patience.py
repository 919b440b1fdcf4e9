"""How long a replica may take to be ready: a model that hangs while it loads must not hang whoever waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from deployments.errors import LoadError
from deployments.spec.args import ModelArgs

T = TypeVar("T")


async def within(seconds: float, model: ModelArgs, task: Callable[[], T]) -> T:
    """What `task` returns, run in a thread of its own.

    A daemon thread and not one of an executor's: what hangs would keep the process from ending.

    Raises:
        LoadError: It is not done after `seconds`; it is left to itself, and the process is of no more use.
        Exception: Whatever `task` raises.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(error: Exception | None, answer: T | None) -> None:
        if future.done():  # given up
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(answer)  # type: ignore[arg-type]  # exactly one of the two is given

    def run() -> None:
        try:
            answer = task()
        except BaseException as exc:  # noqa: BLE001 - a model's code may even call sys.exit
            error = (
                exc
                if isinstance(exc, Exception)
                else LoadError(f"The model ended the load: {exc!r}")
            )
            loop.call_soon_threadsafe(settle, error, None)
        else:
            loop.call_soon_threadsafe(settle, None, answer)

    threading.Thread(target=run, name="load", daemon=True).start()
    try:
        return await asyncio.wait_for(future, seconds)
    except TimeoutError:
        if future.done() and not future.cancelled():
            raise  # the task's own
        raise LoadError(
            f"`{model.name}` version {model.version} was not fetched, loaded and warm within {seconds:g} s: "
            "see where it hangs, or raise `load_timeout`."
        ) from None
