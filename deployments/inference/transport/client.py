"""The edge's end of the transport: one connection to one replica, with many calls under way on it.

Replies come by callback, not by future: a batch costs no task and no extra turn of the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

from deployments.inference.tensors import Tensors
from deployments.inference.transport.address import ReplicaAddress
from deployments.inference.transport.frames import (
    Call,
    Cancel,
    FrameError,
    Header,
    Hello,
    Reply,
    TensorHead,
)
from deployments.inference.transport.wire import Wire

FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0
CONNECT_WITHIN_S = 5.0

OnReply = Callable[[Reply | None, Tensors], None]
"""Called once per call: with the reply, or with None when the call was lost with its replica."""


class Channel:
    """A connection to one replica that is made anew while the replica is said to be running.

    Args:
        address: Where the replica listens.
        on_change: Called whenever the channel becomes ready or stops being so.
        tls: What to encrypt with, or None for plain TCP.
    """

    def __init__(
        self,
        address: ReplicaAddress,
        on_change: Callable[[], None],
        *,
        max_frame_bytes: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self.ready = False
        self._on_change = on_change
        self._max_frame_bytes = max_frame_bytes
        self._tls = tls
        self._wire: Wire | None = None
        self._calls: dict[int, OnReply] = {}
        self._next_id = 0
        self._lost = asyncio.Event()
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(self._stay_connected())

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return len(self._calls)

    def call(
        self,
        items: list[tuple[int, int]],
        backlog: int,
        heads: list[TensorHead],
        buffers: list[Any],
        on_reply: OnReply,
    ) -> int:
        """Send a batch and return the call's id; `on_reply` comes later, never from within."""
        assert self._wire is not None
        self._next_id += 1
        self._calls[self._next_id] = on_reply
        self._wire.send(Call(self._next_id, items, backlog, heads), buffers)
        return self._next_id

    def cancel(self, call: int, item: int) -> None:
        """Tell the replica that nobody waits for an item of a call any more."""
        if self._wire is not None and call in self._calls:
            self._wire.send(Cancel(call, item))

    def retire(self) -> None:
        """Take no more calls, and close once those under way are answered."""
        self._closing = True
        self.ready = False
        if not self._calls:
            self._close()

    def _close(self) -> None:
        self._task.cancel()
        if self._wire is not None:
            self._wire.close()

    async def _stay_connected(self) -> None:
        pause = FIRST_RETRY_S
        while not self._closing:
            self._lost.clear()
            with contextlib.suppress(OSError, TimeoutError):
                await self._connect()
                await self._lost.wait()
                pause = FIRST_RETRY_S
            # The controller takes a moment to notice a dead replica; until it does we knock, ever more slowly.
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_RETRY_S)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_WITHIN_S):
            _, wire = await loop.create_connection(
                lambda: Wire(self._on_frame, self._on_lost, max_frame_bytes=self._max_frame_bytes),
                self.address.host,
                self.address.port,
                ssl=self._tls,
            )
        self._wire = wire
        wire.send(Hello(token=self.address.token))

    def _on_frame(self, wire: Wire, header: Header, tensors: Tensors) -> None:
        if isinstance(header, Reply):
            on_reply = self._calls.pop(header.id, None)
            if on_reply is not None:
                on_reply(header, tensors)
            if self._closing and not self._calls:
                self._close()
        elif isinstance(header, Hello):
            self.ready = not self._closing
            self._on_change()
        else:
            raise FrameError(f"a replica does not send {type(header).__name__}")

    def _on_lost(self, wire: Wire) -> None:
        self.ready = False
        self._wire = None
        lost, self._calls = list(self._calls.values()), {}
        for on_reply in lost:
            on_reply(None, {})
        self._lost.set()
        self._on_change()
