"""What users see of a stack: Nginx' own log, and a steady question of ours so that there is always something in it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from cotai_tasks.deploy.proxy import PROXY
from cotai_tasks.engine import leashed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container

_FAILED = 500
_SHARE = 0.01
_FEWEST = 3
"""Failed requests below which nothing is concluded."""
_RATE = "2/s"
"""Of our own questions: far below Nginx' limit for one client."""


class Seen(BaseModel):
    """What users saw for a while."""

    model_config = ConfigDict(frozen=True)

    requests: int = 0
    failed: int = 0
    """Answered with a status of 500 or more."""
    p95_ms: float = 0.0

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.requests:,} requests, {self.failed:,} failed, p95 {self.p95_ms:.0f} ms"


def read_log(lines: Iterable[str]) -> Seen:
    """Read Nginx' access log; other lines are passed over."""
    times, failed = [], 0
    for line in lines:
        if not line.startswith('{"timestamp"'):
            continue
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:  # cut short
            continue
        times.append(float(told["request_time"]))
        failed += told["status"] >= _FAILED
    times.sort()
    p95 = times[min(len(times) - 1, int(len(times) * 0.95))] * 1000 if times else 0.0
    return Seen(requests=len(times), failed=failed, p95_ms=round(p95, 1))


def seen(proxies: Iterable[Container], since: float, engine: Engine, until: float | None = None) -> Seen:
    """Tell what users saw between two moments, in seconds since 1970; up to now without the second."""
    span = ["--since", f"{since:.3f}", *(["--until", f"{until:.3f}"] if until else [])]
    return read_log(line for one in proxies for line in engine.stream("container", "logs", *span, one.id))


def worse(before: Seen, after: Seen) -> str:
    """Say why what users see now is not what they saw before; empty where it is."""
    if after.failed < _FEWEST:
        return ""
    share, usual = after.failed / after.requests, before.failed / max(before.requests, 1)
    if share <= max(_SHARE, 2 * usual):
        return ""
    return f"{after.failed} of {after.requests} requests failed ({share:.0%}; before it {usual:.0%})"


@contextmanager
def asked_steadily(proxy: Container, host: str, engine: Engine) -> Iterator[None]:
    """Ask for the health page as a user does, twice a second, as long as the block lasts.

    One client does it within Nginx' container; each request has a connection of its own, as a new user's.
    """
    address = f"{host}:8443"
    command = ["curl", "--insecure", "--silent", "--max-time", "20", "--rate", _RATE, "--output", "/dev/null"]
    command += ["--header", "Connection: close", "--user-agent", "cotai-probe", "--http1.1"]
    command += ["--resolve", f"{address}:127.0.0.1", f"https://{address}/health?[1-100000]"]
    with engine.pipe("exec", "--interactive", proxy.id, *leashed(command), what=f"asking {PROXY} steadily"):
        yield
