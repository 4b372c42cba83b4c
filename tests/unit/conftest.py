"""Unit tests run anywhere: whatever of them reaches for Docker or the network fails."""

from __future__ import annotations

import socket
import subprocess
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence


class Forbidden(BaseException):
    """A unit test reached for something outside; no `except Exception` may swallow it."""


@pytest.fixture(autouse=True)
def _nothing_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    start = subprocess.Popen.__init__

    def guarded_start(self: subprocess.Popen[Any], args: str | Sequence[Any], *rest: Any, **options: Any) -> None:  # noqa: ANN401
        program = args.split()[0] if isinstance(args, str) else str(args[0])
        if PurePath(program).name.startswith("docker"):
            raise Forbidden(f"a unit test must not run {program}: use FakeEngine, or mark it `integration`")
        start(self, args, *rest, **options)

    def connect(_: socket.socket, address: object) -> None:
        raise Forbidden(f"a unit test must not connect to {address}: fake it, or mark it `integration`")

    def resolve(host: object, *_: object, **__: object) -> None:
        raise Forbidden(f"a unit test must not look up {host}: fake it, or mark it `integration`")

    monkeypatch.setattr(subprocess.Popen, "__init__", guarded_start)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
