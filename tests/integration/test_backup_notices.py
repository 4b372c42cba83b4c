"""Notices, posted to a real server: what it gets, and how little one that misbehaves can do."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from cotai_tasks import notify as notices
from cotai_tasks.testing import RecordingConsole
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


class Server(ThreadingHTTPServer):
    """A webhook that answers as its path says, and remembers what it was sent."""

    got: list[tuple[str, str | None, dict[str, str]]]
    silent: threading.Event


class Hook(BaseHTTPRequestHandler):
    """Answers by the path."""

    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
        if self.path == "/silent":
            self.server.silent.wait()
            return
        self.send_response({"/refuses": 403, "/moved": 302}.get(self.path, 200))
        if self.path == "/moved":
            self.send_header("Location", "/elsewhere")
        if self.path == "/endless":
            self.send_header("Content-Length", str(2**40))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Hook)
    made.got, made.silent = [], threading.Event()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.silent.set()
    made.shutdown()
    thread.join()
    made.server_close()


def tell(server: Server, path: str) -> str:
    """Send a notice there, and give what was printed."""
    console = RecordingConsole()
    given = settings(BACKUP_WEBHOOK_URL=f"http://127.0.0.1:{server.server_port}{path}")
    notices.notify(given, "failure", "the disk is full", detail=["postgres: 3 bytes"], console=console)
    return console.text()


def test_a_notice_arrives(server: Server) -> None:
    """As JSON, whole; an answer that never ends is not waited for."""
    assert tell(server, "/services/token") + tell(server, "/endless") == ""
    [(path, kind, notice), _] = server.got
    assert (path, kind) == ("/services/token", "application/json")
    assert notice["text"].endswith(": the disk is full.\npostgres: 3 bytes")
    assert (notice["stack"], notice["event"], notice["detail"]) == ("cotai-dev", "failure", "postgres: 3 bytes")


@pytest.mark.parametrize(
    ("path", "said"),
    [("/refuses", "answered 403"), ("/moved", "answered 302"), ("/silent", "could not be asked (ReadTimeout)")],
)
def test_a_webhook_that_misbehaves_costs_a_warning(
    path: str, said: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refusing, sending elsewhere, or silent for ever: asked once, and the command goes on."""
    monkeypatch.setattr(notices, "_TIMEOUT", (1.0, 0.5))
    assert tell(server, path) == f"! nobody was told of it: 127.0.0.1 {said}\n"
    assert [one for one, *_ in server.got] == [path]


def test_a_webhook_that_is_not_there_costs_a_warning(server: Server) -> None:
    """The port alone would not say so much: nobody listens there."""
    server.shutdown()
    server.server_close()
    assert tell(server, "/") == "! nobody was told of it: 127.0.0.1 could not be asked (ConnectionError)\n"
