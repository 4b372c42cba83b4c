"""Stopping, restarting and removing: what is asked of the engine, and what is asked of a person."""

from __future__ import annotations

from typing import Any

import pytest

from cotai_tasks.deploy import lifecycle
from cotai_tasks.errors import RefusedError, UsageError
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings

RENDERED = {"services": {name: {"image": f"{name}:1"} for name in ("api", "db")}}


def tools(engine: FakeEngine) -> dict[str, Any]:
    return {"settings": settings(), "engine": engine, "console": RecordingConsole()}


def test_stopping_what_is_stopped_does_nothing() -> None:
    """The second run says that there is nothing to do."""
    engine = FakeEngine(rendered=RENDERED)
    assert lifecycle.stop(names="", dry_run=False, **tools(engine)) == ()
    assert engine.calls == []


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


def test_an_unknown_service_gets_the_nearest_name() -> None:
    """A mistyped name is an answer, not a silence."""
    engine = FakeEngine(rendered=RENDERED, found_containers=[container("api")])
    with pytest.raises(UsageError) as caught:
        lifecycle.restart(names="apo", dry_run=False, **tools(engine))
    assert (str(caught.value), caught.value.cure) == ("no such service: 'apo'", "Did you mean api?")
