"""The catalogue: a backup exists from its manifest on, and nothing is listed that would not restore."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup.catalogue import AHEAD
from cotai_tasks.backup.manifest import FORMAT
from cotai_tasks.backup.signing import fingerprint, seal_manifest, signing_key
from cotai_tasks.backup.store.base import ExistsError
from cotai_tasks.backup.verification import Verification
from cotai_tasks.errors import BackupError, IntegrityError, StoreError, UsageError
from tests.unit.backup.catalogues import NOW, MemoryStore, backup_id, catalogue, make, manifest, settings, stream

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)


def test_a_backup_exists_from_its_manifest_on(tmp_path: Path) -> None:
    """What is on its way is told as that, and nothing of it is listed; the manifest is the last thing written."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    backup = backup_id(NOW)
    found.begin(backup)
    assert (found.ids(), found.entries(), [one.id for one in found.under_way()]) == ([], [], [backup])
    one = stream(backup, "redis", b"data")
    store.put(one.objects[0].key, b"data")
    written = manifest(backup, one)
    found.commit(written)
    assert [(entry.id, entry.manifest, entry.fault) for entry in found.entries()] == [(backup, written, None)]
    assert found.under_way() == []
    assert store.steps[-2:] == [
        ("put", f"cotai-dev/manifests/{backup}.json"),
        ("delete", f"cotai-dev/inflight/{backup}.json"),
    ]


@pytest.mark.parametrize("damage", [None, b"", b"dat"])
def test_nothing_is_committed_that_is_not_in_the_store(tmp_path: Path, damage: bytes | None) -> None:
    """Sizes are read back first: an object that is missing, empty or short makes it no backup."""
    store = MemoryStore()
    found, backup = catalogue(tmp_path, store), backup_id(NOW)
    found.begin(backup)
    one = stream(backup, "redis", b"data")
    if damage is not None:
        store.put(one.objects[0].key, damage)
    with pytest.raises(IntegrityError, match="not in memory as it was written") as caught:
        found.commit(manifest(backup, one))
    fault = "missing" if damage is None else f"{len(damage)} bytes instead of 4"
    assert [(one.where, one.fault) for one in caught.value.findings] == [(one.objects[0].key, fault)]
    assert found.ids() == []


def test_a_failed_backup_leaves_nothing(tmp_path: Path) -> None:
    """Its data and the note of its making go; those of others stay."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    kept, failed = make(found, NOW - DAY), backup_id(NOW)
    found.begin(failed)
    store.put(f"cotai-dev/data/{failed}/redis.1.zst", b"data")
    found.abandon(failed)
    assert store.keys(failed) == []
    assert [entry.id for entry in found.entries() if not entry.fault] == [kept]


def test_abandoning_takes_nothing_from_a_backup_that_exists(tmp_path: Path) -> None:
    """Interrupted between the manifest and the note's removal, it is a backup all the same."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    backup = make(found)
    found.begin(backup)
    found.abandon(backup)
    assert [entry.fault for entry in found.entries()] == [None]
    assert store.keys("inflight") == []


def test_a_lost_answer_is_no_failure(tmp_path: Path) -> None:
    """The store took the manifest and the answer was lost: the second attempt finds its own."""
    store = MemoryStore()
    found, backup = catalogue(tmp_path, store), backup_id(NOW)
    found.begin(backup)
    sealed = seal_manifest(manifest(backup), signing_key(found.folder))
    store.put(f"cotai-dev/manifests/{backup}.json", sealed)
    found.publish(manifest(backup), sealed)
    assert found.ids() == [backup]
    with pytest.raises(ExistsError):
        found.publish(manifest(backup, tag="another"), sealed + b" ")


@pytest.mark.parametrize("step", ["put", "delete"])
def test_a_commit_and_a_prune_that_meet_never_leave_a_backup_without_data(tmp_path: Path, step: str) -> None:
    """Whichever comes first at the manifest: either it is whole, or it is not there."""
    store = MemoryStore()
    found, backup = catalogue(tmp_path, store), backup_id(NOW)
    found.begin(backup)
    one = stream(backup, "redis", b"data")
    store.put(one.objects[0].key, b"data")
    other = catalogue(tmp_path, store)

    def interfere(what: str, key: str) -> None:
        if what == step and key.endswith(f"{'manifests' if step == 'put' else 'inflight'}/{backup}.json"):
            store.before = lambda *_: None
            other.abandon(backup)

    store.before = interfere
    if step == "put":
        with pytest.raises(BackupError, match="cleared away by a prune"):
            found.commit(manifest(backup, one))
        assert store.keys(backup) == []
    else:
        found.commit(manifest(backup, one))
        assert [entry.fault for entry in found.entries()] == [None]


def test_removing_takes_the_manifest_first(tmp_path: Path) -> None:
    """Interrupted at any step it leaves no backup without its data."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    backup = make(found)
    found.record(backup, Verification.now("quick", seconds=1))
    store.steps.clear()
    found.remove(backup)
    assert store.steps[0] == ("delete", f"cotai-dev/manifests/{backup}.json")
    assert store.keys() == ["cotai-dev/format.json"]


def test_leftovers_are_what_no_manifest_names_and_nobody_touched_for_long(tmp_path: Path) -> None:
    """A slow backup shows signs of life: its youngest object counts, not its oldest."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    make(found, NOW - 9 * DAY)
    dead, slow, headless = (backup_id(NOW, digits) for digits in ("00000d", "0000aa", "00000b"))
    for backup in (dead, slow):
        found.begin(backup)
        for piece in (1, 2):
            store.put(f"cotai-dev/data/{backup}/redis.{piece}.zst", b"data")
    store.put(f"cotai-dev/data/{headless}/redis.1.zst", b"data")
    store.times = dict.fromkeys(store.objects, NOW - 2 * DAY)
    store.times[f"cotai-dev/data/{slow}/redis.2.zst"] = NOW
    assert {backup: len(files) for backup, files in found.leftovers(NOW - DAY).items()} == {dead: 3, headless: 1}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"tag": "edited"}, "its manifest was altered after it was signed"),
        ({"signature": ""}, "its manifest was altered after it was signed"),
        ({"unsigned": True}, "its manifest is not signed"),
        ({"newer": True}, f"its manifest has format {FORMAT + 1}, and this version reads up to {FORMAT}"),
    ],
)
def test_a_manifest_that_is_not_ours_is_listed_as_damaged(
    tmp_path: Path, change: dict[str, object], fault: str
) -> None:
    """Edited, unsigned, of a newer version: it is there, and it counts as no backup."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    good, bad = make(found, NOW - DAY), make(found)
    key = f"cotai-dev/manifests/{bad}.json"
    sealed = json.loads(store.objects[key])
    match change:
        case {"tag": tag}:
            sealed["manifest"] = sealed["manifest"].replace('"tag":""', f'"tag":"{tag}"')
        case {"signature": signature}:
            sealed["signature"] = signature
        case {"unsigned": _}:
            sealed = json.loads(sealed["manifest"])
        case _:
            newer = manifest(bad, format=FORMAT + 1)
            sealed = json.loads(seal_manifest(newer, signing_key(found.folder)))
    store.objects[key] = json.dumps(sealed).encode()
    damaged, whole = found.entries()
    assert damaged.fault
    assert (damaged.id, damaged.manifest, damaged.fault.fault) == (bad, None, fault)
    assert (whole.id, whole.fault) == (good, None)
    assert found.find().id == good
    with pytest.raises(IntegrityError, match=f"backup {bad}: its manifest"):
        found.find(bad)


@pytest.mark.parametrize("damage", [b"", b"[]", b"\xff\x00", b'{"manifest": 1, "signature": 2, "public_key": 3}'])
def test_a_manifest_that_is_none_does_not_hide_the_others(tmp_path: Path, damage: bytes) -> None:
    """Whatever stands in one file, the list goes on."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    good, bad = make(found, NOW - DAY), make(found)
    store.objects[f"cotai-dev/manifests/{bad}.json"] = damage
    assert [(entry.id, bool(entry.fault)) for entry in found.entries()] == [(bad, True), (good, False)]


def test_a_manifest_under_another_id_is_refused(tmp_path: Path) -> None:
    """An old backup with its good signature must not pass for a new one, nor one stack's for another's."""
    store = MemoryStore()
    found, other = catalogue(tmp_path, store), catalogue(tmp_path, store, "cotai-prod")
    old, new, foreign = make(found, NOW - 9 * DAY), backup_id(NOW), make(other)
    store.objects[f"cotai-dev/manifests/{new}.json"] = found.sealed(old)
    with pytest.raises(IntegrityError, match=f"its manifest is that of cotai-dev {old}"):
        found.load(new)
    store.objects[f"cotai-dev/manifests/{foreign}.json"] = other.sealed(foreign)
    with pytest.raises(IntegrityError, match=f"its manifest is that of cotai-prod {foreign}"):
        found.load(foreign)


def test_another_hosts_backups_count_once_it_is_named(tmp_path: Path) -> None:
    """The error of an unknown signer says its fingerprint, and naming that is enough."""
    store = MemoryStore()
    made_by = catalogue(tmp_path / "first", store)
    backup = make(made_by)
    with pytest.raises(IntegrityError) as caught:
        catalogue(tmp_path / "second", store).find()
    signer = fingerprint(signing_key(made_by.folder))
    assert signer in caught.value.cure
    assert catalogue(tmp_path / "second", store, signer=signer).find().id == backup


@pytest.mark.parametrize("damage", ["deleted", "truncated"])
def test_a_backup_whose_data_is_gone_is_no_newest_one(tmp_path: Path, damage: str) -> None:
    """It is listed with what is wrong, and the newest whole one is meant instead."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    good, bad = make(found, NOW - DAY), make(found)
    for key in store.keys(f"data/{bad}"):
        if damage == "deleted":
            del store.objects[key]
        else:
            store.objects[key] = store.objects[key][:-1]
    fault = found.entries()[0].fault
    assert fault
    what = "missing" if damage == "deleted" else "37 bytes instead of 38"
    assert fault.fault == f"cotai-dev/data/{bad}/postgres-cotai.1.zst: {what} (and 1 more)"
    assert found.find().id == good
    found.remove(good)
    with pytest.raises(IntegrityError, match=f"backup {bad} is not whole"):
        found.find()


def test_a_backup_that_a_verification_found_damaged_is_no_newest_one(tmp_path: Path) -> None:
    """Until one that looks as closely succeeds; by its id it is there all the while."""
    found = catalogue(tmp_path)
    good, bad = make(found, NOW - DAY), make(found)
    found.record(bad, Verification.now("restore", seconds=1, findings=["postgres: 3 rows instead of 4"]))
    assert (found.find().id, found.find(bad).id) == (good, bad)
    assert found.passed_over(found.find(), "latest") == [bad]
    assert found.passed_over(found.find(good), good) == []
    found.record(bad, Verification.now("data", seconds=1))
    assert found.find().id == good
    found.record(bad, Verification.now("restore", seconds=1))
    assert found.find().id == bad
    assert found.passed_over(found.find(), "") == []


def test_an_id_needs_only_its_beginning(tmp_path: Path) -> None:
    """One that fits several, or none, is answered with those that are there."""
    found = catalogue(tmp_path)
    with pytest.raises(UsageError, match="no backup of cotai-dev in memory"):
        found.find()
    first, second = make(found, NOW - DAY, "00000a"), make(found, NOW, "00000b")
    assert (found.find().id, found.find("latest").id) == (second, second)
    assert found.find("20261122").id == first
    with pytest.raises(UsageError, match="--id 202611: 2 begin so") as caught:
        found.find("202611")
    assert caught.value.cure == f"Which: {second}, {first}?"
    with pytest.raises(UsageError) as caught:
        found.find("20261122T120000Z-00000f")
    assert caught.value.cure.startswith("Did you mean 2026112")


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """Neither written, read nor pruned: what is unknown there may be needed."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    make(found)
    store.objects["cotai-dev/format.json"] = json.dumps({"format": FORMAT + 1}).encode()
    for read in (found.entries, found.under_way, found.find, lambda: found.begin("x"), lambda: found.leftovers(NOW)):
        with pytest.raises(IntegrityError, match=f"are of format {FORMAT + 1}, and this version knows {FORMAT}"):
            read()
    store.objects["cotai-dev/format.json"] = b"{"
    with pytest.raises(IntegrityError, match=r"format\.json is damaged"):
        found.ids()


def test_the_last_verification_of_each_level_is_told(tmp_path: Path) -> None:
    """A record that is damaged proves nothing; a failure stands until something as close succeeds."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    backup = make(found)

    def record(level: str, minute: int, *findings: str) -> None:
        at = NOW + timedelta(minutes=minute)
        told = {"level": level, "ok": not findings, "at": at, "seconds": 1, "host": "here", "findings": findings}
        found.record(backup, Verification.model_validate(told))

    record("data", 1)
    record("decrypt", 2)
    record("data", 3, "redis: altered")
    store.put(f"cotai-dev/verify/{backup}/20261123T130000.000000Z.json", b"{")
    (entry,) = found.entries()
    assert [(level, one.ok) for level, one in entry.verified.items()] == [("data", False), ("decrypt", True)]
    assert entry.fault
    assert entry.fault.fault == "verify --level data failed on 2026-11-23: redis: altered"
    record("quick", 4)
    assert found.entries()[0].fault
    record("decrypt", 5)
    assert found.entries()[0].fault is None


def test_nobody_else_can_call_a_backup_damaged_or_verified(tmp_path: Path) -> None:
    """Whoever can only write to the store: records are signed, of one backup, and ordered by what they say."""
    store = MemoryStore()
    found, foreign = catalogue(tmp_path, store), catalogue(tmp_path / "foreign", store)
    older, backup = make(found, NOW - DAY), make(found)

    def told(*findings: str) -> Verification:
        return Verification.now("restore", seconds=1, findings=findings)

    foreign.record(backup, told("not by us"))
    store.put(f"cotai-dev/verify/{backup}/1.json", told("unsigned").model_dump_json().encode())
    store.put(f"cotai-dev/verify/{backup}/2.json", found.sealed(backup))
    found.record(older, told("of another backup"))
    (moved,) = store.keys(f"verify/{older}")
    store.put(f"cotai-dev/verify/{backup}/3.json", store.objects[moved])
    assert [(entry.verified, entry.fault) for entry in found.entries()][:1] == [({}, None)]
    found.record(older, told())
    store.put(f"cotai-dev/verify/{older}/9.json", store.objects[moved])
    assert found.entries()[1].fault is None


def test_only_a_whole_backup_of_the_present_is_the_newest(tmp_path: Path) -> None:
    """One of some components only where there is no other; one from the future never, but by its id."""
    found, now = catalogue(tmp_path), datetime.now(UTC)
    ahead = make(found, now + 2 * AHEAD)
    with pytest.raises(IntegrityError, match=f"the time of backup {ahead} lies in the future"):
        found.find()
    make(found, now - 3 * DAY, complete=False)
    partial = make(found, now - DAY, complete=False)
    assert found.find().id == partial
    whole = make(found, now - 2 * DAY)
    assert (found.find().id, found.find("latest").id, found.find(ahead).id) == (whole, whole, ahead)


def test_what_is_removed_while_it_is_read_is_not_there(tmp_path: Path) -> None:
    """A list beside a prune shows what is left, and does not fail."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    make(found, NOW - DAY)
    kept = make(found)
    listed = store.list
    gone = [key for key in store.keys("manifests") if kept not in key]

    def list_then_remove(prefix: str) -> object:
        answer = listed(prefix)
        if prefix.endswith("manifests/"):
            store.delete(gone)
        return answer

    store.list = list_then_remove  # type: ignore[method-assign, assignment]
    assert [entry.id for entry in found.entries()] == [kept]


def test_a_store_that_fails_is_not_an_empty_one(tmp_path: Path) -> None:
    """An error of the store ends the list: half of it would let a prune decide wrongly."""
    store = MemoryStore()
    found = catalogue(tmp_path, store)
    backup = make(found)
    answer = store.get

    def fail(key: str) -> bytes:
        if backup in key:
            raise StoreError("403")
        return answer(key)

    store.get = fail  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="403"):
        found.entries()


def test_the_settings_say_where_the_keys_and_the_backups_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's keys lie beside its secrets; the stack is the settings' own unless another is named."""
    from cotai_tasks.backup import catalogue as module

    store = MemoryStore()
    monkeypatch.setattr(module, "open_store", lambda url, _: store if url == "there" else None)
    found = module.open_catalogue("there", settings=settings(tmp_path))
    assert (found.store, found.stack, found.folder) == (store, "cotai-dev", tmp_path / "env/secrets/backup")
    assert module.open_catalogue("there", settings=settings(tmp_path), stack="cotai-prod").stack == "cotai-prod"
