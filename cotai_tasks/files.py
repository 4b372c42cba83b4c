"""Where the stack's own files are: in the user's project, in the package, or merged from both."""

from __future__ import annotations

import shutil
from pathlib import Path

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
    shutil.rmtree(merged, ignore_errors=True)
    shutil.copytree(packaged / "docker", merged / "docker")
    for one in overridden:
        target = merged / "docker" / one.name
        if one.is_dir():
            shutil.copytree(one, target, dirs_exist_ok=True)
        else:
            shutil.copy2(one, target)
    return merged
