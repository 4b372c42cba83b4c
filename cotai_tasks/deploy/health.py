"""Deciding whether services have come up: pure functions on what the engine shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cotai_tasks.stack import containers_by_service

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cotai_tasks.facts import Container
    from cotai_tasks.stack import Service

Verdict = Literal["ready", "done", "waiting", "unhealthy", "failed"]
"""`done` is a one-shot that exited 0; `unhealthy` may still recover, `failed` will not by itself."""

MAX_RESTARTS = 3
"""Restarts after which a service that comes and goes counts as failed."""


@dataclass(frozen=True)
class Standing:
    """How one service stands, and why."""

    service: str
    verdict: Verdict
    reason: str

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.verdict in {"ready", "done"}


def assess(
    services: Mapping[str, Service], containers: Collection[Container], earlier: Collection[tuple[str, str]] = ()
) -> list[Standing]:
    """Tell how each of the services stands, in their own order.

    `earlier` holds the runs (`Container.run`) from before the command that starts them: one that has ended is about to
    be started again, and says nothing yet.
    """
    found = containers_by_service(containers)
    return [_service(one, found.get(name, []), earlier) for name, one in services.items()]


def _service(service: Service, containers: list[Container], earlier: Collection[tuple[str, str]]) -> Standing:
    if not containers:
        return Standing(service.name, "waiting", "not created yet")
    if any(one.state in _ENDED and one.run in earlier for one in containers):
        return Standing(service.name, "waiting", "not started yet")
    return min((_container(service, one) for one in containers), key=lambda standing: _ORDER[standing.verdict])


_ENDED = {"exited", "dead"}
_ORDER: dict[Verdict, int] = {"failed": 0, "unhealthy": 1, "waiting": 2, "done": 3, "ready": 4}


def _container(service: Service, one: Container) -> Standing:
    name = service.name
    if one.oom_killed and one.state != "running":
        return Standing(name, "failed", f"killed for using more than its {one.memory_limit // 2**20} MiB")
    if one.restarts >= MAX_RESTARTS and one.health != "healthy":
        return Standing(name, "failed", f"restarted {one.restarts} times (exit code {one.exit_code})")
    if one.state == "exited" and service.one_shot:
        return Standing(name, "failed" if one.exit_code else "done", f"exited {one.exit_code}")
    if one.state in _ENDED:
        return Standing(name, "failed", f"exited {one.exit_code}")
    if one.state != "running":
        return Standing(name, "waiting", one.state)
    if service.one_shot:
        return Standing(name, "waiting", "still running")
    if one.health == "unhealthy":
        return Standing(name, "unhealthy", "its healthcheck fails")
    if one.health == "starting":
        return Standing(name, "waiting", "starting")
    return Standing(name, "ready", one.health or "running")
