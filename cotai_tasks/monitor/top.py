"""Who uses what: the containers of a stack, the largest first, again and again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cotai_tasks.console import make_table, size
from cotai_tasks.errors import UsageError, nearest
from cotai_tasks.facts import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.table import Table

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.settings import Settings

_COLUMNS = ("container", "state", "cpu", "memory", "of limit", "network in / out", "disk read / written", "restarts")
_NEARLY_FULL = 0.8
"""Share of the memory limit from which the figure is shown as a warning."""


@dataclass(frozen=True)
class Consumer:
    """One running container, and what it uses."""

    service: str
    container: str
    state: str
    """Its health, else running."""
    restarts: int
    cpu: float
    """Per cent of one core."""
    memory: int
    """Bytes."""
    memory_limit: int
    """Bytes; 0 is unlimited."""
    received: int
    """Bytes from the network, since it started."""
    sent: int
    read: int
    """Bytes from disks, since it started."""
    written: int

    @property
    def full(self) -> float:
        """The share of its limit that its memory is; 0 where there is none."""
        return self.memory / self.memory_limit if self.memory_limit else 0.0


@dataclass(frozen=True)
class Load:
    """What a whole stack uses, and what its host has."""

    stack: str
    cpus: int
    memory: int
    """Bytes of the engine's host."""
    containers: tuple[Consumer, ...]

    def as_json(self) -> dict[str, object]:
        """Give the load as plain data."""
        return asdict(self)


ORDERS: dict[str, Callable[[Consumer], float]] = {
    "memory": lambda one: one.memory,
    "full": lambda one: one.full,
    "cpu": lambda one: one.cpu,
    "network": lambda one: one.received + one.sent,
    "disk": lambda one: one.read + one.written,
    "restarts": lambda one: one.restarts,
}
"""What the containers may be sorted by; the largest comes first."""


def consumers(containers: Iterable[Container], usage: Mapping[str, Usage], order: str) -> tuple[Consumer, ...]:
    """Put together what runs and what it uses, sorted; of equals the first name comes first."""
    found = [_consumer(one, usage.get(one.id, Usage(0, 0))) for one in containers if one.state == "running"]
    return tuple(sorted(found, key=lambda one: (-ORDERS[order](one), one.container)))


def show_top(*, order: str, once: bool, as_json: bool, settings: Settings, engine: Engine, console: Console) -> Load:
    """Print who uses what: at a terminal again and again until Ctrl-C, else once. Give what was seen last.

    Raises `UsageError` for an order that there is not.
    """
    if order not in ORDERS:
        raise UsageError(f"--sort {order}: no such order", cure=nearest(order, ORDERS))
    load = _load(order, settings, engine)
    if as_json:
        console.json(load.as_json())
    elif not load.containers:
        console.say(f"{load.stack} is not running. inv deploy.{settings.environment} starts it.")
    elif once or not console.interactive:
        console.render(draw(load))
    else:
        with suppress(KeyboardInterrupt), console.live() as display:
            while True:  # each look takes the engine two seconds: it samples twice
                display.update(draw(load))
                load = _load(order, settings, engine)
    return load


def draw(load: Load) -> Table:
    """Draw a load as a table."""
    cpu = sum(one.cpu for one in load.containers)
    memory = sum(one.memory for one in load.containers)
    used = f"{cpu:.0f} % of {load.cpus * 100} % CPU, {size(memory)} of {size(load.memory)} of memory"
    return make_table(_COLUMNS, [_row(one) for one in load.containers], f"{load.stack}: {used}")


def _load(order: str, settings: Settings, engine: Engine) -> Load:
    containers = engine.containers(settings.stack_name)
    host = engine.info()
    found = consumers(containers, engine.usage(containers), order)
    return Load(settings.stack_name, int(host.get("NCPU", 0)), int(host.get("MemTotal", 0)), found)


def _consumer(one: Container, used: Usage) -> Consumer:
    return Consumer(
        service=one.service,
        container=one.name,
        state=one.health or one.state,
        restarts=one.restarts,
        cpu=used.cpu,
        memory=used.memory,
        memory_limit=one.memory_limit,
        received=used.received,
        sent=used.sent,
        read=used.read,
        written=used.written,
    )


def _row(one: Consumer) -> Sequence[str]:
    colour = {"healthy": "green", "running": "green", "starting": "yellow"}.get(one.state, "red")
    memory = f"{size(one.memory)} / {size(one.memory_limit)}" if one.memory_limit else size(one.memory)
    full = f"{one.full:.0%}" if one.memory_limit else ""
    return (
        one.container,
        f"[{colour}]{one.state}[/]",
        f"{one.cpu:.1f} %",
        memory,
        f"[yellow]{full}[/]" if one.full >= _NEARLY_FULL else full,
        f"{size(one.received)} / {size(one.sent)}",
        f"{size(one.read)} / {size(one.written)}",
        str(one.restarts or ""),
    )
