"""Backups that are made, thinned out and killed by real processes, all in one real folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cotai_tasks.backup.catalogue import Catalogue, open_catalogue
from cotai_tasks.backup.check import check
from cotai_tasks.backup.copy import copy, download
from cotai_tasks.backup.listing import list_backups, show_backups
from cotai_tasks.backup.prune import Pruned, prune
from cotai_tasks.backup.signing import signing_key
from cotai_tasks.testing import RecordingConsole
from tests.unit.backup.catalogues import backup_id, make, make_whole, settings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)

# A store that dies before its nth change, as a process does whose host loses power.
_WORKER = """
import os, signal, sys
from datetime import datetime, timedelta
from pathlib import Path
from cotai_tasks.backup import catalogue as module
from cotai_tasks.backup.prune import prune
from cotai_tasks.backup.store.directory import DirectoryStore
from cotai_tasks.testing import RecordingConsole
from tests.unit.backup.catalogues import make, settings

what, folder, lives, count, digits, now = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5]), *sys.argv[5:]

class Mortal(DirectoryStore):
    def put(self, key, data, *, replace=False):
        self.live()
        super().put(key, data, replace=replace)
    def delete(self, keys):
        for key in keys:
            self.live()
            super().delete([key])
    def live(self):
        global lives
        if lives == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        lives -= 1

own = settings(folder, BACKUP_MIN_KEEP=1, BACKUP_KEEP="last=2")
module.open_store = lambda *_: Mortal(folder / "backups", "backups")
for number in range(count):
    if what == "make":
        time = datetime.fromisoformat(now) + timedelta(seconds=number)
        make(module.open_catalogue("", settings=own), time, digits)
    else:
        prune(yes=True, settings=own, console=RecordingConsole())
"""


def begin(what: str, folder: Path, *, lives: int = -1, count: int = 1, digits: str = "0a1b2c") -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", _WORKER, what, str(folder), str(lives), str(count), digits, NOW.isoformat()]
    return subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> int:
    said = process.communicate(timeout=300)[1]
    assert process.returncode in {0, -signal.SIGKILL}, said
    return process.returncode


@pytest.fixture
def found(tmp_path: Path) -> Catalogue:
    """Give the catalogue of the folder that the processes use; the host's key is there."""
    opened = open_catalogue("", settings=settings(tmp_path))
    signing_key(opened.folder)
    return opened


def thin_out(folder: Path) -> Pruned:
    own = settings(folder, BACKUP_MIN_KEEP=1, BACKUP_KEEP="last=2")
    return prune(yes=True, settings=own, console=RecordingConsole())


def grow_old(folder: Path) -> None:
    """Let two days go by in the store."""
    for path in (folder / "backups").rglob("*"):
        os.utime(path, (time.time() - 2 * 86400,) * 2)


def files(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder / "backups")) for path in (folder / "backups").rglob("*") if path.is_file()
    )


def test_whoever_looks_sees_only_whole_backups(tmp_path: Path, found: Catalogue) -> None:
    """Two that make backups and two that thin them out, all at once: none fails, and nothing half is ever listed."""
    workers = [
        begin("make", tmp_path, count=40, digits="00000a"),
        begin("make", tmp_path, count=40, digits="00000b"),
        begin("prune", tmp_path, count=40),
        begin("prune", tmp_path, count=40),
    ]
    looks = 0
    while any(one.poll() is None for one in workers):
        assert [str(one.fault) for one in found.entries() if one.fault] == []
        looks += 1
    assert [finish(one) for one in workers] == [0, 0, 0, 0]
    assert looks > 1
    last = backup_id(NOW + timedelta(seconds=39), "00000b")
    assert found.ids()[0] == last
    assert thin_out(tmp_path).cleared == ()
    assert found.ids() == [last, last.replace("b", "a")]
    assert len(files(tmp_path)) == 1 + 2 * 3


def test_a_backup_that_dies_at_any_step_is_whole_or_not_there(tmp_path: Path, found: Catalogue) -> None:
    """Killed before each of its changes in turn; the prune of another day removes what it left."""
    kept = make(found, NOW - DAY)
    lives = 0
    while finish(begin("make", tmp_path, lives=lives)) != 0:
        entries = found.entries()
        assert [one.fault for one in entries] == [None] * len(entries)
        assert kept in {one.id for one in entries}
        grow_old(tmp_path)
        thin_out(tmp_path)
        assert [one for one in files(tmp_path) if "data/" in one] == [
            f"cotai-dev/data/{one.id}/{name}.1.zst" for one in reversed(entries) for name in ("postgres-cotai", "redis")
        ]
        if len(entries) > 1:
            found.remove(entries[0].id)
        lives += 1
    assert lives > 4


def test_a_prune_that_dies_at_any_step_is_finished_by_the_next(tmp_path: Path, found: Catalogue) -> None:
    """What is listed is whole after each step, and the end is the same as without the accident."""
    lives = 0
    while True:
        ids = [make(found, NOW - age * DAY) for age in range(4, 0, -1)]
        if finish(begin("prune", tmp_path, lives=lives)) == 0:
            break
        assert [one.fault for one in found.entries() if one.fault] == []
        assert set(ids[2:]) <= set(found.ids())
        grow_old(tmp_path)
        thin_out(tmp_path)
        assert found.ids() == ids[:1:-1]
        assert len(files(tmp_path)) == 1 + 2 * 3
        for one in found.ids():
            found.remove(one)
        lives += 1
    assert lives > 4


def test_the_commands_agree_on_a_real_folder(tmp_path: Path, found: Catalogue) -> None:
    """Listed, fresh, copied to a second folder, downloaded: the same backup everywhere."""
    backup = make_whole(found, {"redis": b"data" * 9999}, NOW)
    own, console = settings(tmp_path), RecordingConsole()
    show_backups(list_backups(settings=own), as_json=False, console=console)
    newest = check(settings=own, console=console).newest
    assert newest
    assert newest.id == backup
    assert copy("", "second", settings=own, console=console).bytes > 0
    assert copy("", "second", settings=own, console=console).bytes == 0
    assert check(store="second", settings=own, console=console).fresh
    download(backup, "files", store="second", settings=own, console=console)
    opened = subprocess.run(
        ["sh", "-c", 'cat "$BACKUP"/redis.1.zst | zstd -d'],
        env={**os.environ, "BACKUP": str(tmp_path / "files")},
        capture_output=True,
        check=True,
    )
    assert opened.stdout == b"data" * 9999
