"""Waiting for services, and what is said of one that does not come up."""

from __future__ import annotations

import pytest

from cotai_tasks.deploy.wait import restart_in_turn, wait_until_ready
from cotai_tasks.errors import EngineError, UnhealthyError
from cotai_tasks.testing import FakeEngine, FakeRunning, RecordingConsole, container
from tests.unit.deploy.stacks import service, stack


def test_a_failed_service_shows_its_last_words_and_names_who_waits() -> None:
    """The log comes first, the sentence last; what runs is left running."""
    engine = FakeEngine(
        found_containers=[
            container("api", state="exited", exit_code=3, health="starting", health_output="connection refused"),
            container("web", health="starting"),
        ],
        answers={"logs": ["api-1 | no module named app"]},
    )
    one = stack(service("api"), service("web"))
    with pytest.raises(UnhealthyError) as caught:
        wait_until_ready(
            FakeRunning([], None), ["api", "web"], one, earlier=(), timeout=5, engine=engine, console=RecordingConsole()
        )
    assert str(caught.value) == "not healthy: api (exited 3); still waiting: web"
    assert caught.value.evidence.splitlines() == [
        "api: its last log lines",
        "api-1 | no module named app",
        "api: what its healthcheck printed last",
        "connection refused",
    ]
    assert engine.calls == [("logs", "--no-color", "--tail", "15", "api")]


def test_a_refused_command_is_reported_as_it_is() -> None:
    """An engine that refuses is not taken for a sick service."""
    engine = FakeEngine(found_containers=[])
    refused = FakeRunning([], EngineError("port is already allocated"))
    with pytest.raises(EngineError, match="already allocated"):
        wait_until_ready(
            refused, ["api"], stack(service("api")), earlier=(), timeout=5, engine=engine, console=RecordingConsole()
        )


def test_what_had_ended_before_is_not_why_a_command_was_refused() -> None:
    """What the engine said is not hidden behind the logs of containers that an interruption had stopped."""
    api = container("api", state="exited")
    refused = FakeRunning([], EngineError("the container name is already in use"))
    with pytest.raises(EngineError, match="already in use"):
        wait_until_ready(
            refused,
            ["api"],
            stack(service("api")),
            earlier={api.run},
            timeout=5,
            engine=FakeEngine(found_containers=[api]),
            console=RecordingConsole(),
        )


def test_a_service_that_takes_too_long_is_named() -> None:
    """The wait is bounded, whatever the service does."""
    engine = FakeEngine(found_containers=[container("api", health="starting")])
    with pytest.raises(UnhealthyError, match=r"not healthy: api \(starting\)"):
        wait_until_ready(
            FakeRunning([], None),
            ["api"],
            stack(service("api")),
            earlier=(),
            timeout=0,
            engine=engine,
            console=RecordingConsole(),
        )


def test_each_service_is_said_once_as_it_comes_up() -> None:
    """Without a terminal the log of a start stays readable."""
    console = RecordingConsole()
    engine = FakeEngine(found_containers=[container("api")])
    wait_until_ready(
        FakeRunning([], None), ["api"], stack(service("api")), earlier=(), timeout=5, engine=engine, console=console
    )
    assert "api: healthy" in console.text()


def test_a_failure_does_not_take_down_what_is_still_being_started() -> None:
    """Compose is let finish: a failed exporter in the first second must not cost the API its start."""

    class StillRunning(FakeRunning):
        looks = 0

        @property
        def ended(self) -> bool:
            """End at the third look."""
            self.looks += 1
            return self.looks > 2

    running = StillRunning([], None)
    engine = FakeEngine(found_containers=[container("exporter", state="exited", exit_code=1), container("api")])
    one = stack(service("api"), service("exporter"))
    with pytest.raises(UnhealthyError, match=r"not healthy: exporter \(exited 1\)$"):
        wait_until_ready(running, ["api", "exporter"], one, timeout=60, engine=engine, console=RecordingConsole())
    assert running.looks > 2


def test_containers_of_one_service_restart_in_turn() -> None:
    """While one restarts the other serves; what cannot have several restarts at once, before them."""
    several = [container("backend", id="1"), container("backend", id="2"), container("db")]
    engine = FakeEngine(found_containers=several)
    chosen = stack(service("backend", scales=True), service("db"), service("worker", scales=True))
    restart_in_turn(chosen, ["backend", "db"], timeout=5, engine=engine, console=RecordingConsole())
    assert [call for call in engine.calls if "restart" in call] == [
        ("restart", "--no-deps", "db"),
        ("container", "restart", "1"),
        ("container", "restart", "2"),
    ]
