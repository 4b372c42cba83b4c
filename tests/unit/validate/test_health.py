"""What the checks of health decide on what containers tell."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.errors import EngineError
from cotai_tasks.settings import load_settings
from cotai_tasks.stack import Service
from cotai_tasks.testing import FakeEngine, container
from cotai_tasks.validate.celery import with_tasks
from cotai_tasks.validate.check import SkipCheck, State
from cotai_tasks.validate.groups.disruption import judge_sickness, judge_tasks
from cotai_tasks.validate.groups.health import (
    judge_clocks,
    judge_health,
    judge_kills,
    judge_one_shots,
    judge_restarts,
    judge_tick,
    judge_trips,
    read_signs,
    read_time,
)
from cotai_tasks.validate.subject import Subject

if TYPE_CHECKING:
    from cotai_tasks.facts import Container

ROOT = Path(__file__).parents[3]
FINE = container("backend")


@pytest.mark.parametrize(
    ("containers", "seconds", "warm", "faults"),
    [
        ([FINE, container("exporter", health="")], None, False, ()),
        ([FINE], 89.0, False, ()),
        ([FINE], 90.0, False, ("the start took 90 s",)),
        ([FINE], 31.0, True, ("the start took 31 s",)),
        (
            [FINE, container("redis", health="unhealthy", health_output="try\nno PONG")],
            None,
            False,
            ("cotai-dev-redis-1: unhealthy (no PONG)",),
        ),
        ([container("redis", health="starting")], None, False, ("cotai-dev-redis-1: starting",)),
        (
            [container("redis", state="exited", health="healthy", exit_code=137)],
            None,
            False,
            ("cotai-dev-redis-1: exited, exit code 137",),
        ),
        ([], None, False, ("no container was looked at",)),
    ],
)
def test_health(containers: list[Container], seconds: float | None, warm: bool, faults: tuple[str, ...]) -> None:  # noqa: FBT001
    """HLT-01: what is not healthy, what is not there, what took too long, nothing at all."""
    outcome = judge_health(containers, seconds, warm=warm)
    assert (outcome.state, outcome.evidence) == (State.FAIL if faults else State.PASS, faults)


def test_health_after_a_start() -> None:
    """HLT-01: the figure names the seconds where validation itself started the stack."""
    assert judge_health([FINE], 16.2, warm=True).figure == "1 of 1 healthy after 16 s"
    assert judge_health([FINE], None, warm=False).figure == "1 of 1 healthy"


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        ([replace(FINE, started_at="2026-01-01T00:00:30Z")], "cotai-dev-backend-1: was restarted"),
        ([replace(FINE, restarts=1)], "cotai-dev-backend-1: was restarted"),
        (
            [replace(FINE, state="restarting", exit_code=1)],
            "cotai-dev-backend-1: is restarting, exit code 1",
        ),
        ([replace(FINE, state="exited")], "cotai-dev-backend-1: has gone"),
        ([], "cotai-dev-backend-1: has gone"),
    ],
)
def test_restarts(after: list[Container], fault: str) -> None:
    """HLT-02: each way of not running on."""
    assert judge_restarts([FINE], after).evidence == (fault,)


def test_no_restart() -> None:
    """HLT-02: what restarted before is told, and no fault; what is stopped is no container that restarts."""
    before = [replace(FINE, restarts=3), container("migrate", state="exited")]
    outcome = judge_restarts(before, before)
    assert (outcome.state, outcome.evidence) == (State.PASS, ("cotai-dev-backend-1: restarted 3 times before",))
    assert judge_restarts([], []).state == State.FAIL


def service(name: str, **changes: Any) -> Service:  # noqa: ANN401 - any field of a service
    fields: dict[str, Any] = {
        "name": name,
        "image": "x",
        "group": "core",
        "one_shot": True,
        "depends_on": frozenset(),
        "description": "",
        "url": "",
        "login": "",
        "awaited": True,
        "ports": (),
        "volumes": frozenset(),
    }
    return Service(**fields | changes)


def test_one_shots() -> None:
    """HLT-03: one that failed; one that hangs and is waited for; one that nobody waits for; none that is left."""
    services = {"migrate": service("migrate"), "pull": service("pull", awaited=False)}
    done = container("migrate", state="exited", health="")
    assert judge_one_shots([FINE, done], services).figure == "migrate: exited 0"
    assert judge_one_shots([done, container("pull")], services).state == State.PASS
    assert judge_one_shots([replace(done, exit_code=1)], services).evidence == (
        "cotai-dev-migrate-1: exited, exit code 1",
    )
    assert judge_one_shots([container("migrate")], services).state == State.FAIL
    with pytest.raises(SkipCheck):
        judge_one_shots([FINE], services)


def test_sickness() -> None:
    """HLT-04: a check that never fails, one that fails late, one that failed before."""
    assert judge_sickness({"redis-1": 20.4, "web-1": 26.0}, []).figure == "2 of 2 in time, the last after 26 s"
    outcome = judge_sickness({"redis-1": None, "web-1": 34.2, "db-1": 9.0}, ["s3-1"])
    assert (outcome.figure, outcome.evidence) == (
        "1 of 4 in time, the last after 34 s",
        (
            "redis-1: still healthy",
            "web-1: unhealthy after 34 s",
            "s3-1: was not healthy to begin with, which proves nothing",
        ),
    )
    with pytest.raises(SkipCheck):
        judge_sickness({}, [])


def test_trips() -> None:
    """HLT-06: one that is slow, one that never comes back, none that was sent."""
    assert judge_trips([0.05, 0.02, 0.03]).figure == "median 30 ms, slowest 50 ms of 3"
    assert judge_trips([0.05, 2.5]).evidence == ("one task took 2.5 s",)
    assert judge_trips([0.05, None]).evidence == ("one task never came back",)
    assert judge_trips([None]).state == judge_trips([]).state == State.FAIL


def test_tasks() -> None:
    """HLT-08: one that is lost; all of them done before the worker was stopped."""
    assert judge_tasks(["a", "b"], {"a": 90.0, "b": 110.0}, 100.0).figure == (
        "0 of 2 tasks lost, 1 were done after the worker came back"
    )
    assert judge_tasks(["a", "b"], {"a": 90.0}, 100.0).evidence == ("lost: b",)
    with pytest.raises(SkipCheck):
        judge_tasks(["a", "b"], {"a": 90.0, "b": 95.0}, 100.0)


def test_errands() -> None:
    """An application may print when it is imported; one that keeps no results is skipped, one that dies is an error."""
    for printed, found in (
        (b'warning: old\n{"backend": true, "seconds": [0.1]}\n', None),
        (b'{"backend": false}\n', SkipCheck),
        (b"Segmentation fault\n", EngineError),
    ):
        engine = FakeEngine(streams={"exec": printed})
        subject = Subject(load_settings(ROOT, "dev", environ={}), engine)
        with pytest.raises(found) if found else nullcontext():
            assert with_tasks(subject, FINE, {"do": "trips"}) == {"backend": True, "seconds": [0.1]}
        assert b'SPEC = json.loads(\'{"do": "trips"}\')' in engine.fed[0]


def test_kills() -> None:
    """HLT-05: the engine's word, and the kernel's where a process died and its container lived on."""
    told = {"web-1": (False, 0), "db-1": (False, None)}
    assert judge_kills(told).figure == "0 of 2 containers"
    assert judge_kills(told | {"db-1": (True, None)}).evidence == ("db-1: was killed",)
    assert judge_kills(told | {"web-1": (False, 1)}).evidence == ("web-1: 1 process killed",)
    assert judge_kills({}).state == State.FAIL


def test_ticks() -> None:
    """HLT-07: two ticks are too many."""
    assert judge_tick(4.9).figure == "4.9 s ago"
    assert judge_tick(10.0).evidence == ("celery-beat: it last ticked 10 s ago",)


def test_clocks() -> None:
    """HLT-09: an answer may take its time, and still tells how wrong a clock is at least."""
    assert judge_clocks({"web-1": (100.0, 100.4, 103.0)}).figure == "1 clock, largest skew 0.00 s"
    assert judge_clocks({"web-1": (100.0, 98.5, 100.2)}).evidence == ("web-1: 1.5 s off",)
    assert judge_clocks({"web-1": (100.0, 101.3, 100.2)}).evidence == ("web-1: 1.1 s off",)
    with pytest.raises(SkipCheck):
        judge_clocks({})


def test_signs() -> None:
    """Both versions of control groups are read, and a clock without fractions is none."""
    assert read_signs("1795788483.98\noom_kill_disable 0\nunder_oom 0\noom_kill 2\n") == (1795788483.98, 2)
    assert read_signs("1795788483.%N\nlow 0\noom 0\noom_kill 0\n") == (None, 0)
    assert read_signs("") == (None, None)


def test_the_engines_time() -> None:
    """Nanoseconds, and another time zone."""
    assert read_time("2026-01-01T00:00:00.123456789Z") == read_time("2025-12-31T21:00:00.123456-03:00")
