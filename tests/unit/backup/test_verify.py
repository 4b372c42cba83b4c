"""Verification: each level finds what it should, and the result is written down whatever it is."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.age import make_identity
from cotai_tasks.backup import verify as verify_module
from cotai_tasks.backup.components.base import Difference
from cotai_tasks.backup.rehearse import Outcome, Rehearsed
from cotai_tasks.backup.verification import LEVELS, Verification
from cotai_tasks.backup.verify import verify
from cotai_tasks.errors import Finding, IdentityError, IntegrityError, StoreError, UsageError
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.backup.catalogues import NOW, MemoryStore, make_whole, settings
from tests.unit.deploy.stacks import stack

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.backup.catalogue import Catalogue

DUMPS = {"redis": b"some data " * 999, "redis-cache": b"other data " * 999}


def run(directory: Path, console: RecordingConsole | None = None, **flags: Any) -> Verification:  # noqa: ANN401
    own = settings(directory)
    return verify(settings=own, engine=FakeEngine(), console=console or RecordingConsole(), **flags)


def recorded(found: Catalogue) -> dict[str, tuple[bool, tuple[str, ...]]]:
    (entry,) = found.entries()
    return {level: (one.ok, one.findings) for level, one in entry.verified.items()}


def flip(store: MemoryStore, key: str, at: int = -9) -> None:
    data = bytearray(store.objects[key])
    data[at] ^= 1
    store.objects[key] = bytes(data)


@pytest.mark.parametrize("level", ["quick", "data", "decrypt"])
def test_a_whole_backup_passes_and_that_is_written_down(tmp_path: Path, found: Catalogue, level: str) -> None:
    """With the level, so that the list can say how closely it was looked at."""
    make_whole(found, DUMPS)
    console = RecordingConsole()
    result = run(tmp_path, console, level=level)
    assert (result.level, result.ok, recorded(found)) == (level, True, {level: (True, ())})
    assert f"is whole by {level} (" in console.text().splitlines()[-1]


def test_one_bit_is_found_without_a_key(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """Sizes do not tell; hashes do, and the other streams are read all the same."""
    backup = make_whole(found, DUMPS, recipients=[make_identity().to_public()])
    key = f"cotai-dev/data/{backup}/redis.1.zst.age"
    flip(store, key)
    assert run(tmp_path, level="quick").ok
    console = RecordingConsole()
    with pytest.raises(IntegrityError, match=f"backup {backup} is damaged") as caught:
        run(tmp_path, console, level="data", as_json=True)
    assert [(one.where, key in one.fault) for one in caught.value.findings] == [("redis", True)]
    assert "redis-cache: " in console.text()
    told = json.loads(console.text()[console.text().index("{") :])
    assert (told["backup"], told["ok"], told["level"]) == (backup, False, "data")
    assert recorded(found)["data"] == (False, (f"redis: {caught.value.findings[0].fault}",))
    assert found.entries()[0].fault


def test_swapped_objects_are_found(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """Those of another backup, of the same size and age, are not this one's."""
    first = make_whole(found, {"redis": b"1" * 999}, NOW - timedelta(days=1))
    second = make_whole(found, {"redis": b"2" * 999})
    keys = [f"cotai-dev/data/{one}/redis.1.zst" for one in (first, second)]
    assert len(store.objects[keys[0]]) == len(store.objects[keys[1]])
    store.objects[keys[1]] = store.objects[keys[0]]
    with pytest.raises(IntegrityError, match="is damaged"):
        run(tmp_path, level="data", backup=second)
    assert run(tmp_path, level="data", backup=first).ok


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("damage", ["deleted", "truncated"])
def test_every_level_sees_what_is_gone(
    tmp_path: Path, found: Catalogue, store: MemoryStore, level: str, damage: str
) -> None:
    """The sizes come first, and nothing is read or loaded where they are wrong."""
    backup = make_whole(found, DUMPS)
    key = f"cotai-dev/data/{backup}/redis.1.zst"
    if damage == "deleted":
        del store.objects[key]
    else:
        store.objects[key] = store.objects[key][:-1]
    with pytest.raises(IntegrityError) as caught:
        run(tmp_path, level=level, backup=backup)
    assert [one.where for one in caught.value.findings] == [key]
    assert not recorded(found)[level][0]


def test_an_identity_that_does_not_open_it_says_nothing_of_the_backup(tmp_path: Path, found: Catalogue) -> None:
    """It is the wrong key, not a damaged backup: nothing is written down against it."""
    own = make_identity()
    make_whole(found, DUMPS, recipients=[own.to_public()])
    key = tmp_path / "identity.txt"
    with pytest.raises(IdentityError, match="no identity is named"):
        run(tmp_path, level="decrypt")
    key.write_text(f"{make_identity()}\n")
    with pytest.raises(IdentityError):
        run(tmp_path, level="decrypt", identity=str(key))
    assert recorded(found) == {}
    key.write_text(f"{own}\n")
    assert run(tmp_path, level="decrypt", identity=str(key)).ok


def test_keys_that_are_rotated_open_each_their_own_time(tmp_path: Path, found: Catalogue) -> None:
    """The old one what was made before, the new one what was made after; a file with both opens all of it."""
    old, new = make_identity(), make_identity()
    before = make_whole(found, DUMPS, NOW - timedelta(days=1), recipients=[old.to_public()])
    after = make_whole(found, DUMPS, NOW, recipients=[new.to_public()])
    files = {"old": f"{old}\n", "new": f"{new}\n", "both": f"{new}\n{old}\n"}
    opened: dict[str, list[str]] = {}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        opened[name] = []
        for backup in (before, after):
            with suppress(IdentityError):
                run(tmp_path, level="decrypt", backup=backup, identity=name)
                opened[name].append(backup)
    assert opened == {"old": [before], "new": [after], "both": [before, after]}


def test_a_store_that_fails_says_nothing_of_the_backup(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """An outage is no damage."""
    make_whole(found, DUMPS)

    def fail(key: str) -> Any:  # noqa: ANN401
        raise StoreError(f"no answer {key}")

    store.open = fail  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        run(tmp_path, level="data")
    assert recorded(found) == {}


def test_whoever_may_only_read_still_gets_the_answer(tmp_path: Path, found: Catalogue, store: MemoryStore) -> None:
    """The result stands on the screen, with a word on why nowhere else."""
    make_whole(found, DUMPS)

    def refuse(step: str, key: str) -> None:
        raise StoreError(f"403 {step} {key}")

    store.before = refuse
    console = RecordingConsole()
    assert run(tmp_path, console, level="data").ok
    assert "the result is not written down: 403 put" in console.text()


@pytest.mark.parametrize("unfit", [False, True])
def test_a_restore_that_differs_is_a_damaged_backup(
    tmp_path: Path, found: Catalogue, monkeypatch: pytest.MonkeyPatch, *, unfit: bool
) -> None:
    """What the rehearsal finds is what verification says, whether it compared or could not load."""
    backup = make_whole(found, DUMPS)
    monkeypatch.setattr(verify_module, "open_stack", lambda *_: stack())
    monkeypatch.setattr(verify_module, "stack_lock", lambda *_: nullcontext())

    def rehearse(*_: object, **__: object) -> Outcome:
        if unfit:
            raise IntegrityError("cannot be loaded", findings=[Finding("redis", "too new", "")])
        part = Rehearsed("redis", 1, "", (Difference("database 0", "2 keys", "1 key"),), (), ())
        return Outcome(backup, 1, (part,))

    monkeypatch.setattr(verify_module, "rehearse_backup", rehearse)
    with pytest.raises(IntegrityError, match="is damaged"):
        run(tmp_path, level="restore")
    finding = "redis: too new" if unfit else "database 0: 1 key instead of 2 keys"
    assert recorded(found) == {"restore": (False, (finding,))}


def test_a_level_that_is_none_is_refused(tmp_path: Path) -> None:
    """With the nearest that there is."""
    with pytest.raises(UsageError, match="--level dat: no such level") as caught:
        run(tmp_path, level="dat")
    assert caught.value.cure == "Did you mean data?"
