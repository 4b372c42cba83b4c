"""What is known of one container, put together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cotai_tasks.facts import Usage
from cotai_tasks.monitor.status import ServiceStatus, StackStatus, describe, missing, show_status
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import service, settings

NOW = datetime(2026, 1, 1, 1, 0, 0, tzinfo=UTC)


def test_a_running_container_is_described_with_its_use() -> None:
    """Uptime in seconds, memory in bytes, the health as the state."""
    one = container("api", ports=("127.0.0.1:8000",), restarts=1)
    assert describe(one, {"id-api": Usage(2.5, 1000)}, set(), NOW) == ServiceStatus(
        service="api",
        container="cotai-dev-api-1",
        state="healthy",
        ok=True,
        exit_code=0,
        uptime=3600,
        restarts=1,
        cpu=2.5,
        memory=1000,
        memory_limit=256 * 2**20,
        ports=("127.0.0.1:8000",),
    )


def test_a_one_shot_that_exited_well_is_done_and_a_service_that_exited_is_not() -> None:
    """The same exit code means success for one and trouble for the other."""
    exited = [container(name, state="exited", health="") for name in ("migrate", "api")]
    assert [(one.state, one.ok) for one in (describe(each, {}, {"migrate"}, NOW) for each in exited)] == [
        ("done", True),
        ("exited", False),
    ]


def test_an_empty_stack_is_not_well() -> None:
    """A stack of which nothing runs is never reported as healthy."""
    assert not StackStatus("cotai-dev", "upstream", ()).ok


SERVICES = {
    one.name: one
    for one in (
        service("api"),
        service("migrate", one_shot=True),
        service("llm", group="ai"),
        service("model-pull", group="ai", one_shot=True),
    )
}


@pytest.mark.parametrize(
    ("present", "lacking"),
    [
        (set(), []),
        ({"api", "migrate"}, []),
        ({"api"}, ["migrate"]),
        ({"migrate", "llm"}, ["api", "model-pull"]),
        ({"old"}, []),
    ],
)
def test_a_group_that_was_started_is_whole(present: set[str], lacking: list[str]) -> None:
    """A service without a container is missing only where others of its group have one."""
    assert missing(SERVICES, present) == lacking


class Watched(RecordingConsole):
    """A console before which somebody sits."""

    @property
    def interactive(self) -> bool:
        """Somebody does."""
        return True


def tools(engine: FakeEngine) -> dict[str, Any]:
    return {"settings": settings(), "engine": engine, "console": Watched()}


def test_a_container_that_was_removed_is_missed() -> None:
    """A person is told; it is no failure, because `--only` leaves services out on purpose."""
    rendered = {"services": {name: {"image": f"{name}:1"} for name in ("api", "db")}}
    given = tools(FakeEngine(rendered=rendered, found_containers=[container("db")]))
    found = show_status(as_json=False, watch=False, **given)
    assert found
    assert [(one.service, one.state, one.ok) for one in found.services] == [
        ("db", "healthy", True),
        ("api", "missing", False),
    ]
    assert found.ok
    text = given["console"].text()
    assert "cotai-dev: 1 containers" in text
    assert "without a container: api (left out by --only, or removed). inv deploy.dev starts them." in text


def test_watching_ends_quietly_with_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has watched has seen it: nothing is given that the task would judge."""

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    given = tools(FakeEngine(rendered={"services": {"api": {"image": "api:1"}}}, found_containers=[container("api")]))
    assert show_status(as_json=False, watch=True, **given) is None
