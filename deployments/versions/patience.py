"""How long a replica may take to be ready: a model that hangs while it loads must not hang whoever waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from deployments.errors import LoadError
from deployments.inference.delivery import deliver
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

    def guarded() -> T:
        try:
            return task()
        except SystemExit as exc:  # a model's code may even call sys.exit
            raise LoadError(f"The model ended the load: {exc!r}") from exc

    threading.Thread(target=deliver, args=(guarded, future, loop), name="load", daemon=True).start()
    try:
        return await asyncio.wait_for(future, seconds)
    except TimeoutError:
        if future.done() and not future.cancelled():
            raise  # the task's own
        raise LoadError(
            f"`{model.name}` version {model.version} was not fetched, loaded and warm within {seconds:g} s: "
            "see where it hangs, or raise `load_timeout`."
        ) from None
