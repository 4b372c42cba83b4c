"""Stands for every service behind Nginx, by port: tells what it was asked, streams events, echoes WebSocket messages.

Runs in a container that has Python and nothing else: `python -c "$(cat upstream.py)"`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PORTS = {8000: "backend", 8001: "llm-service", 5555: "flower", 9090: "prometheus", 3000: "grafana"}
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Upstream(BaseHTTPRequestHandler):
    """Answers by the path: …/events streams, …/slow waits, …/refuse is an error of its own, the rest is told back."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Choose by the path."""
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.headers.get("Upgrade") == "websocket":
            self.echo()
        elif url.path.endswith("/events"):
            self.stream(int(asked.get("count", "4")), float(asked.get("every", "0.3")))
        else:
            time.sleep(float(asked.get("wait", "0")))
            self.answer(503 if url.path.endswith("/refuse") else 200)

    def do_POST(self) -> None:
        """Take the body in, and answer as to a GET."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.do_GET()

    def answer(self, status: int) -> None:
        """Tell who was asked what; with headers of its own that are Nginx's to say."""
        service = PORTS[self.connection.getsockname()[1]]
        told = {"service": service, "method": self.command, "path": self.path, "headers": dict(self.headers.items())}
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Frame-Options", "SAMEORIGIN")
        self.send_header("Content-Security-Policy", "default-src *")
        self.send_header("X-Request-ID", "the-upstream-s-own")
        if status != 200:
            self.send_header("Retry-After", "5")
        self.end_headers()
        self.wfile.write(body)

    def stream(self, count: int, every: float) -> None:
        """Send server-sent events, one by one."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(count):
            self.wfile.write(f"data: {number}\n\n".encode())
            self.wfile.flush()
            time.sleep(every)
        self.close_connection = True

    def echo(self) -> None:
        """Send back each short WebSocket message."""
        digest = hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + WEBSOCKET).digest()  # noqa: S324
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        while (head := self.rfile.read(2)) and head[0] & 0x0F != 8:
            mask, masked = self.rfile.read(4), self.rfile.read(head[1] & 0x7F)
            plain = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
            self.wfile.write(bytes([0x81, len(plain)]) + plain)
            self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


for port in PORTS:
    threading.Thread(target=ThreadingHTTPServer(("", port), Upstream).serve_forever).start()
