"""`monitor.top`: who uses what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.errors import UsageError
from cotai_tasks.facts import Container, Usage
from cotai_tasks.monitor.top import ORDERS, consumers, show_top
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

API = container("api", memory_limit=1000)
CACHE = container("cache", memory_limit=0, restarts=3, health="")
DATABASE = container("database", memory_limit=4000)
USAGE = {
    API.id: Usage(cpu=5, memory=900, received=10, sent=0, read=0, written=5),
    CACHE.id: Usage(cpu=20, memory=800, received=5, sent=2, read=1, written=1),
    DATABASE.id: Usage(cpu=1, memory=2000, received=0, sent=90, read=0, written=0),
}


class Measured(FakeEngine):
    """An engine that measures `USAGE`."""

    def usage(self, containers: Sequence[Container]) -> dict[str, Usage]:
        """Give that of the running ones."""
        return {one.id: USAGE[one.id] for one in containers if one.state == "running"}


class Watched(RecordingConsole):
    """A console before which somebody sits."""

    @property
    def interactive(self) -> bool:
        """Somebody does."""
        return True


def show(console: RecordingConsole, **flags: Any) -> None:  # noqa: ANN401 - any flag
    engine = Measured(
        found_containers=[API, CACHE, DATABASE, container("migrate", state="exited")],
        host={"NCPU": 2, "MemTotal": 8_000_000_000},
    )
    given: dict[str, Any] = {"order": "memory", "once": True, "as_json": False} | flags
    show_top(**given, settings=settings(), engine=engine, console=console)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("memory", ["database", "api", "cache"]),
        ("full", ["api", "database", "cache"]),
        ("cpu", ["cache", "api", "database"]),
        ("network", ["database", "api", "cache"]),
        ("disk", ["api", "cache", "database"]),
        ("restarts", ["cache", "api", "database"]),
    ],
)
def test_the_largest_comes_first(order: str, names: list[str]) -> None:
    """By whichever figure is asked for; of equals the first name."""
    assert [one.service for one in consumers([DATABASE, CACHE, API], USAGE, order)] == names


def test_every_order_is_tried() -> None:
    """The test above knows them all."""
    assert list(ORDERS) == ["memory", "full", "cpu", "network", "disk", "restarts"]


def test_the_table_shows_shares_and_totals() -> None:
    """Of what runs alone; no share where there is no limit."""
    console = RecordingConsole()
    show(console)
    assert [" ".join(line.split()) for line in console.text().splitlines()] == [
        "cotai-dev: 26 % of 200 % CPU, 4 kB of 8.00 GB of memory",
        "container state cpu memory of limit network in / out disk read / written restarts",
        "cotai-dev-database-1 healthy 1.0 % 2 kB / 4 kB 50% 0 B / 90 B 0 B / 0 B",
        "cotai-dev-api-1 healthy 5.0 % 900 B / 1 kB 90% 10 B / 0 B 0 B / 5 B",
        "cotai-dev-cache-1 running 20.0 % 800 B 5 B / 2 B 1 B / 1 B 3",
    ]


def test_a_program_gets_every_figure() -> None:
    """In bytes and per cent of one core."""
    console = RecordingConsole()
    show(console, as_json=True, order="cpu")
    told = json.loads(console.text())
    assert {key: value for key, value in told.items() if key != "containers"} == {
        "stack": "cotai-dev",
        "cpus": 2,
        "memory": 8_000_000_000,
    }
    assert told["containers"][0] == {
        "service": "cache",
        "container": "cotai-dev-cache-1",
        "state": "running",
        "restarts": 3,
        "cpu": 20,
        "memory": 800,
        "memory_limit": 0,
        "received": 5,
        "sent": 2,
        "read": 1,
        "written": 1,
    }


def test_watching_ends_quietly_with_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal it goes on until then, unless once is asked for."""
    looks: list[int] = []

    def usage(_: Measured, __: Sequence[Container]) -> dict[str, Usage]:
        looks.append(1)
        if len(looks) > 2:
            raise KeyboardInterrupt
        return USAGE

    monkeypatch.setattr(Measured, "usage", usage)
    show(Watched(), once=True)
    assert len(looks) == 1
    show(Watched(), once=False)
    assert len(looks) == 3


def test_an_unknown_order_is_refused() -> None:
    """With the nearest that there is."""
    with pytest.raises(UsageError, match="--sort mem: no such order") as caught:
        show(RecordingConsole(), order="mem")
    assert "memory" in caught.value.cure


def test_a_stack_that_does_not_run_is_said_to() -> None:
    """And how to start it."""
    console = RecordingConsole()
    given: dict[str, Any] = {"order": "cpu", "once": True, "as_json": False, "settings": settings()}
    show_top(**given, engine=FakeEngine(), console=console)
    assert console.text() == "cotai-dev is not running. inv deploy.dev starts it.\n"
