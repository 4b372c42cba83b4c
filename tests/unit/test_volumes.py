"""Files that are put into volumes: what the helper container does with them, on a folder of this host."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from cotai_runtime import volumes as helper
from cotai_tasks.facts import Project
from cotai_tasks.stack import Stack
from cotai_tasks.testing import FakeEngine
from cotai_tasks.volumes import Put, VolumeFile, get_files, get_folder, pack, put_folders

ME = os.getuid()


def put(root: Path, folders: dict[str, dict[str, VolumeFile]], *named: str) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(pack(folders))) as archive:
        return helper.put(list(named or folders), archive, root)


def text(content: str, mode: int = 0o400) -> VolumeFile:
    return VolumeFile(content.encode(), uid=ME, mode=mode)


def tree(root: Path) -> dict[str, tuple[str, int]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.read_text(), path.stat().st_mode & 0o777) for path in files}


def test_a_folder_holds_just_what_was_put(tmp_path: Path) -> None:
    """New files come, others change, those left out go; only what differs is told and touched."""
    first = {"config/a": {"same": text("1"), "other": text("1"), "old/deep": text("1")}, "secrets/b": {"k": text("s")}}
    assert sorted(put(tmp_path, first)) == ["config/a/old/deep", "config/a/other", "config/a/same", "secrets/b/k"]
    untouched = (tmp_path / "config/a/same").stat().st_ino
    assert put(tmp_path, {"config/a": {"same": text("1"), "other": text("2"), "new": text("1", 0o555)}}) == [
        "config/a/other",
        "config/a/new",
        "config/a/old/deep",
    ]
    assert (tmp_path / "config/a/same").stat().st_ino == untouched
    assert tree(tmp_path) == {
        "config/a/same": ("1", 0o400),
        "config/a/other": ("2", 0o400),
        "config/a/new": ("1", 0o555),
        "secrets/b/k": ("s", 0o400),
    }


def test_a_changed_mode_is_a_change(tmp_path: Path) -> None:
    """A secret that became readable for others is put right again."""
    put(tmp_path, {"secrets/b": {"k": text("s")}})
    (tmp_path / "secrets/b/k").chmod(0o444)
    assert put(tmp_path, {"secrets/b": {"k": text("s")}}) == ["secrets/b/k"]
    assert tree(tmp_path) == {"secrets/b/k": ("s", 0o400)}


@pytest.mark.parametrize("path", ["../../etc", "config/../../etc", "/etc"])
def test_nothing_is_written_elsewhere(tmp_path: Path, path: str) -> None:
    """An archive that reaches out of its folders is refused before it is read on."""
    with pytest.raises(SystemExit, match="not in config/a"):
        put(tmp_path, {path: {"passwd": text("x")}}, "config/a")
    assert tree(tmp_path) == {}


def test_what_was_put_is_given_back(tmp_path: Path) -> None:
    """Files in folders of their own too; a folder that is not there is an empty one; of any folders by their paths."""
    put(tmp_path, {"config/a": {"x": text("1"), "deep/y": text("2")}, "secrets/b": {"k": text("s"), "l": text("s")}})
    for folder, wanted, names in (
        ("config/a", [], ["config/a/deep/y", "config/a/x"]),
        ("config/none", [], []),
        (".", ["config/a/x", "config/a/z", "secrets/b/k"], ["config/a/x", "secrets/b/k"]),
    ):
        paper = io.BytesIO()
        with tarfile.open(fileobj=paper, mode="w") as archive:
            helper.get(folder, wanted, archive, tmp_path)
        paper.seek(0)
        with tarfile.open(fileobj=paper) as archive:
            assert archive.getnames() == names


def test_a_folder_tells_when_it_changed(tmp_path: Path) -> None:
    """A new, another or a missing file makes it younger, at any depth; what stays the same does not."""
    put(tmp_path, {"config/a": {"x": text("1"), "deep/y": text("2")}})
    for path in (tmp_path / "config/a", tmp_path / "config/a/deep"):
        os.utime(path, (1000, 1000))
    put(tmp_path, {"config/a": {"x": text("1"), "deep/y": text("2")}})
    assert helper.written("config/a", tmp_path) == 1000
    put(tmp_path, {"config/a": {"x": text("1"), "deep/y": text("3")}})
    assert helper.written("config/a", tmp_path) > 1000


def test_an_archive_that_was_cut_short_changes_nothing(tmp_path: Path) -> None:
    """Cut between two files it would look whole, and what is missing in it would be removed."""
    packed = pack({"config/a": {"x": text("1"), "y": text("2")}})
    program = str(Path(helper.__file__))
    argv = [sys.executable, program, "put", hashlib.sha256(packed).hexdigest(), "config/a"]
    done = subprocess.run(argv, input=packed[:1024], capture_output=True, check=False)
    assert (done.returncode, b"did not arrive whole" in done.stderr) == (1, True)
    assert tree(tmp_path) == {}


def test_the_tool_speaks_to_the_helper() -> None:
    """What is put under a folder comes back from it, and only what changed is told."""
    engine = FakeEngine(now=7.0)
    stack = Stack(Project("x", Path(), (), (), Path(), frozenset()), "offline", {}, {}, {}, {}, {})
    files = {"proxy/certs": {"privkey.pem": VolumeFile(b"key", 101, 0o400), "chain.pem": VolumeFile(b"chain")}}
    changed = frozenset({"proxy/certs/privkey.pem", "proxy/certs/chain.pem"})
    assert put_folders(stack, engine, files) == Put(changed, {"proxy/certs": 7.0})
    engine.now = 9.0
    assert put_folders(stack, engine, files) == Put(frozenset(), {"proxy/certs": 7.0})
    assert get_folder(stack, engine, "proxy/certs") == {"privkey.pem": b"key", "chain.pem": b"chain"}
    assert get_folder(stack, engine, "proxy/certs", "chain.pem") == {"chain.pem": b"chain"}
    assert get_folder(stack, engine, "proxy/none") == {}
    found = {"proxy/certs/chain.pem": b"chain"}
    assert get_files(stack, engine, "proxy/certs/chain.pem", "proxy/none", "config/x") == found
