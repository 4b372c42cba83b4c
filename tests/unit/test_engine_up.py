"""What is done before Compose starts a project."""

from __future__ import annotations

from pathlib import Path

from cotai_tasks.facts import Project
from cotai_tasks.testing import FakeEngine, container

PROJECT = Project("cotai-dev", Path("/"), (), (), Path("/dev/null"), frozenset())


def test_replacements_that_an_interruption_left_are_removed() -> None:
    """Compose stumbles over them ever after; whatever runs, or has its own name, is left alone."""
    engine = FakeEngine(
        found_containers=[
            container("api", id="old", state="exited"),
            container("api", id="new", state="created", name="0123456789ab_cotai-dev-api-1"),
            container("web", id="starting", state="created"),
            container("beat", id="running", name="0123456789ab_cotai-dev-beat-1"),
        ]
    )
    engine.up(PROJECT, ["api"])
    assert engine.calls[0] == ("container", "rm", "new")
    assert engine.calls[1][0] == "up"


def test_without_them_nothing_is_removed() -> None:
    """The ordinary start asks for nothing else."""
    engine = FakeEngine(found_containers=[container("api", state="created")])
    engine.up(PROJECT, ["api"])
    assert [call[0] for call in engine.calls] == ["up"]
