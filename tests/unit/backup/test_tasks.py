"""What runs by night tells somebody where it fails, whyever: the last place where a reason can get lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from cotai_tasks.backup import tasks
from cotai_tasks.backup.manifest import DEFAULT_COMPONENTS
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.backup.catalogues import settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the notices that go out, of a project without recipients and without a backup."""
    notices: list[str] = []
    monkeypatch.setattr("cotai_tasks.notify.notify", lambda _settings, _event, text, **_: notices.append(text))
    monkeypatch.setattr("os.nice", lambda _: None)
    own = {"settings": settings(tmp_path), "engine": FakeEngine(), "console": RecordingConsole()}
    monkeypatch.setattr(tasks, "open_tools", lambda *_: own)
    return notices


@pytest.mark.parametrize(
    ("task", "flags", "notices"),
    [
        (tasks.create, {"encrypt": True}, ["backup.create failed: no recipient: nobody could open it"]),
        (
            tasks.create,
            {"encrypt": True, "only": ",".join(DEFAULT_COMPONENTS)},
            ["backup.create failed: no recipient: nobody could open it"],
        ),
        (tasks.create, {"encrypt": True, "only": "redis"}, []),
        (tasks.create, {"encrypt": True, "store": "elsewhere"}, []),
        (tasks.prune, {"store": "ftp://x"}, ["backup.prune failed: ftp://x is no store"]),
        (tasks.drill, {}, ["backup.drill failed: no backup of cotai-dev in backups"]),
        (tasks.verify, {}, []),
    ],
)
def test_what_fails_by_night_is_told(
    task: Any,  # noqa: ANN401 - a task of Invoke's
    flags: dict[str, Any],
    notices: list[str],
    told: list[str],
) -> None:
    """A backup, a prune, a drill; not the part of a backup that somebody makes for himself."""
    given: dict[str, Any] = {"recipient": []} if task is tasks.create else {}
    with pytest.raises(Exit):
        task(Context(), **given, **flags)
    assert told == notices
