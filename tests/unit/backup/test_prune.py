"""Pruning: nothing is deleted that is still needed, and whatever interrupts it, the next one goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.backup.prune import Pruned, delete, prune
from cotai_tasks.errors import RefusedError, StoreError, UsageError
from cotai_tasks.testing import RecordingConsole
from tests.unit.backup.catalogues import MemoryStore, backup_id, make, settings

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.backup.catalogue import Catalogue

NOW = datetime.now(UTC).replace(microsecond=0)
"""Pruning looks at the clock."""
DAY = timedelta(days=1)


def run(
    directory: Path,
    console: RecordingConsole | None = None,
    *,
    yes: bool = True,
    **flags: Any,  # noqa: ANN401
) -> Pruned:
    own = settings(directory, BACKUP_MIN_KEEP=1, BACKUP_KEEP="last=1")
    return prune(yes=yes, settings=own, console=console or RecordingConsole(), **flags)


def test_what_no_rule_keeps_goes(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """The oldest first, with all that belongs to it; the table says of each why it stays."""
    oldest, old, new = (make(found, NOW - age * DAY) for age in (3, 2, 1))
    console = RecordingConsole()
    store.steps.clear()
    result = run(tmp_path, console)
    assert (result.removed, result.cleared, found.ids()) == ((oldest, old), (), [new])
    manifests = [key for step, key in store.steps if step == "delete" and "manifests" in key]
    assert manifests == [f"cotai-dev/manifests/{one}.json" for one in (oldest, old)]
    assert store.keys(old) == []
    table = [" ".join(line.split()) for line in console.text().splitlines()]
    assert table[:4] == [
        "backup age size components decision",
        f"{new} 1 d 67 B postgres, redis stays: last 1",
        f"{old} 2 d 67 B postgres, redis goes",
        f"{oldest} 3 d 67 B postgres, redis goes",
    ]
    assert table[-1] == "✓ removed 2 of 3 backups; 0 interrupted uploads; 134 B freed"


def test_the_rules_of_the_settings_hold(tmp_path: Path, found: Catalogue) -> None:
    """BACKUP_KEEP decides, and BACKUP_MIN_KEEP is respected."""
    for age in range(1, 9):
        make(found, NOW - age * DAY)
    prune(yes=True, settings=settings(tmp_path, BACKUP_KEEP="last=2"), console=RecordingConsole())
    assert len(found.ids()) == 3


def test_nothing_goes_unconfirmed_or_on_a_dry_run(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """Without a terminal it refuses; a dry run shows what would go."""
    make(found, NOW - 2 * DAY)
    make(found, NOW - DAY)
    before = dict(store.objects)
    with pytest.raises(RefusedError, match="Remove 1 of 2 backups from memory"):
        run(tmp_path, yes=False)
    assert run(tmp_path, dry_run=True).removed == ()
    assert (store.objects, store.swept) == (before, [])


def test_a_program_is_not_asked_of_what_nobody_saw(tmp_path: Path, found: Catalogue) -> None:
    """JSON comes after the deed: without --yes it refuses before a question is asked; to look is allowed."""
    make(found, NOW - 2 * DAY)
    make(found, NOW - DAY)
    console = RecordingConsole()
    with pytest.raises(RefusedError, match="--json shows no table"):
        run(tmp_path, console, yes=False, as_json=True)
    assert (console.text(), len(found.ids())) == ("", 2)
    run(tmp_path, console, yes=False, as_json=True, dry_run=True)
    assert len(json.loads(console.text())["to_remove"]) == 1


def test_run_twice_there_is_nothing_to_do(tmp_path: Path, found: Catalogue) -> None:
    """It says so."""
    make(found)
    console = RecordingConsole()
    assert run(tmp_path, console).removed == ()
    assert console.text().splitlines()[-1] == "✓ nothing to do: every backup stays"


def test_what_changes_while_a_person_reads_is_seen(
    tmp_path: Path, found: Catalogue, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was to stay turns out damaged before the answer: the older one is needed now."""
    old, new = make(found, NOW - 2 * DAY), make(found, NOW - DAY)
    console = RecordingConsole()

    def damage(_: str, *, yes: bool) -> None:
        assert not yes
        del store.objects[store.keys(f"data/{new}")[0]]

    monkeypatch.setattr(console, "confirm", damage)
    assert run(tmp_path, console, yes=False).removed == ()
    assert found.ids() == [new, old]


def test_a_damaged_one_is_no_reason_to_delete_a_good_one(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """It stays, and takes nobody's place."""
    good, bad = make(found, NOW - 2 * DAY), make(found, NOW - DAY)
    store.objects[f"cotai-dev/manifests/{bad}.json"] = b"{}"
    assert run(tmp_path).removed == ()
    assert found.ids() == [bad, good]


def test_interrupted_backups_are_cleared_away(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """After a day of silence; one that is being made is left alone."""
    dead, alive = backup_id(NOW, "00000d"), backup_id(NOW, "00000a")
    kept = make(found, NOW)
    for backup in (dead, alive):
        found.begin(backup)
        store.put(f"cotai-dev/data/{backup}/redis.1.zst", b"data")
    store.times = dict.fromkeys(store.keys(dead), NOW - DAY - timedelta(minutes=1))
    store.times |= dict.fromkeys(store.keys(alive), NOW - DAY + timedelta(hours=1))
    with pytest.raises(RefusedError, match="0 of 1 backups and what 1 interrupted ones left"):
        run(tmp_path, yes=False)
    left = sum(len(store.objects[key]) for key in store.keys(dead))
    result = run(tmp_path)
    assert (result.cleared, result.freed, store.keys(dead)) == ((dead,), left, [])
    assert len(store.keys(alive)) == 2
    assert found.ids() == [kept]
    ((prefix, older_than),) = store.swept
    assert prefix == "cotai-dev/"
    assert older_than <= datetime.now(UTC) - DAY


def test_a_prune_that_was_killed_is_finished_by_the_next(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """Between the manifest and the data it leaves data without a manifest, which is never listed."""
    old, new = make(found, NOW - 2 * DAY), make(found, NOW - DAY)

    def die(step: str, key: str) -> None:
        if step == "delete" and "/data/" in key:
            raise KeyboardInterrupt

    store.before = die
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert (found.ids(), len(store.keys(f"data/{old}"))) == ([new], 2)
    store.before = lambda *_: None
    store.times = dict.fromkeys(store.keys(old), NOW - 2 * DAY)
    assert run(tmp_path).cleared == (old,)
    assert store.keys(old) == []


def test_locks_are_told_and_respected(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """Neither a locked backup nor the locked data of an interrupted one is tried."""
    until = NOW + 5 * DAY
    locked, _new = make(found, NOW - 2 * DAY), make(found, NOW - DAY)
    dead = backup_id(NOW, "00000d")
    store.put(key := f"cotai-dev/data/{dead}/redis.1.zst", b"data")
    store.times[key] = NOW - 2 * DAY
    store.locks = {f"cotai-dev/manifests/{locked}.json": until, key: until}
    console = RecordingConsole()
    result = run(tmp_path, console)
    assert (result.removed, result.cleared) == ((), ())
    assert f"stays: locked until {until:%Y-%m-%d %H:%M}" in console.text()
    assert f"interrupted: {dead} stays, locked until {until:%Y-%m-%d %H:%M}" in console.text()


def test_a_store_that_cannot_be_read_loses_nothing(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """Half a list would make old backups look superfluous."""
    for age in (1, 2):
        make(found, NOW - age * DAY)
    before = dict(store.objects)

    def fail(prefix: str) -> object:
        raise StoreError(f"503 {prefix}")

    store.list = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreError):
        run(tmp_path)
    assert store.objects == before


def test_programs_are_told_everything(tmp_path: Path, found: Catalogue) -> None:
    """What stays and why, what goes, what went."""
    old, new = make(found, NOW - 2 * DAY), make(found, NOW - DAY)
    console = RecordingConsole()
    run(tmp_path, console, as_json=True)
    told = json.loads(console.text()[console.text().index("{") :])
    assert told == {
        "stack": "cotai-dev",
        "store": "memory",
        "kept": {new: ["last 1"]},
        "to_remove": [old],
        "removed": [old],
        "cleared": [],
        "freed_bytes": 67,
        "uploads": 0,
    }


def test_one_backup_goes_by_its_name(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """What no rule removes, a tagged or a damaged one; never one that nobody named, nor unconfirmed."""
    tagged, damaged = make(found, NOW - DAY, tag="before-migration"), make(found, NOW - 2 * DAY)
    store.objects[f"cotai-dev/manifests/{damaged}.json"] = b"torn"
    kept = make(found, NOW)
    flags: dict[str, Any] = {"settings": settings(tmp_path), "console": RecordingConsole()}
    with pytest.raises(UsageError, match="no backup is named"):
        delete("", yes=True, **flags)
    with pytest.raises(RefusedError):
        delete(tagged, **flags)
    assert delete(tagged, dry_run=True, **flags) == tagged
    assert found.ids() == [kept, tagged, damaged]
    assert delete(tagged, yes=True, **flags) == tagged
    assert delete(damaged, yes=True, **flags) == damaged
    assert found.ids() == [kept]
    assert not store.keys(tagged) + store.keys(damaged)
