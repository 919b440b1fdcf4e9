"""The predict route, the hot path: read, decode, choose a variant, await its pipeline, encode. Plain ASGI.

``POST /api/v1/endpoints/{endpoint}/predict``
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from deployments.api import headers as header
from deployments.api.encode import encode_answer, server_timing
from deployments.api.endpoints import Endpoint, Endpoints, Variant
from deployments.api.problems import problem
from deployments.errors import BodyTooSlow, Internal, PenstockError
from deployments.inference.tensors import Tensors
from deployments.inference.work import Timing

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_WITHIN_S = 10.0


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class DisconnectWatch:
    """Cancels the work within when the client goes away, and looks for that only when the work takes long.

    To look means to await the next message in a task of its own, which costs more than a tiny model; a request
    that is answered within `AFTER_S` never pays for it.
    """

    AFTER_S = 0.05

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._worker = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    def __enter__(self) -> None:
        self._timer = self._loop.call_later(self.AFTER_S, self._begin)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._gone and kind is asyncio.CancelledError:
            raise ClientGone

    def _begin(self) -> None:
        self._watcher = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._worker is not None:
            self._worker.cancel()


class Predict:
    """Answers predictions.

    Args:
        endpoints: What is served now.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def __call__(
        self, name: str, scope: Scope, receive: Receive, send: Send, *, own_id: bool
    ) -> None:
        """Answer one request for the endpoint `name`."""
        started = time.monotonic()
        headers = header.collect(scope["headers"])
        request_id = header.request_id(headers)
        try:
            endpoint = self._endpoints.get(name)
            variant, tensors, timing = await self._predict(
                endpoint, headers, receive, request_id, started
            )
            body = encode_answer(request_id, name, variant.name, variant.model, tensors)
        except PenstockError as error:
            status, answer_headers, body = problem(error, request_id)
        except ClientGone:
            return
        except Exception:
            log.exception("request %s failed", request_id)
            status, answer_headers, body = problem(Internal(_BLAND), request_id)
        else:
            status = 200
            answer_headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"server-timing", server_timing(timing)),
                *variant.headers,
            ]
        if own_id:
            answer_headers.append((b"x-request-id", request_id.encode()))
        await respond(send, status, answer_headers, body)

    async def _predict(
        self,
        endpoint: Endpoint,
        headers: header.Headers,
        receive: Receive,
        request_id: str,
        started: float,
    ) -> tuple[Variant, Tensors, Timing]:
        route = endpoint.route
        deadline = started + header.timeout_ms(headers, route.deadline_ms) / 1000
        header.require_json(headers)
        header.check_length(headers, route.max_body_bytes)
        body = await read_body(receive, route.max_body_bytes)
        tensors, unit = endpoint.decoder.decode(body)
        if unit is None or "body" not in route.unit:
            unit = header.unit(headers) if "header" in route.unit else None
        # Without a unit the split is per request, and the request's id is as good a coin as any.
        variant = endpoint.choose(unit or request_id)
        with DisconnectWatch(receive):
            answer, timing = await variant.pipeline.predict(tensors, deadline)
        return variant, answer, timing


_BLAND = "something failed on our side; the log has it under this request's id"


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body, at most `limit` bytes.

    Raises:
        BodyTooLarge: It is longer; what came so far is dropped.
        BodyTooSlow: It did not arrive within 10 s.
        ClientGone: The connection was closed first.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _read_rest(receive, body, limit)
    if len(body) > limit:
        raise header.too_large(limit)
    return body


async def _read_rest(receive: Receive, first: bytes, limit: int) -> bytes:
    chunks, size = [first], len(first)
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise header.too_large(limit)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        raise BodyTooSlow(f"the body did not arrive within {BODY_WITHIN_S:g} s") from None


async def respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
