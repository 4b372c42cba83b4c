"""The order in which a restore touches what: nothing live before all is compared, everything back where it fails."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from cotai_tasks.backup import live
from cotai_tasks.backup import restore as module
from cotai_tasks.backup.catalogue import Catalogue
from cotai_tasks.backup.components.base import Difference, Dump, Leftovers, Rehearsal, Site
from cotai_tasks.backup.live import half_done, replace
from cotai_tasks.backup.manifest import Manifest, Stream
from cotai_tasks.backup.rehearse import choose
from cotai_tasks.errors import BackupError, CotaiError, Finding, IntegrityError, UsageError
from cotai_tasks.facts import Project
from cotai_tasks.stack import Stack
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.backup.catalogues import MemoryStore, catalogue, stream
from tests.unit.backup.catalogues import manifest as plain_manifest
from tests.unit.backup.catalogues import settings as settings_of
from tests.unit.deploy.stacks import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from cotai_tasks.backup.components.base import Component, Feed
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
    fault: str = ""
    """Why it does not fit here."""
    empty: bool = True
    left: Leftovers = field(default_factory=Leftovers)

    def dumps(self, site: Site) -> list[Dump]:
        raise NotImplementedError

    def unfit(self, site: Site, streams: Sequence[Stream]) -> list[Finding]:  # noqa: ARG002
        return [Finding(self.name, self.fault, "Take another.")] if self.fault else []

    def rehearse(
        self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed, *, keep: bool = False
    ) -> AbstractContextManager[Rehearsal]:
        raise NotImplementedError

    def is_empty(self, site: Site) -> bool:  # noqa: ARG002
        return self.empty

    def leftovers(self, site: Site) -> Leftovers:  # noqa: ARG002
        return self.left

    def discard(self, site: Site, backup: str) -> None:  # noqa: ARG002
        self._told("discard")

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

    def compose(self, project: Project, *arguments: str) -> Iterator[str]:
        self.story.append(" ".join(arguments))
        yield from super().compose(project, *arguments)

    def command(self, *arguments: str) -> str:
        self.story.append(" ".join(arguments[:2]))
        return super().command(*arguments)

    def volume_labels(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        return {name: self.found_volumes[name] for name in names if name in self.found_volumes}


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


# -- before anything is touched ---------------------------------------------------------------------------------------


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """Give what begins a restore of a backup of 9 bytes, and tells what came of it: its findings, or its story."""

    def begin(*parts: Part, free: int = 100, into: str = "live") -> list[str]:
        held = {one.name: one for one in parts}
        store, story = MemoryStore(), parts[0].story
        streams = [stream(ID, name, b"abc", component=name) for name in held]
        for one in streams:
            store.put(one.objects[0].key, b"abc")
        found = catalogue(tmp_path, store)
        found.begin(ID)
        found.commit(plain_manifest(ID, *streams))
        monkeypatch.setattr(module, "open_stack", lambda *_: stack())
        monkeypatch.setattr(module, "open_catalogue", lambda *_, **__: found)
        monkeypatch.setattr(module, "all_components", lambda **_: held)
        monkeypatch.setattr(live, "all_components", lambda: held)
        monkeypatch.setattr(live, "stack_lock", lambda *_: nullcontext())
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
        engine = Story(story)
        engine.host = {"DockerRootDir": "/"}
        try:
            module.restore(
                into=into, yes=True, settings=settings_of(tmp_path), engine=engine, console=RecordingConsole()
            )
        except CotaiError as error:
            return [f"{type(error).__name__}: {error}", *map(str, error.findings), *story]
        return story

    return begin


def test_everything_that_stands_against_it_is_told_at_once(begun: Callable[..., list[str]]) -> None:
    """Another version, a disk that is too small, what an earlier restore left: and nothing was touched."""
    kept = Leftovers(replaced=frozenset({ID}))
    cure = f"inv backup.discard --id {ID} removes it, inv backup.undo --id {ID} puts it back."
    first, second = Part("postgres", [], fault="it was dumped by PostgreSQL 18"), Part("redis", [], left=kept)
    assert begun(first, second, free=23) == [
        f"PreflightError: backup {ID} cannot be restored into live",
        "postgres: it was dumped by PostgreSQL 18. Take another.",
        "/: 23 B free, about 23 B are needed. inv build.prune frees some.",
        f"redis: what an earlier restore of this backup replaced is still kept. {cure}",
    ]


def test_a_disk_with_just_enough_room_is_enough(begun: Callable[..., list[str]]) -> None:
    """So many times the dump, and not a byte more."""
    story: list[str] = []
    assert begun(Part("redis", story), free=12)[:2] == ["stage redis", "volume create"]
    assert begun(Part("redis", []), free=11)[0] == f"PreflightError: backup {ID} cannot be restored into live"


def test_a_newer_backup_is_not_passed_over_in_silence(
    begun: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names none thinks of the last one, and may get older data."""
    told: list[str] = []
    monkeypatch.setattr(RecordingConsole, "warn", lambda _, text: told.append(text))
    begun(Part("redis", []))
    assert told == []
    monkeypatch.setattr(Catalogue, "passed_over", lambda *_: ["20991231T000000Z-0a1b2c"])
    begun(Part("redis", []))
    assert [text.partition(";")[0] for text in told] == [
        "newer, but damaged or of some components alone: 20991231T000000Z-0a1b2c"
    ]


def test_a_stack_with_data_is_not_a_new_one(begun: Callable[..., list[str]]) -> None:
    """Its data would be replaced without a question, and not kept: an empty one is filled."""
    full, story = Part("redis", [], empty=False), list[str]()
    assert begun(Part("postgres", full.story), full, into="new") == [
        "RefusedError: redis of cotai-dev holds data already"
    ]
    assert "swap redis" in begun(Part("redis", story), into="new")


# -- what touches what ------------------------------------------------------------------------------------------------


def test_users_stop_only_for_the_swap() -> None:
    """Everything is staged and compared while they run; who ran is written down, and runs again; nobody else does."""
    assert restore(*parts([])) == [
        "stage postgres",
        "stage redis",
        "volume create",
        "stop backend celery-worker",
        "swap postgres",
        "swap redis",
        "unstage postgres",
        "unstage redis",
        "start backend celery-worker",
        "volume rm",
    ]


def test_data_that_differs_never_becomes_live() -> None:
    """The differences are told, and nobody was stopped."""
    story = restore(*parts([], differs=True))
    assert story[:4] == ["stage postgres", "stage redis", "unstage postgres", "unstage redis"]
    assert "not what its manifest says" in story[4]


def test_what_cannot_be_staged_leaves_everything() -> None:
    """What was staged is removed; nobody was stopped."""
    story: list[str] = []
    told = restore(Part("postgres", story), Part("redis", story, fails="stage"))
    assert told == ["stage postgres", "stage redis", "unstage postgres", "unstage redis", "! stage of redis failed"]


def test_what_cannot_be_swapped_is_put_back() -> None:
    """All of it, the last first; then the services start."""
    users, story = frozenset({"backend"}), list[str]()
    told = restore(Part("postgres", story, used_by=users), Part("redis", story, fails="swap", used_by=users))
    assert told == [
        "stage postgres",
        "stage redis",
        "volume create",
        "stop backend",
        "swap postgres",
        "swap redis",
        "revert redis",
        "unstage redis",
        "revert postgres",
        "unstage postgres",
        "start backend",
        "volume rm",
        "! swap of redis failed",
    ]


def test_nobody_starts_on_a_mixture() -> None:
    """One that cannot be put back keeps nobody from being put back, and everybody from being started."""
    users, story = frozenset({"backend"}), list[str]()
    first = Part("postgres", story, used_by=users)
    second = Part("mongodb", story, fails="revert", used_by=users)
    third = Part("redis", story, fails="swap", used_by=users)
    told = restore(first, second, third)
    assert "revert postgres" in told
    assert not [line for line in told if line.startswith(("start", "volume rm"))]
    assert told[-1] == f"! not all could be put back as before the restore of {ID}"


def test_who_did_not_run_is_not_started() -> None:
    """A stack that is stopped stays stopped."""
    assert not [line for line in restore(*parts([]), running=()) if line.startswith(("stop", "start"))]


def test_an_interruption_does_not_end_the_swap() -> None:
    """Ctrl-C in the middle of it is too late: there is neither old nor new, and it takes seconds."""
    story: list[str] = []

    class Interrupted(Part):
        def swap(self, site: Site, backup: str) -> None:
            signal.raise_signal(signal.SIGINT)
            super().swap(site, backup)

    restore(Interrupted("postgres", story, used_by=frozenset({"backend"})))
    assert story[-4:] == ["swap postgres", "unstage postgres", "start backend", "volume rm"]


def test_what_is_left_tells_how_far_it_came() -> None:
    """Staged and nothing replaced is harmless; both of one backup is a restore that was interrupted half-way."""
    idle = {"postgres": Leftovers(staged=frozenset({"a"})), "redis": Leftovers(replaced=frozenset({"b"}))}
    half = {"postgres": Leftovers(staged=frozenset({"a"})), "redis": Leftovers(replaced=frozenset({"a", "b"}))}
    assert (half_done(idle), half_done(half)) == ([], ["a"])


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
