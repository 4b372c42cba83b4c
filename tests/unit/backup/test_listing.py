"""What a person and a program are told of the backups that there are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.listing import facts_in_short, list_backups, show_backup, show_backups, skew
from cotai_tasks.backup.signing import fingerprint, signing_key
from cotai_tasks.backup.verification import Verification
from cotai_tasks.testing import RecordingConsole
from tests.unit.backup.catalogues import NOW, MemoryStore, backup_id, catalogue, make, manifest, settings, stream

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)


def shown(directory: Path, *, as_json: bool = False) -> str:
    console = RecordingConsole()
    show_backups(list_backups(settings=settings(directory)), as_json=as_json, console=console)
    return "\n".join(" ".join(line.split()) for line in console.text().splitlines())


def test_each_backup_has_its_line(tmp_path: Path, store: MemoryStore) -> None:
    """Age, content, size, how closely it was verified, and why it stays; what is wrong stands below."""
    found, now = catalogue(tmp_path, store), datetime.now(UTC)
    bad, good = make(found, now - 3 * DAY), make(found, now - 2 * DAY)
    new = make(found, now - DAY, encrypted=True, recipients=("0123456789abcdef",))
    del store.objects[store.keys(f"data/{bad}")[0]]
    found.record(good, Verification.now("decrypt", seconds=1))
    under_way = backup_id(now)
    found.begin(under_way)
    lines = shown(tmp_path).splitlines()
    assert lines[0] == "backup age components size encrypted verified kept because"
    assert lines[1].startswith(f"{new} 1 d postgres, redis 67 B yes quick, now last 3, daily ")
    assert lines[2].startswith(f"{good} 2 d postgres, redis 67 B no decrypt, 0.")
    assert "newest verified by decrypt" in lines[2]
    assert lines[3] == f"{bad} 3 d postgres, redis 67 B no damaged damaged: only a person removes it"
    assert lines[4].startswith(f"under way, or interrupted: {under_way}, begun 0.")
    assert lines[5].startswith(f"! {bad}: cotai-dev/data/{bad}/postgres-cotai.1.zst: missing.")


def test_a_manifest_that_cannot_be_read_has_a_line_too(tmp_path: Path, store: MemoryStore) -> None:
    """With its id and its age, and nothing that it says of itself."""
    backup = make(catalogue(tmp_path, store), datetime.now(UTC) - DAY)
    store.objects[f"cotai-dev/manifests/{backup}.json"] = b"{}"
    assert f"{backup} 1 d damaged damaged: only a person removes it" in shown(tmp_path).splitlines()[1]


def test_a_partial_backup_does_not_look_like_a_whole_one(tmp_path: Path, store: MemoryStore) -> None:
    """In the list, by itself, and for programs."""
    backup = make(catalogue(tmp_path, store), datetime.now(UTC) - DAY, complete=False)
    assert f"{backup} 1 d postgres, redis (partial) 67 B" in shown(tmp_path)
    assert json.loads(shown(tmp_path, as_json=True))["backups"][0]["complete"] is False
    console = RecordingConsole()
    show_backup(settings=settings(tmp_path), console=console)
    assert "holds postgres, redis only" in console.text()


def test_an_empty_store_says_what_to_do(tmp_path: Path, store: MemoryStore) -> None:
    """No table of nothing."""
    assert shown(tmp_path) == "no backup of cotai-dev in memory. inv backup.create makes one."
    assert json.loads(shown(tmp_path, as_json=True))["backups"] == []
    assert store.objects == {}


def test_programs_get_the_same(tmp_path: Path, store: MemoryStore) -> None:
    """In bytes and seconds."""
    found = catalogue(tmp_path, store)
    backup = make(found, datetime.now(UTC) - DAY, tag="before")
    found.record(backup, Verification.now("data", seconds=1, findings=["redis: altered"]))
    store.locks[f"cotai-dev/manifests/{backup}.json"] = until = datetime.now(UTC) + DAY
    (one,) = json.loads(shown(tmp_path, as_json=True))["backups"]
    assert one["id"] == backup
    assert one["components"] == ["postgres", "redis"]
    assert (one["stored_bytes"], one["plain_bytes"], one["tag"]) == (67, 201, "before")
    assert one["verified"]["data"]["findings"] == ["redis: altered"]
    assert one["fault"].startswith(f"{backup}: verify --level data failed on")
    assert one["locked_until"] == until.isoformat()
    assert 86400 <= one["age_seconds"] < 90000


def test_one_backup_is_shown_whole(tmp_path: Path, store: MemoryStore) -> None:
    """Each stream with its moment, and who signed it, so that another host can be told to trust it."""
    found, backup = catalogue(tmp_path, store), backup_id(NOW)
    later: dict[str, Any] = {"started_at": NOW + timedelta(seconds=75), "ended_at": NOW + timedelta(seconds=80)}
    streams = [
        stream(backup, "postgres-cotai", b"0123456789", facts={"server": "17.6", "tables": {"a": 1, "b": 2}}),
        stream(backup, "redis", b"0123", component="redis", kind="rdb", **later),
    ]
    found.begin(backup)
    for one in streams:
        store.put(one.objects[0].key, b"0" * one.stored_bytes)
    found.commit(manifest(backup, *streams, images={"postgres": "postgres:17@sha256:1"}))
    console = RecordingConsole()
    show_backup(backup[:15], settings=settings(tmp_path), console=console)
    lines = [" ".join(line.split()) for line in console.text().splitlines()]
    assert f"signed by {fingerprint(signing_key(found.folder))}" in lines
    assert "size 42 B as 14 B (3.0:1)" in lines
    assert "image of postgres postgres:17@sha256:1" in lines
    assert "postgres-cotai pg_dump +0.0 s 3.0 s 30 B 10 B 3.0:1 server 17.6, 2 tables" in lines
    assert "redis rdb +1 min 15 s 5.0 s 12 B 4 B 3.0:1" in lines
    assert lines[-1].endswith("the first and the last moment lie 1 min 15 s apart.")
    console = RecordingConsole()
    show_backup(as_json=True, settings=settings(tmp_path), console=console)
    told = json.loads(console.text())
    assert (told["id"], told["streams"][1]["kind"], told["store"]) == (backup, "rdb", "memory")


def test_facts_are_counted_where_they_are_many() -> None:
    """A thousand tables are a number."""
    assert facts_in_short({"lsn": "0/1", "rows": 3, "tables": dict.fromkeys("abc"), "queues": []}) == (
        "lsn 0/1, rows 3, 3 tables, 0 queues"
    )


def test_moments_that_are_one_are_no_skew() -> None:
    """A single stream has no distance to itself."""
    assert skew(manifest("x", stream("x", "redis", b"1"))).endswith("lie 0.0 s apart.")
