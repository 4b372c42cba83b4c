"""Freshness: an old backup, a damaged one and a store that does not answer are all told."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.backup import check as check_module
from cotai_tasks.backup.check import check, read_age
from cotai_tasks.errors import StaleError, StoreError, UsageError
from cotai_tasks.testing import RecordingConsole
from tests.unit.backup.catalogues import MemoryStore, catalogue, make, settings

if TYPE_CHECKING:
    from pathlib import Path

HOUR = timedelta(hours=1)


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep what the webhook would be told."""
    kept: list[str] = []

    def keep(*told: object, **_: object) -> None:
        kept.append(f"{told[1]}: {told[2]}")

    monkeypatch.setattr(check_module, "send", keep)
    return kept


def make_at(directory: Path, store: MemoryStore, age: timedelta, **changes: Any) -> str:  # noqa: ANN401
    return make(catalogue(directory, store), datetime.now(UTC) - age, **changes)


def test_a_young_backup_is_enough(tmp_path: Path, store: MemoryStore, notices: list[str]) -> None:
    """Older ones do not matter, and nobody is told."""
    make_at(tmp_path, store, 99 * HOUR)
    backup = make_at(tmp_path, store, 3 * HOUR)
    console = RecordingConsole()
    found = check("26h", notify=True, settings=settings(tmp_path), console=console)
    assert found.fresh
    expected = f"✓ the newest whole backup of cotai-dev, {backup}, is 3 h old (limit 1 d 2 h)\n"
    assert (console.text(), notices) == (expected, [])


def test_an_old_one_is_an_error_and_a_notice(tmp_path: Path, store: MemoryStore, notices: list[str]) -> None:
    """Whoever asked to be told is told; without that only the exit code speaks."""
    backup = make_at(tmp_path, store, 31 * HOUR)
    text = f"the newest whole backup of cotai-dev, {backup}, is 1 d 7 h old (limit 1 d 2 h)"
    for notify in (False, True):
        with pytest.raises(StaleError) as caught:
            check(notify=notify, settings=settings(tmp_path), console=RecordingConsole())
        assert str(caught.value) == text
    assert notices == [f"stale: {text}"]


def test_a_damaged_one_counts_as_none(tmp_path: Path, store: MemoryStore, notices: list[str]) -> None:
    """The newest good one is told, and what is wrong with the newer ones."""
    old, new = make_at(tmp_path, store, 31 * HOUR), make_at(tmp_path, store, HOUR)
    del store.objects[store.keys(f"data/{new}")[0]]
    with pytest.raises(StaleError, match=old) as caught:
        check(settings=settings(tmp_path), console=RecordingConsole())
    assert [one.where for one in caught.value.findings] == [new]
    console = RecordingConsole()
    assert check("2d", settings=settings(tmp_path), console=console).fresh
    assert f"! {new}: cotai-dev/data/{new}/postgres-cotai.1.zst: missing." in console.text()
    assert notices == []


def test_no_backup_at_all_is_stale(tmp_path: Path, store: MemoryStore) -> None:
    """For a program too."""
    assert store.objects == {}
    console = RecordingConsole()
    with pytest.raises(StaleError, match="no whole backup of cotai-dev in memory"):
        check(as_json=True, settings=settings(tmp_path), console=console)
    told = json.loads(console.text())
    assert (told["fresh"], told["backup"], told["age_seconds"]) == (False, None, None)


def test_a_partial_backup_is_not_one_of_the_stack(tmp_path: Path, store: MemoryStore) -> None:
    """However young it is: the rest of the stack could not be restored from it."""
    make_at(tmp_path, store, HOUR, complete=False)
    with pytest.raises(StaleError, match="no whole backup of cotai-dev in memory"):
        check(settings=settings(tmp_path), console=RecordingConsole())
    old = make_at(tmp_path, store, 31 * HOUR)
    with pytest.raises(StaleError, match=f"{old}, is 1 d 7 h old") as caught:
        check(settings=settings(tmp_path), console=RecordingConsole())
    assert caught.value.findings == ()


def test_a_backup_from_the_future_is_no_young_one(tmp_path: Path, store: MemoryStore) -> None:
    """A host whose clock was wrong must not silence the alarm for years; clocks that differ a little do no harm."""
    ahead, old = make_at(tmp_path, store, -9 * HOUR), make_at(tmp_path, store, 31 * HOUR)
    with pytest.raises(StaleError, match=old) as caught:
        check(settings=settings(tmp_path), console=RecordingConsole())
    assert [one.where for one in caught.value.findings] == [ahead]
    assert re.fullmatch(r"its time lies .* in the future", caught.value.findings[0].fault)
    make_at(tmp_path, store, -HOUR / 2)
    assert check(settings=settings(tmp_path), console=RecordingConsole()).fresh


def test_a_store_that_does_not_answer_is_told_too(tmp_path: Path, store: MemoryStore, notices: list[str]) -> None:
    """Nobody knows then whether there is a backup: silence would be the worst answer."""

    def fail(prefix: str) -> object:
        raise StoreError(f"no answer {prefix}")

    store.list = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreError):
        check(notify=True, settings=settings(tmp_path), console=RecordingConsole())
    assert notices == ["stale: no answer cotai-dev/manifests/"]


@pytest.mark.parametrize(
    ("text", "age"), [("26h", 26 * HOUR), ("90m", 1.5 * HOUR), ("8d", 192 * HOUR), ("0h", timedelta(0))]
)
def test_ages_are_read(text: str, age: timedelta) -> None:
    """In minutes, hours or days."""
    assert read_age(text) == age


@pytest.mark.parametrize("text", ["", "26", "h", "1w", "-3h", "26 h"])
def test_what_is_no_age_is_refused(text: str) -> None:
    """A slip must not switch the alarm off."""
    with pytest.raises(UsageError, match="--max-age"):
        read_age(text)
