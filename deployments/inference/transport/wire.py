"""The bytes side of a connection: cuts the stream into frames, whichever way they arrive, without waiting.

Small frames are read many at a time into one reused buffer; a frame that does not fit it gets a buffer of its
own size that the socket then fills directly, so a tensor of megabytes is copied once, by the kernel.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from deployments.inference.tensors import Tensors
from deployments.inference.transport.frames import (
    MAX_FRAME_BYTES,
    PREFIX,
    FrameError,
    Header,
    decode,
    encode,
)

SCRATCH_BYTES = 1 << 17


class Wire(asyncio.BufferedProtocol):
    """One connection: calls `on_frame` for every frame that arrives and `on_lost` once when it ends."""

    def __init__(
        self,
        on_frame: Callable[[Wire, Header, Tensors], None],
        on_lost: Callable[[Wire], None],
        *,
        max_frame_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self.max_frame_bytes = max_frame_bytes
        self._transport: asyncio.Transport | None = None
        self._scratch = bytearray(SCRATCH_BYTES)
        self._filled = 0
        self._large: bytearray | None = None
        self._large_filled = 0

    @property
    def open(self) -> bool:
        """Whether frames can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, header: Header, buffers: list[Any] | None = None) -> None:
        """Write one frame; silently dropped when the connection has ended, which `on_lost` tells."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(encode(header, buffers))

    def close(self) -> None:
        """End the connection after what was written has gone out."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._large is not None:
            return memoryview(self._large)[self._large_filled :]
        return memoryview(self._scratch)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        try:
            if self._large is not None:
                self._large_filled += nbytes
                if self._large_filled == len(self._large):
                    frame, self._large, self._large_filled = self._large, None, 0
                    self._deliver(frame)
            else:
                self._filled += nbytes
                self._cut()
        except FrameError:
            if self._transport is not None:
                self._transport.abort()

    def _cut(self) -> None:
        """Deliver every whole frame in the scratch buffer; move an unfinished large one to its own buffer."""
        start = 0
        while self._filled - start >= PREFIX.size:
            rest, head_length = PREFIX.unpack_from(self._scratch, start)
            size = rest + 4
            if size > self.max_frame_bytes or head_length + PREFIX.size > size:
                raise FrameError(f"a frame of {size} bytes")
            if self._filled - start < size:
                if size > SCRATCH_BYTES:
                    self._large = bytearray(size)
                    self._large_filled = self._filled - start
                    self._large[: self._large_filled] = self._scratch[start : self._filled]
                    start = self._filled
                break
            self._deliver(self._scratch[start : start + size])
            start += size
        self._scratch[: self._filled - start] = self._scratch[start : self._filled]
        self._filled -= start

    def _deliver(self, frame: bytearray) -> None:
        header, tensors = decode(frame)
        self._on_frame(self, header, tensors)
