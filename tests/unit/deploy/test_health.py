"""Whether services have come up, decided on plain data."""

from __future__ import annotations

from typing import Any

import pytest

from cotai_tasks.deploy.health import Standing, assess
from cotai_tasks.testing import container
from tests.unit.deploy.stacks import service

CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "healthy": ({}, "ready", "healthy"),
    "no healthcheck": ({"health": ""}, "ready", "running"),
    "starting": ({"health": "starting"}, "waiting", "starting"),
    "created": ({"state": "created", "health": ""}, "waiting", "created"),
    "unhealthy": ({"health": "unhealthy"}, "unhealthy", "its healthcheck fails"),
    "exited": ({"state": "exited", "exit_code": 0}, "failed", "exited 0"),
    "crash loop": (
        {"state": "restarting", "restarts": 3, "exit_code": 2, "health": "starting"},
        "failed",
        "restarted 3 times (exit code 2)",
    ),
    "restarted and well again": ({"restarts": 9}, "ready", "healthy"),
    "out of memory": ({"state": "exited", "oom_killed": True}, "failed", "killed for using more than its 256 MiB"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_service_stands_as_its_container_does(name: str) -> None:
    """Every state that the engine knows has one verdict and one reason."""
    changes, verdict, reason = CASES[name]
    found = assess({"api": service("api")}, [container("api", **changes)])
    assert found == [Standing("api", verdict, reason)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "code", "verdict", "reason"),
    [
        ("exited", 0, "done", "exited 0"),
        ("exited", 1, "failed", "exited 1"),
        ("running", 0, "waiting", "still running"),
    ],
)
def test_a_one_shot_is_done_when_it_exits_well(state: str, code: int, verdict: str, reason: str) -> None:
    """A migration that exited 0 is done; `compose up --wait` would call it a failure."""
    found = assess({"migrate": service("migrate", one_shot=True)}, [container("migrate", state=state, exit_code=code)])
    assert found == [Standing("migrate", verdict, reason)]  # type: ignore[arg-type]


def test_a_scaled_service_stands_as_its_worst_container() -> None:
    """One sick replica makes the service sick."""
    containers = [container("api"), container("api", health="unhealthy"), container("api", health="starting")]
    assert assess({"api": service("api")}, containers) == [Standing("api", "unhealthy", "its healthcheck fails")]


def test_a_service_without_a_container_is_waited_for() -> None:
    """Nothing is ready before it was created."""
    assert assess({"api": service("api")}, []) == [Standing("api", "waiting", "not created yet")]


def test_what_had_ended_before_the_start_is_not_held_against_it() -> None:
    """A stopped service or a failed one-shot of yesterday is about to be started; only its next run counts."""
    services = {"db": service("db"), "migrate": service("migrate", one_shot=True)}
    old = [container("db", state="exited"), container("migrate", state="exited", exit_code=1)]
    earlier = {one.run for one in old}
    assert [one.verdict for one in assess(services, old, earlier)] == ["waiting", "waiting"]
    fresh = [container("db"), container("migrate", state="exited", started_at="2026-01-02T00:00:00Z")]
    assert [one.verdict for one in assess(services, fresh, earlier)] == ["ready", "done"]
