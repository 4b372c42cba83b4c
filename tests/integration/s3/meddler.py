"""A proxy before an S3 service, that does to requests and answers what networks and services do on bad days."""

from __future__ import annotations

import http.client
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>Said by the test.</Message></Error>"


@dataclass
class Request:
    """What came in."""

    operation: str
    """`UploadPart`, `CompleteMultipartUpload`, `PutObject`, `GetObject`, `HeadObject`, …"""
    number: int
    """How often this operation was asked for so far, this time included."""
    body: bytes


@dataclass
class Answer:
    """What goes out."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: int = -1
    """After how many bytes of the body the connection breaks; -2 is before the first line."""


NOTHING = -2
Meddling = Callable[[Request, Callable[[], Answer]], Answer]


def as_it_is(_: Request, forward: Callable[[], Answer]) -> Answer:
    """Change nothing."""
    return forward()


def refusal(code: str, status: int) -> Answer:
    """Make an answer that the service itself would give."""
    return Answer(status, {"Content-Type": "application/xml"}, ERROR.format(code=code).encode())


@dataclass
class Meddler:
    """The running proxy; `meddling` decides about each request."""

    endpoint: str
    meddling: Meddling = as_it_is
    counts: Counter[str] = field(default_factory=Counter)
    over: Event = field(default_factory=Event)
    """Set at the end of the test: whatever hangs on purpose goes on."""


@contextmanager
def meddler(upstream: str) -> Iterator[Meddler]:
    """Stand before a service for as long as the block lasts; whoever keeps a connection open then loses it."""
    connections: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.append(self.request)
            super().setup()

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            operation = name_of(self.command, self.path)
            found.counts[operation] += 1
            request = Request(operation, found.counts[operation], self.rfile.read(length))
            answer = found.meddling(request, lambda: self.forward(request.body))
            self.close_connection = answer.cut != -1
            if answer.cut == NOTHING:
                return
            self.send_response(answer.status)
            for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body if answer.cut == -1 else answer.body[: answer.cut])

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - as http.server wants it

        def forward(self, body: bytes) -> Answer:
            there = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name != "Expect"}
            there.request(self.command, self.path, body, headers)
            told = there.getresponse()
            kept = {name: value for name, value in told.getheaders() if name.lower() not in {"connection", "date"}}
            answer = Answer(told.status, kept, told.read())
            there.close()
            return answer

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found = Meddler(f"http://127.0.0.1:{server.server_address[1]}")
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield found
        finally:
            found.over.set()
            server.shutdown()
            for connection in connections:
                with suppress(OSError):  # closed before
                    connection.shutdown(socket.SHUT_RDWR)


def name_of(method: str, path: str) -> str:
    """Name an operation as S3's own documentation does."""
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if "uploadId" in query:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}[method]
    if "uploads" in query:
        return {"POST": "CreateMultipartUpload", "GET": "ListMultipartUploads"}[method]
    if "list-type" in query:
        return "ListObjectsV2"
    return {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}[method]
