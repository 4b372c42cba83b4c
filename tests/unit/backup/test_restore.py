"""The order in which a restore touches what: nothing live before all is compared, everything back where it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from cotai_tasks.backup.component import Difference, Dump, Leftovers, Rehearsal, Site
from cotai_tasks.backup.manifest import Manifest, Stream
from cotai_tasks.backup.rehearse import choose
from cotai_tasks.backup.restore import replace
from cotai_tasks.errors import BackupError, Finding, IntegrityError, UsageError
from cotai_tasks.facts import Project
from cotai_tasks.stack import Stack
from cotai_tasks.testing import FakeEngine, RecordingConsole, container

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from cotai_tasks.backup.component import Component, Feed
    from cotai_tasks.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = "20260101T000000Z-abcdef"


@dataclass
class Part:
    """A component that writes down what it was told, and fails where it should."""

    name: str
    story: list[str]
    fails: str = ""
    differs: bool = False
    used_by: frozenset[str] = field(default_factory=frozenset)

    def dumps(self, site: Site) -> list[Dump]:
        raise NotImplementedError

    def unfit(self, site: Site, streams: Sequence[Stream]) -> list[Finding]:
        raise NotImplementedError

    def rehearse(
        self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed, *, keep: bool = False
    ) -> AbstractContextManager[Rehearsal]:
        raise NotImplementedError

    def is_empty(self, site: Site) -> bool:
        raise NotImplementedError

    def leftovers(self, site: Site) -> Leftovers:
        raise NotImplementedError

    def discard(self, site: Site, backup: str) -> None:
        raise NotImplementedError

    def users(self, site: Site, streams: Sequence[Stream]) -> frozenset[str]:  # noqa: ARG002
        return self.used_by

    def stage(self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed) -> list[Difference]:  # noqa: ARG002
        self._told("stage")
        return [Difference("table t", "2 rows", "1 row")] if self.differs else []

    def swap(self, site: Site, backup: str) -> None:  # noqa: ARG002
        self._told("swap")

    def revert(self, site: Site, backup: str) -> None:  # noqa: ARG002
        self._told("revert")

    def unstage(self, site: Site, backup: str) -> None:  # noqa: ARG002
        self._told("unstage")

    def _told(self, what: str) -> None:
        self.story.append(f"{what} {self.name}")
        if self.fails == what:
            raise BackupError(f"{what} of {self.name} failed")


class Story(FakeEngine):
    """An engine that writes into the same story."""

    def __init__(self, story: list[str], *services: str) -> None:
        super().__init__(found_containers=[container(name) for name in services])
        self.story = story

    def compose(self, project: Project, *arguments: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
        self.story.append(" ".join(arguments))
        return super().compose(project, *arguments)


def manifest(*components: str) -> Manifest:
    streams = tuple(
        Stream(
            component=cast("Any", name),
            name=name,
            kind="tar",
            started_at=NOW,
            ended_at=NOW,
            plain_bytes=1,
            plain_sha256="",
            objects=(),
        )
        for name in components
    )
    return Manifest(id=ID, stack="cotai-dev", tool="1", started_at=NOW, ended_at=NOW, encrypted=False, streams=streams)


def restore(*parts: Part, running: tuple[str, ...] = ("backend", "celery-worker")) -> list[str]:
    """Replace the live data; give the story, with what went wrong as its last line."""
    story = parts[0].story
    project = Project("cotai-dev", Path(), (), (), Path(), frozenset())
    stack = Stack(project, "offline", {}, {}, {}, {}, {})
    site = Site(stack, cast("Settings", None), Story(story, *running))  # no part looks at the settings
    components: dict[str, Component] = {one.name: one for one in parts}

    def feed(stream: Stream, write: Callable[[bytes], object]) -> None:
        """Give nothing."""

    try:
        replace(components, manifest(*components), feed, site, RecordingConsole())
    except (BackupError, IntegrityError) as error:
        story.append(f"! {error}")
    return story


def parts(story: list[str], **first: object) -> tuple[Part, Part]:
    users = frozenset({"backend", "celery-worker", "celery-beat"})
    return Part("postgres", story, used_by=users, **first), Part("redis", story, used_by=users)  # type: ignore[arg-type]


def test_users_stop_only_for_the_swap() -> None:
    """Everything is staged and compared while they run; those that ran run again, others are not started."""
    assert restore(*parts([])) == [
        "stage postgres",
        "stage redis",
        "stop backend celery-worker",
        "swap postgres",
        "swap redis",
        "start backend celery-worker",
        "unstage postgres",
        "unstage redis",
    ]


def test_data_that_differs_never_becomes_live() -> None:
    """The differences are told, and nobody was stopped."""
    story = restore(*parts([], differs=True))
    assert story[:4] == ["stage postgres", "stage redis", "unstage postgres", "unstage redis"]
    assert "not what its manifest says" in story[4]


@pytest.mark.parametrize("fails", ["stage", "swap"])
def test_what_fails_leaves_the_old_data(fails: str) -> None:
    """A failed swap is put back, the last first; what was staged is removed; services start whatever happened."""
    story: list[str] = []
    users = frozenset({"backend"})
    told = restore(Part("postgres", story, used_by=users), Part("redis", story, fails=fails, used_by=users))
    swapped = {
        "stage": [],
        "swap": [
            "stop backend",
            "swap postgres",
            "swap redis",
            "revert redis",
            "revert postgres",
            "start backend",
        ],
    }
    assert told == [
        "stage postgres",
        "stage redis",
        *swapped[fails],
        "unstage postgres",
        "unstage redis",
        f"! {fails} of redis failed",
    ]


def test_who_did_not_run_is_not_started() -> None:
    """A stack that is stopped stays stopped."""
    assert not [line for line in restore(*parts([]), running=()) if line.startswith(("stop", "start"))]


def test_components_are_chosen_from_what_the_backup_holds() -> None:
    """By name, or all but some; what it does not hold is an error with the nearest name."""
    held = manifest("postgres", "redis", "config")
    assert choose("", held) == ("postgres", "redis", "config")
    assert choose("", held, without=("config",)) == ("postgres", "redis")
    assert choose("redis,postgres", held) == ("postgres", "redis")
    with pytest.raises(UsageError, match="no such component: 'mongodb'"):
        choose("mongodb", held)
    with pytest.raises(UsageError, match="holds only config"):
        choose("", manifest("config"), without=("config",))
