"""What the kernel counts of containers, asked of the engine all at once; Docker's own command takes two seconds for it.

`docker system dial-stdio` speaks the engine's interface through whatever leads to it: a socket, SSH, a context.
"""

from __future__ import annotations

import io
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cotai_tasks.engine import Engine

_VERSION = "v1.44"
"""Of the engine's interface: Engine 25 has it, and all that came after."""
_PAUSE = 0.3
"""Seconds between two looks while a load runs."""
_OK = 200


@dataclass(frozen=True)
class Strain:
    """What one container has used so far, and uses now."""

    memory: int
    """Bytes that the kernel could not take back: without the cache of files."""
    limit: int
    """Bytes; without a limit of its own it is the host's."""
    periods: int = 0
    """Stretches of time in which it wanted a processor."""
    throttled: int = 0
    """Those of them in which its limit made it wait."""
    pids: int = 0


@dataclass
class Watched:
    """What containers used while something went on, by their ids."""

    first: dict[str, Strain] = field(default_factory=dict)
    last: dict[str, Strain] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Bytes of memory, the most of all looks."""
    looks: int = 0

    def add(self, now: Mapping[str, Strain]) -> None:
        """Take in one look."""
        self.first = dict(now) if not self.looks else self.first
        self.last |= now
        self.looks += 1
        for one, strain in now.items():
            self.peaks[one] = max(self.peaks[one], strain.memory)

    def throttling(self, one: str) -> float:
        """Give the share of its time in which a container was made to wait."""
        before, after = self.first.get(one), self.last.get(one)
        if not before or not after or after.periods <= before.periods:
            return 0.0
        return (after.throttled - before.throttled) / (after.periods - before.periods)


def measure(engine: Engine, ids: Sequence[str]) -> dict[str, Strain]:
    """Measure running containers; one that has gone is left out."""
    if not ids:
        return {}
    paths = [f"/{_VERSION}/containers/{one}/stats?stream=false&one-shot=true" for one in ids]
    text = "\r\n".join(f"GET {path} HTTP/1.1\r\nHost: docker\r\n" for path in paths) + "Connection: close\r\n\r\n"
    with engine.pipe("system", "dial-stdio", what="the engine's counters", patience=30) as running:
        running.write(text.encode())
        told = b"".join(iter(running.read, b""))  # its input stays open until the answer is there
        running.finish()
    return {one: read_strain(raw) for one, raw in zip(ids, read_answers(told, len(ids)), strict=True) if raw}


def watch(engine: Engine, ids: Sequence[str], goes_on: Callable[[], bool]) -> Watched:
    """Look again and again while something goes on, and once more in the end."""
    watched = Watched()
    watched.add(measure(engine, ids))
    while goes_on():
        time.sleep(_PAUSE)
        watched.add(measure(engine, ids))
    return watched


def read_answers(told: bytes, number: int) -> list[dict[str, Any] | None]:
    """Read so many answers that came one after the other; None for each that is no success."""
    source = _Source(told)
    found: list[dict[str, Any] | None] = []
    for _ in range(number):
        answer = HTTPResponse(source)  # type: ignore[arg-type]  # of a socket it wants `makefile` alone
        answer.begin()
        text = answer.read()
        found.append(json.loads(text) if answer.status == _OK else None)
    return found


def read_strain(raw: Mapping[str, Any]) -> Strain:
    """Read what the engine counts of one container, under either version of control groups."""
    memory, processor = raw.get("memory_stats") or {}, (raw.get("cpu_stats") or {}).get("throttling_data") or {}
    counts = memory.get("stats") or {}
    cached = sum(counts.get(f"total_{name}", counts.get(name, 0)) for name in ("active_file", "inactive_file"))
    return Strain(
        memory=max(0, memory.get("usage", 0) - cached),
        limit=memory.get("limit", 0),
        periods=processor.get("periods", 0),
        throttled=processor.get("throttled_periods", 0),
        pids=(raw.get("pids_stats") or {}).get("current", 0),
    )


class _Source(io.BytesIO):
    """Bytes that stay open from one answer to the next."""

    def makefile(self, *_: object) -> _Source:
        """Give itself, as a socket gives its file."""
        return self

    def close(self) -> None:
        """Stay open."""
