"""What runs, how it fares and what it uses."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cotai_tasks.console import duration, make_table, size
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rich.table import Table

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container, Usage
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Service

_COLUMNS = ("service", "state", "uptime", "restarts", "cpu", "memory", "ports")
MISSING = "missing"
_NEARLY_FULL = 80
"""Per cent of the memory limit from which the figure is shown as a warning."""


@dataclass(frozen=True)
class ServiceStatus:
    """One container, or the lack of it, as people and programs want to see it."""

    service: str
    container: str
    state: str
    """The engine's word, or its health where it has a healthcheck: healthy, starting, unhealthy, running, exited …

    Also done, for a one-shot that has ended well, and missing, for a service without a container.
    """
    ok: bool
    exit_code: int
    uptime: float
    """Seconds since it started; 0 when it does not run."""
    restarts: int
    cpu: float
    """Per cent of one core."""
    memory: int
    """Bytes."""
    memory_limit: int
    """Bytes; 0 is unlimited."""
    ports: tuple[str, ...]


@dataclass(frozen=True)
class StackStatus:
    """A whole stack."""

    stack: str
    source: str
    services: tuple[ServiceStatus, ...]

    @property
    def ok(self) -> bool:
        """Whether something runs, and nothing of it is in trouble; what was never started, by --only, is in none."""
        present = [one for one in self.services if one.state != MISSING]
        return bool(present) and all(one.ok for one in present)

    def as_json(self) -> dict[str, object]:
        """Give the status as plain data."""
        return asdict(self) | {"ok": self.ok}


def stack_status(*, settings: Settings, engine: Engine, console: Console) -> StackStatus:  # noqa: ARG001 - every procedure takes the three
    """Observe a stack; takes about two seconds, because the engine samples CPU twice."""
    stack = open_stack(settings, engine)
    one_shots = {name for name, one in stack.services.items() if one.one_shot}
    containers = engine.containers(stack.project.name)
    usage = engine.usage(containers)
    services = [describe(one, usage, one_shots, datetime.now(UTC)) for one in containers]
    services += [absent(name) for name in missing(stack.services, {one.service for one in containers})]
    return StackStatus(stack.project.name, stack.source, tuple(services))


def missing(services: Mapping[str, Service], present: Collection[str]) -> list[str]:
    """Name the services without a container whose group has one; a group that was never started misses nothing."""
    groups = {one.group for name, one in services.items() if name in present}
    return sorted(name for name, one in services.items() if one.group in groups and name not in present)


def absent(service: str) -> ServiceStatus:
    """Describe a service that has no container."""
    return ServiceStatus(
        service=service,
        container="",
        state=MISSING,
        ok=False,
        exit_code=0,
        uptime=0,
        restarts=0,
        cpu=0,
        memory=0,
        memory_limit=0,
        ports=(),
    )


def describe(one: Container, usage: Mapping[str, Usage], one_shots: set[str], now: datetime) -> ServiceStatus:
    """Put together what is known of one container."""
    done = one.service in one_shots and one.state == "exited" and one.exit_code == 0
    state = "done" if done else (one.health or one.state) if one.state == "running" else one.state
    used = usage.get(one.id)
    return ServiceStatus(
        service=one.service,
        container=one.name,
        state=state,
        ok=state in {"healthy", "running", "done"},
        exit_code=one.exit_code,
        uptime=(now - _time(one.started_at)).total_seconds() if one.state == "running" else 0,
        restarts=one.restarts,
        cpu=used.cpu if used else 0,
        memory=used.memory if used else 0,
        memory_limit=one.memory_limit,
        ports=one.ports,
    )


def draw(status: StackStatus) -> Table:
    """Draw a status as a table."""
    total = sum(one.memory for one in status.services)
    count = sum(bool(one.container) for one in status.services)
    title = f"{status.stack}: {count} containers, {size(total)} of memory, {status.source} images"
    return make_table(_COLUMNS, [_row(one) for one in status.services], title)


def show_status(
    *, as_json: bool, watch: bool, settings: Settings, engine: Engine, console: Console
) -> StackStatus | None:
    """Print the status once and give it, or again and again until Ctrl-C: then nobody asks for a verdict."""
    status = stack_status(settings=settings, engine=engine, console=console)
    if as_json:
        console.json(status.as_json())
    elif not status.services:
        console.say(f"{status.stack} is not running. inv deploy.{settings.environment} starts it.")
    elif watch and console.interactive:
        with suppress(KeyboardInterrupt), console.live() as display:
            while True:
                display.update(draw(status))
                time.sleep(1)
                status = stack_status(settings=settings, engine=engine, console=console)
        return None
    else:
        console.render(draw(status))
        if absentees := [one.service for one in status.services if one.state == MISSING]:
            cure = f"inv deploy.{settings.environment} starts them."
            console.warn(f"without a container: {', '.join(absentees)} (left out by --only, or removed). {cure}")
    return status


def _row(one: ServiceStatus) -> Sequence[str]:
    colour = "green" if one.ok else "yellow" if one.state in {"starting", "created"} else "red"
    state = one.state if one.state != "exited" else f"exited {one.exit_code}"
    limit = f" / {size(one.memory_limit)}" if one.memory_limit else ""
    full = one.memory_limit and one.memory * 100 / one.memory_limit >= _NEARLY_FULL
    memory = f"{size(one.memory)}{limit}" if one.memory else ""
    return (
        one.service,
        f"[{colour}]{state}[/]",
        duration(one.uptime) if one.uptime else "",
        str(one.restarts or ""),
        f"{one.cpu:.1f} %" if one.memory else "",
        f"[yellow]{memory}[/]" if full else memory,
        " ".join(one.ports),
    )


def _time(text: str) -> datetime:
    """Read the engine's time, which has nanoseconds."""
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
