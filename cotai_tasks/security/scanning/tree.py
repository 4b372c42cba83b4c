"""The files that are scanned, as a tree of their own: what git would commit, and the stack's own files."""

from __future__ import annotations

import secrets
import shutil
import string
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.settings import Settings

_OURS = ("docker", "nginx")
_LOCKS = ("requirements.txt", "uv.lock", "pyproject.toml")
"""What says which packages an application gets, in the order in which its build takes them."""

PLANTED = "cotai-planted-key.py"
"""A file with a key that opens nothing, for scanners of secrets: who does not find it has not looked."""


@dataclass(frozen=True)
class Tree:
    """Copies of the files in a folder, by the names that they have in the project."""

    folder: Path
    names: tuple[str, ...]
    outside: str = ""
    """Why nobody can tell what would be committed; empty where git does."""
    dependencies: tuple[str, ...] = ()
    """One file for each application: its lock, or what else says what it needs."""

    @property
    def dockerfiles(self) -> list[str]:
        """Every Dockerfile."""
        return self._named("Dockerfile", "Dockerfile.*", "*.Dockerfile", but="*.dockerignore")

    @property
    def compose_files(self) -> list[str]:
        """Every Compose file."""
        return [
            name for stem in ("compose", "docker-compose") for name in self._named(f"{stem}.y*ml", f"{stem}.*.y*ml")
        ]

    @property
    def workflows(self) -> list[str]:
        """The workflows of GitHub Actions, and the actions of the project's own."""
        return [
            name
            for name in self.names
            if fnmatch(name, ".github/workflows/*.y*ml") or fnmatch(name, ".github/actions/*/action.y*ml")
        ]

    def by_nearest(self, config: str, files: list[str]) -> dict[str, list[str]]:
        """Group files by the configuration file that stands nearest, beside them or above; empty for none."""
        groups: dict[str, list[str]] = {}
        for file in files:
            above = ((folder / config).as_posix() for folder in PurePosixPath(file).parents)
            groups.setdefault(next((one for one in above if one in self.names), ""), []).append(file)
        return groups

    def _named(self, *patterns: str, but: str = "") -> list[str]:
        return [
            name
            for name in self.names
            if any(fnmatch(PurePosixPath(name).name, pattern) for pattern in patterns) and not fnmatch(name, but)
        ]


@contextmanager
def plant(settings: Settings) -> Iterator[Tree]:
    """Copy what is to be scanned into a folder that goes with the block; what is ignored by git stays out of it."""
    committed, outside = committed_files(settings.directory)
    files = {name: settings.directory / name for name in committed}
    if settings.home != settings.directory or outside:
        files = _stack_files(settings.home) | files
    dependencies = []
    for context in dict.fromkeys((settings.app_context, settings.llm_context)):
        found = next((context / name for name in _LOCKS if (context / name).is_file()), context / _LOCKS[0])
        name = _name(found, settings)
        dependencies.append(name)
        if found.is_file():
            files[name] = found
            project = found.with_name("pyproject.toml")
            if found.name == "uv.lock" and project.is_file():
                files[_name(project, settings)] = project
    with TemporaryDirectory(prefix="cotai-scan-") as folder:
        root = Path(folder)
        for name, file in files.items():
            copy = root / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        (root / PLANTED).write_text(_planted_key(), encoding="utf-8")
        yield Tree(root, tuple(sorted(files)), outside, tuple(dependencies))


def committed_files(directory: Path) -> tuple[list[str], str]:
    """Name the files that git has or would add, and say why it cannot where it cannot."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, check=False)
    except FileNotFoundError:
        return [], "there is no git to say what would be committed"
    if done.returncode:
        return [], f"{directory.name} is no git repository: nothing says what would be committed"
    names = [name for name in done.stdout.decode(errors="surrogateescape").split("\0") if name]
    return [name for name in names if (path := directory / name).is_file() and not path.is_symlink()], ""


def _stack_files(home: Path) -> dict[str, Path]:
    return {
        path.relative_to(home).as_posix(): path
        for root in _OURS
        for path in (home / root).rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def _name(file: Path, settings: Settings) -> str:
    """Name a file as it is seen from the project, or from the stack's own files; else by its folder."""
    for root in (settings.directory, settings.home):
        if file.is_relative_to(root):
            return file.relative_to(root).as_posix()
    return f"{file.parent.name}/{file.name}"


def _planted_key() -> str:
    """Make a key that opens nothing: it is in no file of ours, where it would be found too."""
    letters = secrets.SystemRandom().sample(string.ascii_uppercase + "234567", 16)
    return f'AWS_ACCESS_KEY_ID = "AKIA{"".join(letters)}"\n'
