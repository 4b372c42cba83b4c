"""A backup in a second place: compared on its way, whole or not there."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from cotai_tasks.backup import catalogue as module
from cotai_tasks.backup import copy as copy_module
from cotai_tasks.backup.copy import Copied, copy, download
from cotai_tasks.backup.recover import recovery_sheet
from cotai_tasks.errors import BackupError, IntegrityError, PreflightError, StoreError, UsageError
from cotai_tasks.testing import RecordingConsole
from tests.unit.backup.catalogues import NOW, MemoryStore, backup_id, catalogue, make, manifest, settings, stream

if TYPE_CHECKING:
    from pathlib import Path


class Stores(NamedTuple):
    """Where a backup is, and where it is to be too."""

    here: MemoryStore
    there: MemoryStore


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Stores:
    """Give the stores that `""` and `there` name."""
    made = Stores(MemoryStore("here"), MemoryStore("there"))
    monkeypatch.setattr(module, "open_store", lambda url, _: made.there if url == "there" else made.here)
    return made


def run(directory: Path, backup: str = "", console: RecordingConsole | None = None) -> Copied:
    return copy(backup, "there", settings=settings(directory), console=console or RecordingConsole())


def test_a_copy_is_the_same_backup(tmp_path: Path, stores: Stores) -> None:
    """Byte by byte, with its signature; the manifest comes last."""
    backup = make(catalogue(tmp_path, stores.here))
    assert run(tmp_path) == Copied(backup, "there", 67)
    assert stores.there.objects == stores.here.objects
    assert [key for step, key in stores.there.steps if step == "put"][-1] == f"cotai-dev/manifests/{backup}.json"
    assert catalogue(tmp_path, stores.there).find().id == backup


def test_copied_twice_there_is_nothing_to_do(tmp_path: Path, stores: Stores) -> None:
    """It looks before it writes, and tells where the copy has suffered."""
    backup = make(catalogue(tmp_path, stores.here))
    run(tmp_path)
    stores.there.steps.clear()
    console = RecordingConsole()
    assert run(tmp_path, console=console).bytes == 0
    assert (stores.there.steps, console.text()) == ([], f"✓ nothing to do: backup {backup} is in there\n")
    del stores.there.objects[stores.there.keys("/data/")[0]]
    with pytest.raises(IntegrityError, match=f"backup {backup} in there is damaged"):
        run(tmp_path)
    stores.there.objects[f"cotai-dev/manifests/{backup}.json"] = b"{}"
    with pytest.raises(IntegrityError, match="there has another backup under the id"):
        run(tmp_path)


def test_damage_is_not_copied(tmp_path: Path, stores: Stores) -> None:
    """An object that is not what the manifest says is never made there, and no backup is."""
    backup = make(catalogue(tmp_path, stores.here))
    key = f"cotai-dev/data/{backup}/redis.1.zst"
    stores.here.objects[key] = stores.here.objects[key][::-1]
    with pytest.raises(IntegrityError, match=f"{key} is not what its manifest says"):
        run(tmp_path)
    assert stores.there.keys("redis") + stores.there.keys("manifests") == []


def test_an_interrupted_copy_goes_on(tmp_path: Path, stores: Stores) -> None:
    """What is there and whole is not copied again; what is there and is not, is."""
    backup = make(catalogue(tmp_path, stores.here))
    first, second = stores.here.keys("/data/")

    def fail(step: str, key: str) -> None:
        if (step, key) == ("put", second):
            raise StoreError("no answer")

    stores.there.before = fail
    with pytest.raises(StoreError):
        run(tmp_path)
    there = catalogue(tmp_path, stores.there)
    assert (there.ids(), [one.id for one in there.under_way()]) == ([], [backup])
    stores.there.before = lambda *_: None
    assert run(tmp_path).bytes == len(stores.here.objects[second])
    stores.there.objects = {key: data for key, data in stores.there.objects.items() if "manifests" not in key}
    stores.there.objects[first] = b"x" * len(stores.there.objects[first])
    assert run(tmp_path).bytes == len(stores.here.objects[first])
    assert stores.there.objects == stores.here.objects


def test_a_download_needs_nothing_of_ours(tmp_path: Path, stores: Stores) -> None:
    """The files as they are stored, their sums, the manifest as it was signed, and the way to open them."""
    found = catalogue(tmp_path, stores.here)
    backup = make(found)
    told = download("", settings=settings(tmp_path), console=RecordingConsole())
    folder = tmp_path / backup
    assert told == Copied(backup, str(folder), 67)
    assert sorted(one.name for one in folder.iterdir()) == [
        *("RECOVER.txt", "SHA256SUMS", "manifest.json", "postgres-cotai.1.zst", "redis.1.zst")
    ]
    assert (folder / "redis.1.zst").read_bytes() == stores.here.objects[f"cotai-dev/data/{backup}/redis.1.zst"]
    assert (folder / "manifest.json").read_bytes() == found.sealed(backup)
    assert folder.stat().st_mode & 0o777 == 0o700
    summed = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=folder, capture_output=True, check=False)
    assert summed.returncode == 0
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_a_download_is_whole_or_not_there(tmp_path: Path, stores: Stores) -> None:
    """Damage, a full disk: no folder that looks like a backup; an older one is never written into."""
    backup = make(catalogue(tmp_path, stores.here))
    key = f"cotai-dev/data/{backup}/redis.1.zst"
    good = stores.here.objects[key]
    stores.here.objects[key] = good[::-1]
    with pytest.raises(IntegrityError):
        download("", "there", settings=settings(tmp_path), console=RecordingConsole())
    assert [one.name for one in tmp_path.iterdir()] == ["env"]
    stores.here.objects[key] = good
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="is there already"):
        download("", "there", settings=settings(tmp_path), console=RecordingConsole())
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupError, match=r"cannot write .*/file/x: "):
        download("", "file/x", settings=settings(tmp_path), console=RecordingConsole())


def test_a_disk_that_is_too_small_is_told_before(
    tmp_path: Path, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after an hour of reading."""
    make(catalogue(tmp_path, stores.here))

    class Usage:
        free = 66

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(PreflightError, match="has 66 B free, and 67 B are needed"):
        download("", settings=settings(tmp_path), console=RecordingConsole())


def test_parts_are_equal_whatever_the_reader_gives(
    tmp_path: Path, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 wants every part but the last of one size; a network gives bytes as they come."""
    monkeypatch.setattr(copy_module, "PART", 10)
    found, backup = catalogue(tmp_path, stores.here), backup_id(NOW)
    data = bytes(range(35))
    one = stream(backup, "redis", data, component="redis")
    found.begin(backup)
    stores.here.put(one.objects[0].key, data)
    found.commit(manifest(backup, one))
    written: list[int] = []
    upload = stores.there.upload

    def spy(key: str) -> object:
        made = upload(key)
        write = made.write

        def note(part: bytes) -> None:
            written.append(len(part))
            write(part)

        made.write = note  # type: ignore[method-assign]
        return made

    stores.there.upload = spy  # type: ignore[method-assign, assignment]
    run(tmp_path)
    assert written == [10, 10, 10, 5]
    assert hashlib.sha256(stores.there.objects[one.objects[0].key]).hexdigest() == one.objects[0].sha256


LEFT_OUT = "--nsExclude='admin.system.*' --nsExclude='*.before_20*Z-*' --nsExclude='*.restore_20*Z-*'"


def test_the_sheet_says_how_each_stream_is_opened() -> None:
    """Of every kind, several objects in their order."""
    backup = backup_id(NOW)
    kinds = {
        "postgres-globals": "pg_globals",
        "postgres-a_b": "pg_dump",
        "postgres-physical": "pg_basebackup",
        "mongodb": "mongodump",
        "mongodb-2": "bson",
        "redis": "rdb",
        "volume-media": "tar",
    }
    streams = [stream(backup, name, b"1", kind=kind) for name, kind in kinds.items()]
    streams[1] = streams[1].model_copy(
        update={"facts": {"server": "17.6"}, "objects": (*streams[1].objects, *streams[0].objects)}
    )
    sheet = recovery_sheet(manifest(backup, *streams, encrypted=True, recipients=("0123456789abcdef",)))
    opened = 'cat "$BACKUP"/{0} | age -d -i "$IDENTITY" | zstd -d'
    for name, after in (
        ("postgres-globals.1.zst", "| psql --dbname=postgres"),
        (
            'postgres-a_b.1.zst "$BACKUP"/postgres-globals.1.zst',
            "| pg_restore --create --exit-on-error --no-tablespaces --dbname=postgres",
        ),
        ("postgres-physical.1.zst", "| tar -x -C postgres-physical"),
        (
            "mongodb.1.zst",
            f"| mongorestore --archive {LEFT_OUT}",
        ),
        ("mongodb-2.1.zst", "> mongodb-2.bson"),
        ("redis.1.zst", "> dump.rdb"),
        ("volume-media.1.zst", "| tar -x --numeric-owner --xattrs --xattrs-include='*' -C volume-media"),
    ):
        assert f"{opened.format(name)} {after}\n" in sheet
    assert "postgres-a_b (pg_dump, server 17.6)\n" in sheet
    replayed = stream(backup, "mongodb", b"1", kind="mongodump", facts={"replica_set": "rs0"})
    assert "| mongorestore --archive --oplogReplay --nsExclude=" in recovery_sheet(manifest(backup, replayed))
    assert "the private key of one of: 0123456789abcdef" in sheet
    plain = recovery_sheet(manifest(backup, streams[0]))
    assert "age" not in plain.replace("message", "")
    assert 'cat "$BACKUP"/postgres-globals.1.zst | zstd -d | psql --dbname=postgres\n' in plain
