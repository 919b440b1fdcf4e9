"""A folder served as an S3 bucket by processes that do little but `sendfile`: what is measured is then the client.

`python s3_files.py FOLDER PORT PROCESSES`. Knows ListObjectsV2 (one page), HeadObject and GetObject with a range and
If-Match, path-style, and checks no signature. Nothing that a test should lean on: those talk to moto.
"""

from __future__ import annotations

import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Handler(BaseHTTPRequestHandler):
    """One connection; bodies go from the page cache to the socket in the kernel."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def log_message(self, *_):
        pass

    def do_GET(self):
        parts = urlsplit(self.path)
        query, key = parse_qs(parts.query), unquote(parts.path).lstrip("/").partition("/")[2]
        if "list-type" in query:
            self.listing(query.get("prefix", [""])[0])
            return
        path = self.folder / key
        if not path.is_file():
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        if self.headers.get("If-Match", etag(path)) != etag(path):
            self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        self.content(path)

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def content(self, path: Path):
        size, start = path.stat().st_size, 0
        end = size - 1
        spec = self.headers.get("Range")
        if spec:
            first, _, last = spec.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or end), end)
        self.send_response_only(206 if spec else 200)
        self.send_header("Content-Length", str(end - start + 1))
        if spec:
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("ETag", etag(path))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.flush()
        if self.command == "HEAD":
            return
        with path.open("rb") as file:
            while start <= end:
                start += os.sendfile(
                    self.connection.fileno(), file.fileno(), start, end - start + 1
                )

    def listing(self, prefix: str):
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        items = [(str(path.relative_to(self.folder)), path) for path in found]
        told = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{path.stat().st_size}</Size>"
            f"<ETag>{escape(etag(path))}</ETag></Contents>"
            for key, path in items
            if key.startswith(prefix)
        )
        self.answer(
            200,
            f"<ListBucketResult><IsTruncated>false</IsTruncated>{told}</ListBucketResult>".encode(),
        )

    def answer(self, status: int, body: bytes):
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def etag(path: Path) -> str:
    """Of two parts, as far as a client can tell: no MD5 of the whole."""
    return f'"{path.stat().st_mtime_ns:032x}-2"'


class Server(ThreadingHTTPServer):
    """Shares its port with the other processes."""

    daemon_threads = True
    request_queue_size = 64

    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


def main() -> None:
    Handler.folder = Path(sys.argv[1])
    for _ in range(int(sys.argv[3]) - 1):
        if os.fork() == 0:
            break
    Server(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()


if __name__ == "__main__":
    main()
