"""Clients that stay connected while a stack is deployed, and come back when that ends, as a browser does."""

from __future__ import annotations

import json
import ssl
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING

import requests
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, WebSocketException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.conftest import Production


@dataclass
class Streams:
    """What was sent, and what each client got of it."""

    sent: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Events that could not even be announced."""
    by_socket: list[int] = field(default_factory=list)
    by_lines: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    """The codes with which the WebSocket was closed."""


@contextmanager
def streams(stack: Production) -> Iterator[Streams]:
    """Announce events as long as the block lasts, and follow them by a WebSocket and by server-sent events."""
    found, over = Streams(), Event()
    opened = requests.post(stack.url("/api/trial/events"), verify=stack.authority, timeout=30)
    tender = str(opened.json())
    work: tuple[Callable[[Production, str, Streams, Event], None], ...] = (_announce, _follow_socket, _follow_lines)
    threads = [Thread(target=one, args=(stack, tender, found, over), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        threads[0].join()
        end = time.monotonic() + 60
        while time.monotonic() < end and not found.sent == found.by_socket == found.by_lines:
            time.sleep(0.5)


def _announce(stack: Production, tender: str, found: Streams, over: Event) -> None:
    number = 0
    while not over.wait(0.5):
        number += 1
        answer = requests.post(stack.url(f"/api/trial/events/{tender}/{number}"), verify=stack.authority, timeout=30)
        if answer.status_code == 200:
            found.sent.append(number)
        else:
            found.refused.append(f"{number}: {answer.status_code}")


def _follow_socket(stack: Production, tender: str, found: Streams, over: Event) -> None:
    trust, after = ssl.create_default_context(cafile=stack.authority), "0"
    address = stack.url(f"/ws/tenders/{tender}").replace("https", "wss")
    while not over.is_set() or found.by_socket != found.sent:
        with (
            suppress(OSError, WebSocketException),
            websockets.sync.client.connect(f"{address}?after={after}", ssl=trust, open_timeout=15) as socket,
        ):
            try:
                for text in socket:
                    event = json.loads(text)
                    if event["id"] != after:  # a quiet stream repeats the last
                        after = event["id"]
                        found.by_socket.append(int(event["detail"]))
            except ConnectionClosed as error:
                found.closed.append(error.rcvd.code if error.rcvd else 0)
        time.sleep(0.5)


def _follow_lines(stack: Production, tender: str, found: Streams, over: Event) -> None:
    after = "0"
    while not over.is_set() or found.by_lines != found.sent:
        with (
            suppress(requests.RequestException),
            requests.get(
                stack.url(f"/api/trial/events/{tender}"),
                headers={"Last-Event-ID": after},
                verify=stack.authority,
                timeout=30,
                stream=True,
            ) as answer,
        ):
            for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                name, _, value = line.partition(": ")
                if name == "id":
                    after = value
                elif name == "data":
                    found.by_lines.append(int(value))
        time.sleep(0.5)
