"""The replica's end of the transport: a listening socket that only admits whoever knows the replica's secret.

The secret is made anew by each replica and published through Serve's controller, so a process that can reach
the port but not the cluster's control plane is turned away before a tensor of it is read.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from deployments.inference.tensors import Tensors
from deployments.inference.transport.frames import Call, Cancel, Header, Hello, Reply
from deployments.inference.transport.wire import Wire

HELLO_MAX_BYTES = 1024
HELLO_WITHIN_S = 5.0


class Handler(Protocol):
    """What answers calls: a `Replica`."""

    def submit(
        self, source: int, call: Call, tensors: Tensors, reply: Callable[[Reply, list[Any]], None]
    ) -> None:
        """Take a batch; call `reply` once, on the event loop, when it is answered."""

    def cancel(self, source: int, call: int, item: int) -> None:
        """Forget item number `item` of a call, if it has not begun to run."""

    def disconnected(self, source: int) -> None:
        """Forget everything that came from a connection."""


class BatchServer:
    """Listens for edges and hands their calls to a handler.

    Args:
        handler: What answers the calls.
        host: The address to listen on; the port is any free one.
        max_frame_bytes: The longest frame that is taken.
        tls: What to encrypt with, or None for plain TCP.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str,
        max_frame_bytes: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._handler = handler
        self._host = host
        self._max_frame_bytes = max_frame_bytes
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._admitted: dict[Wire, int] = {}
        self._strangers: dict[Wire, asyncio.TimerHandle] = {}
        self._next_source = 0
        self.token = secrets.token_urlsafe(32)
        self.port = 0

    async def start(self) -> None:
        """Listen; afterwards `port` and `token` are what edges need."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, self._host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and end all connections after what was answered has gone out."""
        if self._server is not None:
            self._server.close()
            for wire in [*self._admitted, *self._strangers]:
                wire.close()

    def _accept(self) -> Wire:
        wire = Wire(self._on_frame, self._on_lost, max_frame_bytes=HELLO_MAX_BYTES)
        # Whoever connects and stays silent must not hold a socket for ever.
        loop = asyncio.get_running_loop()
        self._strangers[wire] = loop.call_later(HELLO_WITHIN_S, wire.close)
        return wire

    def _on_frame(self, wire: Wire, header: Header, tensors: Tensors) -> None:
        source = self._admitted.get(wire)
        if source is None:
            self._admit(wire, header)
        elif isinstance(header, Call):
            self._handler.submit(source, header, tensors, wire.send)
        elif isinstance(header, Cancel):
            self._handler.cancel(source, header.id, header.item)

    def _admit(self, wire: Wire, header: Header) -> None:
        self._strangers.pop(wire).cancel()
        if isinstance(header, Hello) and hmac.compare_digest(header.token, self.token):
            self._next_source += 1
            self._admitted[wire] = self._next_source
            wire.max_frame_bytes = self._max_frame_bytes
            wire.send(Hello(token=""))
        else:
            wire.close()

    def _on_lost(self, wire: Wire) -> None:
        timer = self._strangers.pop(wire, None)
        if timer is not None:
            timer.cancel()
        source = self._admitted.pop(wire, None)
        if source is not None:
            self._handler.disconnected(source)
