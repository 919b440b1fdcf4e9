"""A small HTTP proxy in front of a real server that does what networks and stores do on bad days."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_SLICE = 1 << 16


@dataclass
class Fault:
    """What happens to answers; with nothing set, nothing does.

    Attributes:
        status: Answer with this status instead of asking the server.
        code: The S3 error code of such an answer.
        bytes_per_s: Send the body this slowly.
        cut_after: Break the connection after so many bytes of the body.
        times: To how many answers `cut_after`, `flip` and `status` happen; to all if None.
        flip: Turn one bit of the body's byte at this place.
        on: Which requests it happens to, by method and path with query.
    """

    status: int | None = None
    code: str = "AccessDenied"
    bytes_per_s: int | None = None
    cut_after: int | None = None
    times: int | None = None
    flip: int | None = None
    on: Callable[[str, str], bool] = lambda method, path: True


def objects_only(method: str, path: str) -> bool:
    """For `Fault.on`: the bodies of objects, not listings."""
    return method == "GET" and "list-type" not in path


class Proxy:
    """Stands before the server on `port`.

    Attributes:
        endpoint: Its own URL.
        fault: What goes wrong now.
        served: Bytes of objects' bodies sent so far.
        requests: Methods and paths asked for so far.
    """

    def __init__(self, port: int) -> None:
        self.fault = Fault()
        self.served = 0
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self._upstream = port
        proxy = self

        class Handler(_Handler):
            def setup(self) -> None:
                self.proxy = proxy
                super().setup()

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def refuse(self) -> None:
        """From now on nobody listens at `endpoint`."""
        self._server.shutdown()
        self._server.server_close()

    def ask(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any, bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self._upstream)
        headers = {name: value for name, value in handler.headers.items() if name != "Connection"}
        upstream.request(handler.command, handler.path, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        return answer.status, answer.getheaders(), content

    def strikes(self, method: str, path: str) -> Fault:
        """The fault as it applies to this request; used up once if it has a number of times."""
        with self.lock:
            self.requests.append((method, path))
            if not self.fault.on(method, path):
                return Fault()
            if self.fault.times is None:
                return self.fault
            if self.fault.times == 0:
                return Fault()
            self.fault.times -= 1
            return self.fault

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: clients that break off are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.proxy.strikes(self.command, self.path)
        if fault.status:
            told = f"<Error><Code>{fault.code}</Code><Message>told to</Message></Error>".encode()
            self._answer(fault.status, [("Content-Length", str(len(told)))], told, Fault())
            return
        status, headers, content = self.proxy.ask(self, body)
        if fault.flip is not None and len(content) > fault.flip:
            turned = bytearray(content)
            turned[fault.flip] ^= 1
            content = bytes(turned)
        self._answer(status, headers, content, fault)

    do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815 - the base class's names

    def _answer(self, status: int, headers: Any, content: bytes, fault: Fault) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"connection", "transfer-encoding"}:
                self.send_header(name, value)
        self.end_headers()
        at, counts = 0, objects_only(self.command, self.path)
        step = _SLICE if fault.bytes_per_s is None else max(1, fault.bytes_per_s // 20)
        until = len(content) if fault.cut_after is None else min(fault.cut_after, len(content))
        try:
            while at < until:
                piece = content[at : min(at + step, until)]
                self.wfile.write(piece)
                at += len(piece)
                with self.proxy.lock:
                    self.proxy.served += len(piece) if counts else 0
                if fault.bytes_per_s is not None:
                    time.sleep(len(piece) / fault.bytes_per_s)
        except OSError:  # the client has gone
            self.close_connection = True
        if until < len(content):
            self.close_connection = True
