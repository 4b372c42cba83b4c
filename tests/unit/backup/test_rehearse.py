"""Drills: what is written down of one, and which of them silence the alarm that none was made."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.backup import rehearse as module
from cotai_tasks.backup.components.base import Difference
from cotai_tasks.backup.rehearse import Outcome, Rehearsed, drill
from cotai_tasks.errors import IntegrityError, PreflightError, StoreError
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.backup.catalogues import MemoryStore, make, settings
from tests.unit.deploy.stacks import stack

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.backup.catalogue import Catalogue

WRONG = Difference("table t", "4 rows", "3 rows")


@pytest.fixture(autouse=True)
def _stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be a stack that nobody else works on."""
    monkeypatch.setattr(module, "open_stack", lambda *_: stack())
    monkeypatch.setattr(module, "stack_lock", lambda *_: nullcontext())


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give what Prometheus learns: seconds of drills."""
    seconds: list[float] = []
    monkeypatch.setattr(module, "record_drill", lambda *_, **told: seconds.append(told["seconds"]))
    return seconds


def run(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    *wrong: Difference,
    fails: Exception | None = None,
    **flags: Any,  # noqa: ANN401
) -> str:
    """Drill, where a rehearsal takes seven seconds; give what was said."""

    def rehearse(one: Any, *_: object, **__: object) -> Outcome:  # noqa: ANN401
        if fails:
            raise fails
        return Outcome(one.id, 7, (Rehearsed("postgres", 7, "", wrong, (), ()),))

    monkeypatch.setattr(module, "rehearse_backup", rehearse)
    console = RecordingConsole()
    drill(settings=settings(directory), engine=FakeEngine(), console=console, **flags)
    return console.text()


def recorded(found: Catalogue) -> list[tuple[str, bool, tuple[str, ...]]]:
    return [(level, one.ok, one.findings) for entry in found.entries() for level, one in entry.verified.items()]


def test_a_good_drill_is_recorded(
    tmp_path: Path, found: Catalogue, known: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside its backup, and for Prometheus with the time that a restore takes."""
    make(found)
    run(tmp_path, monkeypatch)
    assert recorded(found) == [("restore", True, ())]
    assert known == [7]


@pytest.mark.parametrize(
    ("complete", "flags"), [(False, {}), (True, {"store": "elsewhere"})], ids=["a part", "another store"]
)
def test_one_that_does_not_count_silences_no_alarm(
    tmp_path: Path,
    found: Catalogue,
    known: list[float],
    complete: bool,  # noqa: FBT001 - a case
    flags: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is written down beside its backup all the same."""
    make(found, complete=complete)
    run(tmp_path, monkeypatch, **flags)
    assert recorded(found) == [("restore", True, ())]
    assert known == []


def test_a_drill_that_finds_something_is_recorded_and_fails(
    tmp_path: Path, found: Catalogue, known: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what differs, or by what the server's own tool refuses; such a backup counts as none from then on."""
    backup = make(found)
    with pytest.raises(IntegrityError, match="is not what its manifest says"):
        run(tmp_path, monkeypatch, WRONG)
    assert recorded(found) == [("restore", False, ("table t: 3 rows instead of 4 rows",))]
    with pytest.raises(IntegrityError, match="does not load"):
        run(tmp_path, monkeypatch, fails=IntegrityError("it does not load: pg_restore failed"), backup=backup)
    assert recorded(found) == [("restore", False, ("it does not load: pg_restore failed",))]
    with pytest.raises(IntegrityError, match="is not whole"):
        found.find()
    assert known == []


def test_what_says_nothing_of_the_backup_is_not_recorded(
    tmp_path: Path, found: Catalogue, known: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that could not try."""
    make(found)
    with pytest.raises(PreflightError):
        run(tmp_path, monkeypatch, fails=PreflightError("another major version"))
    assert (recorded(found), known) == ([], [])


def test_who_may_only_read_the_store_can_drill(
    tmp_path: Path, found: Catalogue, store: MemoryStore, known: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is told, and Prometheus has it; only beside the backup it does not stand."""
    make(found)

    def refuse(*_: object) -> None:
        raise StoreError("403")

    store.before = refuse
    assert "the result is not written down: 403" in run(tmp_path, monkeypatch)
    assert known == [7]
    with pytest.raises(IntegrityError) as caught:
        run(tmp_path, monkeypatch, WRONG)
    assert [one.where for one in caught.value.findings] == ["table t"]
