"""The team's own commands around a deploy: one may end it, none may mask what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.deploy import hooks
from cotai_tasks.deploy.hooks import announced
from cotai_tasks.errors import PreflightError, UnhealthyError
from cotai_tasks.testing import RecordingConsole
from tests.unit.deploy.stacks import settings
from tests.unit.deploy.test_release import release

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.settings import Settings

RELEASE = release(1, commit="abc")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give what the webhook is told."""
    found: list[str] = []

    def notify(_: Settings, event: str, text: str, **__: Any) -> None:  # noqa: ANN401
        found.append(f"{event}: {text}")

    monkeypatch.setattr(hooks, "notify", notify)
    return found


def project(folder: Path, **scripts: str) -> Settings:
    """Make a project with hooks; `_` in a name is `-`."""
    (folder / "hooks").mkdir()
    for name, text in scripts.items():
        path = folder / "hooks" / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    return settings().model_copy(update={"directory": folder})


def test_hooks_run_around_a_deploy(tmp_path: Path, told: list[str]) -> None:
    """In the project's folder, with the release in their environment; without any, nothing is said."""
    line = 'echo "$0 $COTAI_STACK $COTAI_COMMIT" | sed "s|.*/||" >>said'
    own = project(tmp_path, pre_deploy=line, post_deploy=line, failed=line)
    with announced(RELEASE, own, RecordingConsole()), (tmp_path / "said").open("a") as said:
        said.write("deploying\n")
    assert (tmp_path / "said").read_text().splitlines() == [
        "pre-deploy cotai-dev abc",
        "deploying",
        "post-deploy cotai-dev abc",
    ]
    assert told == [f"deploy: release {RELEASE.id} serves"]
    quiet = RecordingConsole()
    with announced(RELEASE, settings().model_copy(update={"directory": tmp_path / "none"}), quiet):
        pass
    assert quiet.text() == ""


@pytest.mark.parametrize(
    ("script", "said"), [("echo not today; exit 3", "ended with exit code 3"), (None, "cannot be run")]
)
def test_pre_deploy_may_refuse(tmp_path: Path, told: list[str], script: str | None, said: str) -> None:
    """With its own words; then nothing begins, and nobody is told of a deploy."""
    own = project(tmp_path, pre_deploy=script or "")
    if script is None:
        (tmp_path / "hooks/pre-deploy").chmod(0o644)
    with pytest.raises(PreflightError, match=said) as caught, announced(RELEASE, own, RecordingConsole()):
        pytest.fail("it began")
    assert caught.value.evidence == ("not today" if script else "")
    assert told == []


def test_no_hook_masks_a_failure(tmp_path: Path, told: list[str]) -> None:
    """The error stays the deploy's own; the hook's is a warning."""
    console = RecordingConsole()
    own = project(tmp_path, failed='echo "why: $COTAI_FAULT"; exit 1', post_deploy="touch never")
    with pytest.raises(UnhealthyError, match="it broke"), announced(RELEASE, own, console):
        raise UnhealthyError("it broke")
    assert "hooks/failed ended with exit code 1" in console.text()
    assert "why: it broke" in console.text()
    assert told == [f"deploy: release {RELEASE.id} failed: it broke"]
    assert not (tmp_path / "never").exists()


def test_what_comes_after_cannot_fail_a_deploy(tmp_path: Path, told: list[str]) -> None:
    """The release serves, whatever the hook says or how long it takes."""
    console = RecordingConsole()
    with announced(RELEASE, project(tmp_path, post_deploy="exit 7"), console):
        pass
    assert "ended with exit code 7" in console.text()
    assert told == [f"deploy: release {RELEASE.id} serves"]


def test_a_hook_that_hangs_is_given_up(tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is known whether it would succeed."""
    monkeypatch.setattr(hooks, "_PATIENCE", 0.2)
    own = project(tmp_path, pre_deploy="exec sleep 60")
    with pytest.raises(PreflightError, match="was not done after"), announced(RELEASE, own, RecordingConsole()):
        pytest.fail("it began")
    assert told == []
