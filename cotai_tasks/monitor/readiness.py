"""Asking the application itself whether it could serve, within each of its containers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cotai_tasks.errors import EngineError

if TYPE_CHECKING:
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container

SERVICE = "backend"

# Our images have Python, whatever else the application brings; it is asked where its health check asks it.
_ASK = """
import http.client, json, sys, time
begun = time.perf_counter()
connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=5)
try:
    connection.request("GET", sys.argv[1])
    answer = connection.getresponse()
    told = {"status": answer.status, "body": answer.read(65536).decode(errors="replace")}
except (OSError, http.client.HTTPException) as error:
    told = {"status": 0, "body": str(error) or type(error).__name__}
print(json.dumps(told | {"milliseconds": (time.perf_counter() - begun) * 1000}))
"""
_GOOD = range(200, 400)


@dataclass(frozen=True)
class Dependency:
    """What a readiness page says of one neighbour."""

    name: str
    ok: bool
    required: bool
    """Whether the application cannot serve without it."""
    milliseconds: float
    error: str


@dataclass(frozen=True)
class Answer:
    """What one container's readiness page answers."""

    container: str
    status: int
    """Of HTTP; 0 where nothing came."""
    milliseconds: float
    body: str
    """The page, or why there is none."""

    @property
    def ok(self) -> bool:
        """Whether it would serve."""
        return self.status in _GOOD

    @property
    def dependencies(self) -> list[Dependency]:
        """What the page says of its neighbours, where it says that as the reference application does."""
        try:
            told: dict[str, dict[str, Any]] = json.loads(self.body)["dependencies"]
            return [
                Dependency(
                    name,
                    ok=bool(one["ok"]),
                    required=bool(one.get("required", True)),
                    milliseconds=float(one.get("latency_ms") or 0),
                    error=str(one.get("error") or ""),
                )
                for name, one in told.items()
            ]
        except (ValueError, LookupError, TypeError, AttributeError):  # another application's page
            return []


def ask_ready(one: Container, path: str, engine: Engine) -> Answer:
    """Ask one container for its readiness page; that nothing comes is an answer too."""
    try:
        told = json.loads(engine.command("exec", one.id, "python3", "-S", "-E", "-c", _ASK, path))
    except EngineError as error:
        if error.cure:  # no engine, no permission: not the application's fault
            raise
        return Answer(one.name, 0, 0, str(error))
    return Answer(one.name, told["status"], round(told["milliseconds"], 1), told["body"])
