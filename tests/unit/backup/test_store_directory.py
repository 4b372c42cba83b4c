"""The folder as a store: nothing partial is visible, nothing is replaced by chance, and every fault is told."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cotai_tasks.backup.store.base import ExistsError, MissingError
from cotai_tasks.backup.store.directory import DirectoryStore
from cotai_tasks.errors import StoreError

KEY = "cotai-dev/data/one/postgres.1.zst"
FUTURE = datetime.now(UTC) + timedelta(days=1)
WRITER = """
import sys
from pathlib import Path
from cotai_tasks.backup.store.directory import DirectoryStore
upload = DirectoryStore(Path(sys.argv[1]), "backups").upload(sys.argv[2])
upload.write(b"half of it")
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """Give a store whose folder is not there yet."""
    return DirectoryStore(tmp_path / "backups", "backups")


def files(folder: Path) -> list[str]:
    """Name every file, hidden ones too."""
    return sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/mnt/nas/backups/x")

    monkeypatch.setattr(os, name, fail)


def test_bytes_come_back_as_they_were_given(store: DirectoryStore) -> None:
    """A large file written in parts, read in other pieces; its size and time are in the list."""
    begun = datetime.now(UTC) - timedelta(seconds=1)
    with store.upload(KEY) as upload:
        for part in (b"a" * 5000, b"b" * 5000, b"c"):
            upload.write(part)
        upload.complete()
    with store.open(KEY) as reader:
        assert [reader.read(7000), reader.read(7000), reader.read(7000)] == [
            b"a" * 5000 + b"b" * 2000,
            b"b" * 3000 + b"c",
            b"",
        ]
    (found,) = store.list("cotai-dev/data/one/")
    assert (found.key, found.size) == (KEY, 10_001)
    assert begun < found.modified < FUTURE


def test_only_the_owner_may_read_a_backup(store: DirectoryStore, tmp_path: Path) -> None:
    """Folders are 0700 and files 0600, whatever the umask is."""
    before = os.umask(0)
    try:
        store.put(KEY, b"x")
    finally:
        os.umask(before)
    modes = {one.relative_to(tmp_path).as_posix(): one.stat().st_mode & 0o777 for one in tmp_path.rglob("*")}
    assert modes == {
        "backups": 0o700,
        "backups/cotai-dev": 0o700,
        "backups/cotai-dev/data": 0o700,
        "backups/cotai-dev/data/one": 0o700,
        f"backups/{KEY}": 0o600,
    }


def test_what_is_there_is_replaced_only_on_request(store: DirectoryStore, tmp_path: Path) -> None:
    """The second one fails and leaves nothing; the first stays, unless replacing is asked for."""
    store.put("s/format.json", b"1")
    with pytest.raises(ExistsError, match=r"backups has s/format\.json already"):
        store.put("s/format.json", b"2")
    assert store.get("s/format.json") == b"1"
    store.put("s/format.json", b"3", replace=True)
    assert store.get("s/format.json") == b"3"
    assert files(tmp_path / "backups") == ["s/format.json"]


def test_of_two_uploads_the_first_to_be_complete_stays(store: DirectoryStore) -> None:
    """Two that write the same key at the same time never mix, and the later one is told."""
    with store.upload(KEY) as one, store.upload(KEY) as other:
        one.write(b"one")
        other.write(b"other")
        other.complete()
        with pytest.raises(ExistsError):
            one.complete()
    assert store.get(KEY) == b"other"


def test_an_upload_under_way_is_invisible_and_leaves_nothing(store: DirectoryStore, tmp_path: Path) -> None:
    """Nobody lists or reads it; without `complete` it is gone with its block."""
    with store.upload(KEY) as upload:
        upload.write(b"half of it")
        assert store.list("") == []
        with pytest.raises(MissingError):
            store.get(KEY)
    assert files(tmp_path / "backups") == []


def test_a_killed_writer_leaves_nothing_visible(store: DirectoryStore, tmp_path: Path) -> None:
    """After kill -9 nothing is listed; the sweep takes what is left, by prefix and by age, and says how much."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "backups"), KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    assert len(files(tmp_path / "backups")) == 1
    assert store.list("") == []
    assert store.sweep("cotai-dev/", datetime.now(UTC) - timedelta(hours=1)) == 0
    assert store.sweep("cotai-prod/", FUTURE) == 0
    assert store.sweep("cotai-dev/data/one/mongodb", FUTURE) == 0
    assert store.sweep("cotai-dev/data/one/postgres", FUTURE) == 1
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_list_is_by_the_beginning_of_the_key(store: DirectoryStore) -> None:
    """A prefix need not end with a folder; the order is that of the keys, and a missing folder is an empty one."""
    for key in ("b/manifests/2.json", "b/manifests/10.json", "b/other.json", "bb/x"):
        store.put(key, b"")
    assert [one.key for one in store.list("b/manifests/")] == ["b/manifests/10.json", "b/manifests/2.json"]
    assert [one.key for one in store.list("b/manifests/2")] == ["b/manifests/2.json"]
    assert [one.key for one in store.list("b")] == ["b/manifests/10.json", "b/manifests/2.json", "b/other.json", "bb/x"]
    assert store.list("nobody/data/") == []


def test_deleting_leaves_no_empty_folders(store: DirectoryStore, tmp_path: Path) -> None:
    """What is not there counts as deleted, folders with nothing in them go, the store's own stays."""
    store.put(KEY, b"x")
    store.put("cotai-dev/manifests/one.json", b"x")
    store.delete([KEY, "cotai-dev/data/two/none.zst", "nobody/none"])
    assert sorted(one.name for one in (tmp_path / "backups/cotai-dev").iterdir()) == ["manifests"]
    store.delete(["cotai-dev/manifests/one.json"])
    assert list((tmp_path / "backups").iterdir()) == []


def test_deleting_never_pulls_the_folder_away_from_a_writer(store: DirectoryStore) -> None:
    """One that empties a folder and one that begins to write into it do each other no harm."""

    def come_and_go(name: str) -> None:
        for _ in range(200):
            store.put(f"s/inflight/{name}", b"x")
            store.delete([f"s/inflight/{name}"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, "abcd"))


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "a//b", "a/", "", ".hidden", "a/.b.part", "a\0b"])
def test_no_key_leaves_the_store_or_hides_in_it(store: DirectoryStore, key: str) -> None:
    """A key comes from a manifest: whatever it says, nothing outside is read, written or removed."""
    with pytest.raises(StoreError, match="is no key"):
        store.put(key, b"x")
    with pytest.raises(StoreError, match="is no key"):
        store.get(key)
    with pytest.raises(StoreError, match="is no key"):
        store.delete(["good", key])
    if key.count("/"):
        with pytest.raises(StoreError, match="is no key"):
            store.list(f"../{key}")


def test_what_is_not_there_is_told_as_that(store: DirectoryStore) -> None:
    """A missing file, a missing folder, and a folder where a file should be."""
    store.put(KEY, b"x")
    for key in ("cotai-dev/data/one/none", "none/none", "cotai-dev/data", f"{KEY}/below"):
        with pytest.raises(MissingError, match=f"backups has no {key}"):
            store.get(key)


def test_a_disk_that_is_not_mounted_is_missed(tmp_path: Path) -> None:
    """The folder itself is made, the one that it is to be in is not: that may be a disk's."""
    DirectoryStore(tmp_path / "backups", "backups").check()
    assert (tmp_path / "backups").is_dir()
    missing = DirectoryStore(tmp_path / "nas/backups", "/nas/backups")
    with pytest.raises(StoreError, match="No such file") as caught:
        missing.check()
    assert "Mount its disk" in caught.value.cure
    with pytest.raises(StoreError, match="No such file"):
        missing.put("a", b"")
    assert not (tmp_path / "nas").exists()


def test_a_file_is_no_store(tmp_path: Path) -> None:
    """Where a file stands in the place of the folder, that is told before anything is dumped."""
    (tmp_path / "backups").write_text("")
    with pytest.raises(StoreError, match="backups: Not a directory"):
        DirectoryStore(tmp_path / "backups", "backups").check()


@pytest.mark.parametrize(
    ("number", "fault", "cure"),
    [
        (errno.ENOSPC, "backups: the disk is full", "inv backup.prune"),
        (errno.EDQUOT, "backups: the disk is full", "inv backup.prune"),
        (errno.EROFS, "backups: Read-only file system", "/mnt/nas/backups/x"),
        (errno.EACCES, "backups: Permission denied", "/mnt/nas/backups/x"),
        (errno.EIO, "backups: Input/output error", "dmesg"),
    ],
)
def test_a_fault_of_the_disk_is_told_and_leaves_nothing(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fault: str, cure: str
) -> None:
    """Whatever the system says on the way to the disk: no file, a sentence, and what to do."""
    store.put("s/a", b"")
    refuse(monkeypatch, "fsync", number)
    with pytest.raises(StoreError, match=fault) as caught:
        store.put("s/b", b"x")
    assert cure in caught.value.cure
    assert files(tmp_path / "backups") == ["s/a"]


def test_a_file_system_without_hard_links_is_named_as_that(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT and some network shares cannot promise that nothing is replaced."""
    refuse(monkeypatch, "link", errno.EPERM)
    with pytest.raises(StoreError, match="knows no hard links"):
        store.put("s/a", b"x")


def test_what_does_not_read_back_gets_no_name(store: DirectoryStore, tmp_path: Path) -> None:
    """One altered bit on the disk, found before the file becomes visible."""
    with store.upload(KEY) as upload:
        upload.write(b"abc")
        (hidden,) = (tmp_path / "backups").rglob(".*.part")
        hidden.write_bytes(b"abb")
        with pytest.raises(StoreError, match="does not read back as it was written"):
            upload.complete()
    assert files(tmp_path / "backups") == []


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux' /proc")
def test_a_fault_while_reading_is_the_stores(store: DirectoryStore, tmp_path: Path) -> None:
    """A disk that fails in the middle of a restore is told as such."""
    store.put("s/a", b"x")
    (tmp_path / "backups/s/broken").symlink_to("/proc/self/mem")
    with pytest.raises(StoreError, match="backups: Input/output error"):
        store.get("s/broken")


def test_an_error_of_whoever_reads_stays_its_own(store: DirectoryStore) -> None:
    """A damaged archive raises OSError in the decryption: that is not the disk's."""
    store.put(KEY, b"x")
    broken: Any = OSError("not an age file")
    with pytest.raises(OSError, match="not an age file"), store.open(KEY):
        raise broken


def test_a_folder_locks_nothing(store: DirectoryStore) -> None:
    """Only S3 has object lock."""
    store.put(KEY, b"x")
    assert store.locked_until(KEY) is None
