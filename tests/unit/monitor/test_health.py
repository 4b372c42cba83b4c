"""`monitor.health`: everything is looked at, and one verdict given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cotai_tasks.errors import EngineError, UnhealthyError
from cotai_tasks.monitor.health import Health, show_health, stack_health
from cotai_tasks.monitor.readiness import Answer, ask_ready
from cotai_tasks.monitor.signs import Sign
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings
from tests.unit.monitor.samples import answer, sample

SERVICES = ("backend", "postgres", "prometheus")
RENDERED = {name: {"image": f"{name}:1", "profiles": [name]} for name in SERVICES}
READY = json.dumps({"status": 200, "body": '{"dependencies": {"postgres": {"ok": true}}}', "milliseconds": 4.04})
KNOWN = answer(
    sample("up", 1, job="backend", instance="b:8000"),
    sample("ALERTS", 1, alertname="Watchdog", severity="none", alertstate="firing"),
)


def look(*services: str, **fields: Any) -> tuple[Health, FakeEngine]:  # noqa: ANN401 - any field of the engine
    given: dict[str, Any] = {
        "found_containers": [container(name) for name in services],
        "answers": {"exec id-backend": [READY], "exec id-prometheus": KNOWN},
    }
    engine = FakeEngine(rendered={"services": RENDERED}, **given | fields)
    return stack_health(settings=settings(), engine=engine, console=RecordingConsole()), engine


def told(health: Health) -> list[tuple[str, str, str]]:
    return [(one.part, one.what, one.state) for one in health.signs]


WELL = [
    ("containers", "all", "ok"),
    ("databases", "postgres", "ok"),
    ("readiness", "cotai-dev-backend-1", "ok"),
    ("readiness", "postgres", "ok"),
    ("targets", "up", "ok"),
    ("alerts", "rules", "ok"),
]


def test_a_stack_that_is_well() -> None:
    """Development has no certificate and no backups; the application is asked on its own health path."""
    health, engine = look(*SERVICES)
    assert told(health) == WELL
    assert health.state == "ok"
    asked = {call[1]: call for call in engine.calls if call[0] == "exec"}
    assert asked["id-backend"][-1] == "/health/ready"
    assert asked["id-prometheus"][2:4] == ("timeout", "5")


def test_nothing_that_runs_is_broken() -> None:
    """A stack that was never started is not well."""
    health, _ = look()
    cure = "inv deploy.dev starts it."
    assert health.signs == (Sign("containers", "nothing runs", "broken", "", 0, "containers", cure),)


def test_monitoring_that_was_left_out_is_not_known() -> None:
    """Who left it out knows it."""
    health, _ = look("backend", "postgres")
    assert told(health)[-1] == ("targets", "prometheus", "unknown")
    assert health.state == "unknown"


def test_a_prometheus_that_does_not_answer_is_broken() -> None:
    """The rest is said all the same."""
    health, _ = look(*SERVICES, errors={"exec id-prometheus": EngineError("x", evidence="query error: refused")})
    assert told(health) == [*WELL[:4], ("targets", "prometheus", "broken")]
    assert health.signs[-1].told == "Prometheus does not answer: refused"


@pytest.mark.parametrize("changes", [{"health": "starting"}, {"state": "exited"}])
def test_who_cannot_answer_yet_is_not_asked(changes: dict[str, str]) -> None:
    """That a container starts, or has ended, is said of the container."""
    _, engine = look(found_containers=[container("backend", **changes), container("postgres")])
    assert engine.calls == []


def test_an_application_that_cannot_be_asked_is_broken() -> None:
    """What the engine says is the reason; an engine that is gone is no reason of the application's."""
    health, _ = look(
        *SERVICES, errors={"exec id-backend": EngineError("no python3")}, answers={"exec id-prometheus": KNOWN}
    )
    assert health.signs[2].told == "no answer: no python3"
    with pytest.raises(EngineError, match="no Docker Engine"):
        look(*SERVICES, errors={"exec id-backend": EngineError("no Docker Engine answers", cure="Start it")})


def test_one_container_is_asked() -> None:
    """Status, time and page."""
    engine = FakeEngine(answers={"exec": [READY]})
    found = ask_ready(container("backend"), "/ready", engine)
    assert found == Answer("cotai-dev-backend-1", 200, 4.0, '{"dependencies": {"postgres": {"ok": true}}}')


BROKEN = Health(
    "cotai-dev",
    (
        Sign("containers", "the others", "ok", "3 well", 3, "containers"),
        Sign("databases", "[db]", "broken", "unhealthy", 60, "s", "inv monitor.logs --svc db"),
        Sign("readiness", "db", "warning", "slow", 1234.5, "ms"),
    ),
)


def test_what_is_broken_is_exit_code_6() -> None:
    """The table shows all of it; the error names what is broken, and the first cure."""
    console = RecordingConsole()
    with pytest.raises(UnhealthyError, match=r"^cotai-dev is broken: \[db\]$") as caught:
        show_health(BROKEN, as_json=False, console=console)
    assert (caught.value.code, caught.value.cure) == (6, "inv monitor.logs --svc db")
    assert [" ".join(line.split()) for line in console.text().splitlines()] == [
        "part what state takes what to do",
        "containers the others ok 3 well",
        "databases [db] broken unhealthy inv monitor.logs --svc db",
        "readiness db warning slow 1,234 ms",
    ]


def test_the_last_line_stays_short() -> None:
    """Each broken thing is named once, and six of them at most: the table has them all."""
    broken = [Sign("containers", name, "broken", "exited 1") for name in "aabcdefgh"]
    with pytest.raises(UnhealthyError, match=r"^cotai-dev is broken: a, b, c, d, e, f and 2 more$"):
        show_health(Health("cotai-dev", tuple(broken)), as_json=False, console=RecordingConsole())


def test_what_is_doubtful_is_said() -> None:
    """It is no failure."""
    console = RecordingConsole()
    show_health(Health("cotai-dev", (BROKEN.signs[0], BROKEN.signs[2])), as_json=False, console=console)
    assert console.text().splitlines()[-1] == "✓ cotai-dev works: 2 signs, 1 doubtful"


def test_a_program_gets_every_sign() -> None:
    """The schema that docs/monitoring.md shows."""
    console = RecordingConsole()
    with pytest.raises(UnhealthyError):
        show_health(BROKEN, as_json=True, console=console)
    found = json.loads(console.text())
    assert {key: value for key, value in found.items() if key != "signs"} == {
        "stack": "cotai-dev",
        "ok": False,
        "state": "broken",
    }
    assert found["signs"][1] == {
        "part": "databases",
        "what": "[db]",
        "state": "broken",
        "told": "unhealthy",
        "figure": 60,
        "unit": "s",
        "cure": "inv monitor.logs --svc db",
    }
