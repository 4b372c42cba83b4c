"""What kind of backup the flags ask for, and what there is of one that ends at any of its steps."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup import catalogue as catalogue_module
from cotai_tasks.backup import create as module
from cotai_tasks.backup.components.base import Dump
from cotai_tasks.backup.create import Wish, create
from cotai_tasks.backup.manifest import DEFAULT_COMPONENTS
from cotai_tasks.errors import BackupError, IdentityError, StoreError, UsageError
from cotai_tasks.notify import failure_told
from cotai_tasks.settings import load_settings
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.backup.catalogues import MemoryStore, catalogue, make
from tests.unit.backup.catalogues import settings as settings_of
from tests.unit.backup.pipes import RECIPIENT, Pieces, Script
from tests.unit.deploy.stacks import stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cotai_tasks.backup.components.base import Site
    from cotai_tasks.settings import Settings

NOTHING = {"encrypt": False, "plain": False, "only": "", "recipients": (), "tag": "", "store": "", "level": 3}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give the settings of a development stack."""
    return load_settings(tmp_path, "dev", environ={})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"encrypt": True, "plain": True}, "--encrypt and --plain exclude"),
        ({"recipients": [RECIPIENT], "plain": True}, "--recipient and --plain exclude"),
        ({"level": 20}, "--level 20"),
        ({"tag": "before the fair"}, "--tag before the fair"),
        ({"tag": "../x"}, "--tag ../x"),
        ({"only": "postgress"}, "postgress"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: Settings, flags: dict[str, object], said: str) -> None:
    """Before anything is opened."""
    with pytest.raises(UsageError, match=said):
        Wish.of(settings, **{**NOTHING, **flags})  # type: ignore[arg-type]


def test_who_asks_for_encryption_names_somebody(settings: Settings) -> None:
    """Never in plain by accident."""
    with pytest.raises(IdentityError):
        Wish.of(settings, **{**NOTHING, "encrypt": True})  # type: ignore[arg-type]


def test_only_a_whole_one_in_its_usual_store_counts(settings: Settings) -> None:
    """An alarm about the last backup must not be silenced by a part of one, or by one that lies elsewhere."""
    whole, part, elsewhere = (
        Wish.of(settings, **{**NOTHING, **flags})  # type: ignore[arg-type]
        for flags in ({"tag": "v1.2_rc-1"}, {"only": "redis"}, {"store": "/mnt/usb"})
    )
    assert whole.components == DEFAULT_COMPONENTS
    assert (whole.counts, part.counts, elsewhere.counts) == (True, False, False)
    assert (part.complete, elsewhere.complete) == (False, True)


# -- a backup that ends at one of its steps ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A component that gives one stream."""

    name: str
    source: Script | Pieces

    def dumps(self, site: Site) -> list[Dump]:  # noqa: ARG002 - as every component
        return [Dump(self.name, self.name, "tar", 1, self.source.open)]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the notices that go out."""
    notices: list[str] = []
    monkeypatch.setattr("cotai_tasks.notify.notify", lambda _settings, _event, text, **_: notices.append(text))
    monkeypatch.setattr(module, "open_stack", lambda *_: stack())
    monkeypatch.setattr(module, "stack_lock", lambda *_: nullcontext())
    return notices


def run(directory: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, *sources: Script | Pieces) -> str:
    """Back up one component to each source; give what the person was told."""
    names = DEFAULT_COMPONENTS[: len(sources)]
    parts = {name: Part(name, source) for name, source in zip(names, sources, strict=True)}
    monkeypatch.setattr(module, "all_components", lambda **_: parts)
    monkeypatch.setattr(catalogue_module, "open_store", lambda *_: store)
    monkeypatch.setattr(Wish, "counts", property(lambda _: True))
    console, settings = RecordingConsole(), settings_of(directory)
    try:
        with failure_told(settings, "backup.create", console=console):
            create(Wish(names, {}), settings=settings, engine=FakeEngine(), console=console)
    finally:
        said = console.text()
    return said


def cut(store: MemoryStore, last: int, ending: Callable[[], object]) -> list[str]:
    """Let the store's nth change be the last one before something happens; give the changes until then."""
    changes: list[str] = []

    def before(step: str, key: str) -> None:
        changes.append(f"{step} {key.split('/')[1].removesuffix('.json')}")
        if len(changes) == last:
            ending()

    store.before = before
    return changes


def refuse() -> None:
    raise StoreError("the store is gone")


STEPS = ("put format", "put inflight", "put data", "put data", "put manifests", "delete inflight")


@pytest.mark.parametrize("step", range(len(STEPS)))
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, None])
def test_what_ends_at_any_step_leaves_nothing_or_a_whole_backup(
    step: int, ending: signal.Signals | None, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, a host that goes down, a store that fails: before the manifest nothing stays, after it all is there."""
    store = MemoryStore()
    kept = make(catalogue(tmp_path, store))
    del store.objects["cotai-dev/format.json"]  # so that it is a step, too
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as every task does
    changes = cut(store, step + 1, refuse if ending is None else partial(signal.raise_signal, ending))
    try:
        with pytest.raises(StoreError if ending is None else KeyboardInterrupt):
            run(tmp_path, store, monkeypatch, Script("echo rows"), Pieces([b"keys"]))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert changes[: step + 1] == list(STEPS[: step + 1])
    store.before = lambda *_: None
    entries = catalogue(tmp_path, store).entries()
    assert [one.fault for one in entries] == [None] * len(entries)
    others = [one.id for one in entries if one.id != kept]
    assert len(others) == (step == len(STEPS) - 1)
    left = [key for key in store.objects if kept not in key and "format" not in key]
    assert {key.split("/")[2].removesuffix(".json") for key in left} == set(others)
    assert told == [f"backup.create failed: {'the store is gone' if ending is None else 'KeyboardInterrupt'}"]


def test_one_dump_that_fails_is_a_failed_backup(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those before it were whole, and are removed again: never is a backup listed that lacks what was wanted of it."""
    store = MemoryStore()
    broken = Script("head -c 3000000 /dev/zero; echo 'the disk is broken' >&2; exit 1")
    with pytest.raises(BackupError, match="mongodb: docker exec failed: the disk is broken"):
        run(tmp_path, store, monkeypatch, Script("echo rows"), broken, Pieces([b"never asked"]))
    assert store.keys() == ["cotai-dev/format.json"]
    assert told == ["backup.create failed: mongodb: docker exec failed: the disk is broken"]
