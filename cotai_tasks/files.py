"""Where the stack's own files are: in the user's project, in the package, or merged from both."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE = Path(__file__).parent
_MERGED = ".cotai/files"


def packaged_files() -> Path:
    """Give the folder that holds `docker/` and `env/`: in a wheel inside the package, in a checkout beside it."""
    data = _PACKAGE / "data"
    return data if data.is_dir() else _PACKAGE.parent


def find_file(directory: Path, relative: str) -> Path:
    """Find one file in the user's project, else in what the package carries."""
    own = directory / relative
    return own if own.exists() else packaged_files() / relative


def stack_files(directory: Path) -> Path:
    """Give the folder to read `docker/` from; a file of the same path in the user's project wins.

    Most projects have none, and read the package's own. Where some are overridden, both are merged into
    `.cotai/files` of the project, because Compose and the engine want one tree.
    """
    packaged = packaged_files()
    own = directory / "docker"
    if directory.samefile(packaged) or not own.is_dir():
        return packaged
    overridden = [one for one in own.iterdir() if (packaged / "docker" / one.name).exists()]
    if not overridden:
        return packaged
    merged = directory / _MERGED
    wanted = _files(packaged / "docker")
    for one in overridden:
        wanted |= (
            {Path(one.name) / path: file for path, file in _files(one).items()}
            if one.is_dir()
            else {Path(one.name): one}
        )
    _mirror(wanted, merged / "docker")
    return merged


def _files(folder: Path) -> dict[Path, Path]:
    """Give every file below a folder, by its path in it."""
    return {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}


def _mirror(wanted: Mapping[Path, Path], target: Path) -> None:
    """Make `target` hold just these files, touching only what differs.

    Running containers have its folders mounted: a folder that is made anew would be empty to them.
    """
    for path, file in _files(target).items():
        if path not in wanted:
            file.unlink()
    for path, file in wanted.items():
        copy = target / path
        if not (copy.is_file() and filecmp.cmp(file, copy, shallow=False)):
            copy.parent.mkdir(parents=True, exist_ok=True)
            fresh = copy.with_name(f".{copy.name}.new")
            shutil.copy2(file, fresh)
            fresh.replace(copy)
