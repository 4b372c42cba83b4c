"""Where the stack's own files are: in the user's project, in the package, or merged from both."""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PACKAGE = Path(__file__).parent
_MERGED = ".cotai/files"
_ROOTS = ("docker", "nginx")


def packaged_files() -> Path:
    """Give the folder that holds `docker/`, `nginx/` and `env/`: inside the installed package, or beside it."""
    data = _PACKAGE / "data"
    return data if data.is_dir() else _PACKAGE.parent


def find_file(directory: Path, relative: str) -> Path:
    """Find one file in the user's project, else in what the package carries."""
    own = directory / relative
    return own if own.exists() else packaged_files() / relative


def stack_files(directory: Path) -> Path:
    """Give the folder to read `docker/` and `nginx/` from; a file of the same path in the user's project wins.

    Most projects have none, and read the package's own. Where some are overridden, both are merged into
    `.cotai/files` of the project, because Compose and the engine want one tree.
    """
    packaged = packaged_files()
    if directory.samefile(packaged):
        return packaged
    overridden = [
        one
        for root in _ROOTS
        if (directory / root).is_dir()
        for one in (directory / root).iterdir()
        if (packaged / one.relative_to(directory)).exists()
    ]
    if not overridden:
        return packaged
    merged = directory / _MERGED
    for root in _ROOTS:
        wanted = _files(packaged / root)
        for one in overridden:
            if one.parent.name == root:
                wanted |= (
                    {Path(one.name) / path: file for path, file in _files(one).items()}
                    if one.is_dir()
                    else {Path(one.name): one}
                )
        _mirror(wanted, merged / root)
    return merged


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file in one step, in the place of an older one; its folder is there."""
    with _prepared(path, content, mode) as fresh:
        fresh.replace(path)
    sync_folder(path.parent)


def add_file(path: Path, content: bytes, mode: int = 0o600) -> bool:
    """Write a file in one step where there is none yet; tell whether there was none."""
    with _prepared(path, content, mode) as fresh:
        try:
            os.link(fresh, path)  # unlike a rename it refuses to replace
        except FileExistsError:
            return False
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Make a change of the names in a folder last over a power cut."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _prepared(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """Give a whole file beside the one that is meant, and remove it, for it may hold a secret, if it still is there."""
    with NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:  # made with mode 0600
        fresh = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            yield fresh
        finally:
            fresh.unlink(missing_ok=True)


def first_closed(folder: Path) -> Path | None:
    """Give the first file or folder in there that other users of the host may not read; hidden ones do not count."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if not Path(root).stat().st_mode & stat.S_IXOTH:
            return Path(root)
        for name in sorted(files):
            path = Path(root, name)
            if not name.startswith(".") and not path.stat().st_mode & stat.S_IROTH:
                return path
    return None


def _files(folder: Path) -> dict[Path, Path]:
    """Give every file below a folder, by its path in it."""
    return {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}


def _mirror(wanted: Mapping[Path, Path], target: Path) -> None:
    """Make `target` hold just these files, touching only what differs.

    Running containers have its folders mounted: a folder that is made anew would be empty to them. Two commands may be
    here at once: each prepares its files in a folder of its own, beside the target, and moves them in.
    """
    for path, file in _files(target).items():
        if path not in wanted:
            file.unlink(missing_ok=True)
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".new-", dir=target.parent) as own:
        for path, file in wanted.items():
            copy = target / path
            if not (copy.is_file() and filecmp.cmp(file, copy, shallow=False)):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, fresh := Path(own, copy.name))
                fresh.replace(copy)
