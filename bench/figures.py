"""Every figure that the project claims: what it is, what it is held against, and what was measured."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Part = Literal["images", "stacks", "latencies", "deploys", "backup"]
PARTS: tuple[Part, ...] = ("images", "stacks", "latencies", "deploys", "backup")
"""In the order in which they are measured."""


@dataclass(frozen=True)
class Expectation:
    """What the documents promise: at most, or at least, a number, or so many times what the peer has."""

    sign: Literal["≤", "≥"]
    bound: float
    of_peer: bool = False

    def holds(self, value: float, peer: float | None) -> bool | None:
        """Tell whether it does; None without the peer's figure that it takes."""
        if self.of_peer and peer is None:
            return None
        bound = self.bound * peer if self.of_peer and peer is not None else self.bound
        return value <= bound if self.sign == "≤" else value >= bound


@dataclass(frozen=True)
class Figure:
    """One figure, measured or not."""

    part: Part
    what: str
    unit: str
    command: str
    """Where somebody meets it."""
    peer: str = ""
    """What it is set beside; empty where there is nothing to compare with."""
    expected: Expectation | None = None
    """None where nothing is promised."""
    runs: tuple[float, ...] = ()
    """What was measured, each time."""
    peer_runs: tuple[float, ...] = ()
    note: str = ""
    """Why it, or its peer, was not measured."""

    @property
    def value(self) -> float | None:
        """The median of the runs."""
        return statistics.median(self.runs) if self.runs else None

    @property
    def peer_value(self) -> float | None:
        """The median of the peer's runs."""
        return statistics.median(self.peer_runs) if self.peer_runs else None

    @property
    def holds(self) -> bool | None:
        """Whether it is as expected; None where nothing is expected, or nothing was measured."""
        if self.value is None or self.expected is None:
            return None
        return self.expected.holds(self.value, self.peer_value)


def _most(bound: float) -> Expectation:
    return Expectation("≤", bound)


def _most_of_peer(bound: float) -> Expectation:
    return Expectation("≤", bound, of_peer=True)


def _least_of_peer(bound: float) -> Expectation:
    return Expectation("≥", bound, of_peer=True)


_NAIVE, _SIZES, _REBUILD = "Dockerfile.naive", "inv build.sizes", "inv build.sizes --rebuild"
_UP, _DEV, _PROD = "docker compose up -d", "inv deploy.dev", "inv deploy.prod"
_RECREATE, _ROLLBACK = "docker compose up -d --force-recreate", "inv deploy.rollback"
_VALIDATE = "inv monitor.validate --group PERF,DB"
_CREATE, _RESTORE = "inv backup.create", "inv backup.restore"
_SHELL, _BACK = "zstd, age, aws s3 cp", "aws s3 cp, age, zstd"

CATALOGUE: dict[str, Figure] = {
    "size-development": Figure("images", "size of development", "MB", _SIZES, _NAIVE, _most_of_peer(0.35)),
    "size-production": Figure("images", "size of production", "MB", _SIZES, _NAIVE, _most_of_peer(0.35)),
    "size-celery-worker": Figure("images", "size of celery-worker", "MB", _SIZES, _NAIVE, _most_of_peer(0.35)),
    "size-celery-beat": Figure("images", "size of celery-beat", "MB", _SIZES, _NAIVE, _most_of_peer(0.35)),
    "size-llm-processor": Figure("images", "size of llm-processor", "MB", _SIZES, _NAIVE, _most_of_peer(0.25)),
    "size-flower": Figure("images", "size of flower", "MB", _SIZES, _NAIVE, _most_of_peer(0.25)),
    "rebuild-nothing": Figure("images", "build again, nothing changed", "s", "inv build.image production", _NAIVE),
    "rebuild-code": Figure("images", "build again, a line of code changed", "s", _REBUILD, _NAIVE, _most_of_peer(0.2)),
    "rebuild-dependency": Figure("images", "build again, a dependency added", "s", _REBUILD, _NAIVE, _most_of_peer(1)),
    "dev-start": Figure("stacks", "development, from nothing to all healthy", "s", _DEV, _UP, _most(90)),
    "prod-start": Figure("stacks", "production, from nothing to all healthy", "s", _PROD, "", _most(90)),
    "prod-again": Figure("stacks", "production, all containers made anew on their data", "s", _PROD, _UP, _most(30)),
    "unchanged": Figure("stacks", "a deploy with nothing to do", "s", _PROD, _UP, _most(3)),
    "list": Figure("stacks", "the list of all tasks", "s", "inv --list", "Invoke with one task", _most_of_peer(2)),
    "api-p50": Figure("latencies", "API through Nginx and TLS, p50", "ms", _VALIDATE, "beside Nginx"),
    "api-p95": Figure("latencies", "API through Nginx and TLS, p95", "ms", _VALIDATE, "beside Nginx", _most(200)),
    "api-p99": Figure("latencies", "API through Nginx and TLS, p99", "ms", _VALIDATE, "beside Nginx"),
    "postgres-read": Figure("latencies", "PostgreSQL, indexed read, p95", "ms", _VALIDATE, "", _most(50)),
    "mongodb-write": Figure("latencies", "MongoDB, write to a majority, p95", "ms", _VALIDATE, "", _most(50)),
    "redis-pair": Figure("latencies", "Redis, SET and GET, p95", "ms", _VALIDATE, "", _most(5)),
    "gateway": Figure(
        "latencies", "LLM gateway, with a model that answers at once, p95", "ms", _VALIDATE, "", _most(500)
    ),
    "first-word": Figure("latencies", "LLM gateway and model, first word, p95", "ms", _VALIDATE, "", _most(500)),
    "task": Figure("latencies", "a Celery task, there and back, p95", "ms", _VALIDATE, "", _most(500)),
    "deploy-failed": Figure("deploys", "requests that failed during a deploy", "", _PROD, _RECREATE, _most(0)),
    "deploy-seconds": Figure("deploys", "a deploy that changes five services, watched for 5 s", "s", _PROD, _RECREATE),
    "deploy-beside": Figure("deploys", "of it: new containers beside the old ones", "s", _PROD),
    "deploy-flip": Figure("deploys", "of it: Nginx asks the new ones", "s", _PROD),
    "deploy-drain": Figure("deploys", "of it: the requests in hand end", "s", _PROD),
    "deploy-retire": Figure("deploys", "of it: the old ones finish and go", "s", _PROD),
    "deploy-scheduler": Figure("deploys", "of it: the scheduler, never two", "s", _PROD),
    "deploy-memory": Figure("deploys", "memory of all containers, most during a deploy", "MB", _PROD, "before it"),
    "rollback-failed": Figure("deploys", "requests that failed during a rollback", "", _ROLLBACK, _RECREATE, _most(0)),
    "rollback-flip": Figure("deploys", "a rollback: Nginx asks the other release", "s", _ROLLBACK, "", _most(3)),
    "create-1": Figure("backup", "create, zstd 1", "MB/s", f"{_CREATE} --level 1", _SHELL, _least_of_peer(1)),
    "create-3": Figure("backup", "create, zstd 3", "MB/s", _CREATE, _SHELL, _least_of_peer(1)),
    "create-restic": Figure("backup", "create, zstd 3, beside restic", "MB/s", _CREATE, "restic", _least_of_peer(1.9)),
    "create-memory": Figure("backup", "create, most memory", "MiB", _CREATE, "restic", _most(200)),
    "restore-3": Figure("backup", "restore", "MB/s", _RESTORE, _BACK, _least_of_peer(1)),
    "restore-restic": Figure("backup", "restore, beside restic", "MB/s", _RESTORE, "restic"),
    "restore-memory": Figure("backup", "restore, most memory", "MiB", _RESTORE, "restic", _most(200)),
    "serving": Figure("backup", "API while a backup is made, p95", "ms", _CREATE, "without one", _most_of_peer(1.3)),
    "drill": Figure("backup", "a drill of the whole stack", "s", "inv backup.drill", "", _most(300)),
}
"""Every figure by a short name, in the order of the table. A part is done once it has given each of its own."""


def measured(
    name: str, runs: float | Sequence[float], peer_runs: float | Sequence[float] = (), note: str = ""
) -> Figure:
    """Fill a figure of the catalogue in; several runs become their median."""
    return replace(CATALOGUE[name], runs=_runs(runs), peer_runs=_runs(peer_runs), note=note)


def missing(names: Collection[str], why: str) -> list[Figure]:
    """Give figures of the catalogue that could not be measured, with the reason."""
    return [replace(CATALOGUE[name], note=why) for name in CATALOGUE if name in names]


def of_part(part: Part) -> list[str]:
    """Name the figures of a part."""
    return [name for name, one in CATALOGUE.items() if one.part == part]


def whole(found: Collection[Figure], part: Part, why: str) -> list[Figure]:
    """Give every figure of a part in the catalogue's order: those that are not among the found ones with the reason."""
    by_name = {one.what: one for one in found}
    return [by_name.get(CATALOGUE[name].what) or replace(CATALOGUE[name], note=why) for name in of_part(part)]


def _runs(given: float | Sequence[float]) -> tuple[float, ...]:
    return (float(given),) if isinstance(given, (int, float)) else tuple(given)
