"""Stopping, restarting and removing: what is asked of the engine, and what is asked of a person."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.deploy import lifecycle
from cotai_tasks.errors import RefusedError, UsageError
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from cotai_tasks.facts import Container

RENDERED = {"services": {name: {"image": f"{name}:1"} for name in ("api", "db")}}


def tools(engine: FakeEngine) -> dict[str, Any]:
    return {"settings": settings(), "engine": engine, "console": RecordingConsole()}


def test_stopping_what_is_stopped_does_nothing() -> None:
    """The second run says that there is nothing to do."""
    engine = FakeEngine(rendered=RENDERED)
    assert lifecycle.stop(names="", dry_run=False, **tools(engine)) == ()
    assert engine.calls == []


def test_a_service_that_left_the_files_is_named_and_left_alone() -> None:
    """Compose knows no such service any more: the rest is stopped, and the cure for it is told."""
    engine = FakeEngine(rendered=RENDERED, found_containers=[container("api"), container("old")])
    given = tools(engine)
    assert lifecycle.stop(names="", dry_run=True, **given) == ("api",)
    warning = "! left running, no longer in the Compose files: old."
    cure = "inv deploy.clean removes the whole stack, them too; volumes stay."
    assert given["console"].text().splitlines() == [f"{warning} {cure}", "would stop api"]


def test_what_no_registry_gives_any_more_is_stopped_too() -> None:
    """A service that a start would leave out is still in the files."""
    grafana = {"image": "cotai-offline/unavailable"}
    engine = FakeEngine(rendered={"services": {"grafana": grafana}}, found_containers=[container("grafana")])
    assert lifecycle.stop(names="", dry_run=True, **tools(engine)) == ("grafana",)


def test_a_dry_run_changes_nothing() -> None:
    """It names what would be done, and asks nothing of the engine."""
    engine = FakeEngine(rendered=RENDERED, found_containers=[container("api"), container("db")])
    given = tools(engine)
    assert lifecycle.stop(names="api", dry_run=True, **given) == ("api",)
    assert lifecycle.restart(names="db", dry_run=True, **given) == ("db",)
    assert lifecycle.clean(volumes=True, yes=False, dry_run=True, **given) == ()
    assert engine.calls == []
    text = given["console"].text()
    assert "would stop api" in text
    assert "would restart db" in text
    assert "would remove 2 containers of cotai-dev" in text


def test_volumes_are_not_removed_unasked() -> None:
    """Without a terminal and without --yes the command refuses, and nothing is lost."""
    engine = FakeEngine(rendered=RENDERED, found_volumes={"cotai-dev_db": {}})
    with pytest.raises(RefusedError, match="Remove 0 containers and 1 volumes with all their data of cotai-dev"):
        lifecycle.clean(volumes=True, yes=False, dry_run=False, **tools(engine))
    assert engine.calls == []


@pytest.mark.parametrize(
    ("act", "question"),
    [
        (partial(lifecycle.stop, names=""), "Stop api of cotai-prod? Its users will notice."),
        (partial(lifecycle.restart, names="api"), "Restart api of cotai-prod? Its users will notice."),
        (
            partial(lifecycle.clean, volumes=False, yes=False),
            "Remove 1 containers of cotai-prod? Its users will notice.",
        ),
    ],
)
def test_production_asks_before_users_notice(act: Callable[..., Any], question: str) -> None:
    """Without a terminal and without --yes the command refuses; development is not asked."""
    host = {"NCPU": 2, "MemTotal": 16 * 2**30, "DockerRootDir": "/var/lib/docker"}
    engine = FakeEngine(rendered=RENDERED, found_containers=[container("api", project="cotai-prod")], host=host)
    given = tools(engine) | {"settings": settings().model_copy(update={"environment": "prod"})}
    with pytest.raises(RefusedError) as caught:
        act(dry_run=False, **given)
    assert question in str(caught.value)
    assert engine.calls == []


@pytest.mark.parametrize("act", [lifecycle.restart, lifecycle.stop])
@pytest.mark.parametrize("containers", [[], [container("api")]])
def test_an_unknown_service_gets_the_nearest_name(act: Callable[..., Any], containers: list[Container]) -> None:
    """A mistyped name is an answer, not a silence, even when nothing runs."""
    engine = FakeEngine(rendered=RENDERED, found_containers=containers)
    with pytest.raises(UsageError) as caught:
        act(names="apo", dry_run=False, **tools(engine))
    assert (str(caught.value), caught.value.cure) == ("no such service: 'apo'", "Did you mean api?")
