"""The configuration: what a person needs to build the stack again, with this tool or without it."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.components.base import Difference, Dump, Leftovers, Rehearsal
from cotai_tasks.backup.components.config_files import (
    SECRETS,
    ConfigFile,
    collect,
    is_secret,
    pack,
    places,
    read_file,
    secret_files,
    unpack,
    write_file,
)
from cotai_tasks.backup.manifest import is_id
from cotai_tasks.console import count
from cotai_tasks.errors import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cotai_tasks.backup.components.base import Feed, Site, Source
    from cotai_tasks.backup.manifest import Stream

_FLOOR = 1024
"""Bytes: the rendered Compose project alone is larger."""
_PLAN = "plan.json"
_STAGED, _REPLACED = ".cotai/restore-", ".cotai/before-"
"""Folders of the project, for us alone: what waits, with the plan of where it belongs; and what it replaced."""


@dataclass(frozen=True)
class Config:
    """The env file, the secrets, the project's own files, and the Compose project that comes of them."""

    encrypted: bool
    """Whether the backup is: a plain one holds no secrets."""
    name = "config"

    def dumps(self, site: Site) -> list[Dump]:
        """Give the one stream; it is small, and made in memory."""

        @contextmanager
        def opened() -> Iterator[Source]:
            files = collect(site, encrypted=self.encrypted)
            yield _Packed(files, _facts(site, files, encrypted=self.encrypted))

        return [Dump(self.name, "config", "tar", _FLOOR, opened)]

    def unfit(self, site: Site, streams: Sequence[Stream]) -> list[Finding]:
        """Refuse the configuration of another environment."""
        (stream,) = streams
        dumped, here = stream.facts["environment"], site.settings.environment
        if dumped == here:
            return []
        return [Finding("config", f"it is that of {dumped}, and this is {here}", f"Say --env {dumped}.")]

    @contextmanager
    def rehearse(
        self,
        site: Site,  # noqa: ARG002 - nothing of this stack is needed
        backup: str,  # noqa: ARG002
        streams: Sequence[Stream],
        feed: Feed,
        *,
        keep: bool = False,  # noqa: ARG002 - there is no container
    ) -> Iterator[Rehearsal]:
        """Unpack it in memory, and compare names and hashes."""
        (stream,) = streams
        files = _read(stream, feed)
        names = stream.facts["secrets"]
        secrets = "" if names is None else f", {count(len(names), 'secret')} by name"
        yield Rehearsal(
            differences=tuple(_compare(stream, files)),
            compared=f"{count(len(stream.facts['files']), 'file')} with their hashes{secrets}",
        )

    def is_empty(self, site: Site) -> bool:
        """Tell whether there is no env file of production and no secret: the rest comes with a checkout, as it was.

        The keys of backups are not among them: without them there would be no store to restore from.
        """
        if site.settings.environment == "dev":
            return True
        kept = [path for name, path in secret_files(site.settings).items() if not name.startswith(f"{SECRETS}/backup/")]
        return not any(path.is_file() for path in (site.settings.env_file, *kept))

    def users(self, site: Site, streams: Sequence[Stream]) -> frozenset[str]:  # noqa: ARG002
        """Name nobody: services have what was written for them at the last deploy."""
        return frozenset()

    def stage(self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed) -> list[Difference]:
        """Put the files that are missing here, or are other ones, into a folder that only we can read."""
        (stream,) = streams
        files = _read(stream, feed)
        wanted = {
            path: file
            for path, file in places(files, site.settings).items()
            if not path.exists() or path.read_bytes() != file.content
        }
        folder = _folder(site, _STAGED, backup)
        folder.mkdir(mode=0o700, parents=True)
        for number, file in enumerate(wanted.values()):
            write_file(folder / f"{number}.new", file)
        plan = ConfigFile(json.dumps([str(path) for path in wanted]).encode())
        write_file(folder / _PLAN, plan)
        return _compare(stream, files)

    def swap(self, site: Site, backup: str) -> None:
        """Put each file in its place, and keep the one that was there in the folder."""
        folder = _folder(site, _STAGED, backup)
        for path, new, old in _plan(folder):
            if path.exists() and not old.exists():
                _keep(path, old)
            write_file(path, read_file(new))
        folder.rename(_folder(site, _REPLACED, backup))

    def revert(self, site: Site, backup: str) -> None:
        """Put back what was kept, and remove what was not there; what nobody has touched yet stays."""
        folder = _folder(site, _STAGED, backup)
        if (done := _folder(site, _REPLACED, backup)).exists():
            done.rename(folder)
        for path, new, old in _plan(folder):
            if old.exists():
                _return(old, path)
            elif path.is_file() and read_file(path) == read_file(new):
                path.unlink()

    def unstage(self, site: Site, backup: str) -> None:
        """Remove the folder of what was staged, unless it holds what was replaced: there is no other copy of that."""
        folder = _folder(site, _STAGED, backup)
        if folder.exists() and not [*folder.glob("*.old")]:
            shutil.rmtree(folder)

    def leftovers(self, site: Site) -> Leftovers:
        """Read it from the folders' names."""
        found = [
            one.relative_to(site.settings.directory).as_posix() for one in site.settings.directory.glob(".cotai/*")
        ]

        def ids(prefix: str) -> frozenset[str]:
            return frozenset(rest for one in found if is_id(rest := one.removeprefix(prefix)))

        return Leftovers(staged=ids(_STAGED), replaced=ids(_REPLACED))

    def discard(self, site: Site, backup: str) -> None:
        """Remove the files that were kept."""
        folder = _folder(site, _REPLACED, backup)
        if folder.exists():
            shutil.rmtree(folder)


class _Packed:
    """An archive that is ready."""

    def __init__(self, files: Mapping[str, ConfigFile], facts: Mapping[str, Any]) -> None:
        self._file = io.BytesIO(pack(files))
        self._facts = facts

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes."""
        return self._file.read(size)

    def finish(self) -> Mapping[str, Any]:
        """Give the facts."""
        return self._facts


def _facts(site: Site, files: Mapping[str, ConfigFile], *, encrypted: bool) -> dict[str, Any]:
    """Say what is in it: of a secret not even the hash, as a short one could be guessed from it."""
    return {
        "environment": site.settings.environment,
        "files": {name: file.digest for name, file in files.items() if not is_secret(name)},
        "secrets": [name for name in files if is_secret(name)] if encrypted else None,
    }


def _read(stream: Stream, feed: Feed) -> dict[str, ConfigFile]:
    paper = io.BytesIO()
    feed(stream, paper.write)
    return unpack(paper.getvalue())


def _compare(stream: Stream, files: Mapping[str, ConfigFile]) -> list[Difference]:
    expected = stream.facts["files"] | dict.fromkeys(stream.facts["secrets"] or (), "there")
    found = {name: "there" if is_secret(name) else file.digest for name, file in files.items()}
    return [
        Difference(f"file {name}", expected.get(name, "nothing"), found.get(name, "nothing"))
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]


def _keep(path: Path, old: Path) -> None:
    """Keep a file under another name too: it needs no room on the disk, neither now nor when it is put back."""
    try:
        os.link(path, old)
    except OSError:  # on another disk, or somebody else's
        write_file(old, read_file(path))


def _return(old: Path, path: Path) -> None:
    """Put a file back that was kept."""
    try:
        old.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        write_file(path, read_file(old))
    old.unlink(missing_ok=True)  # two names of one file: a rename does nothing then


def kept_files(site: Site, backup: str) -> list[Path]:
    """Give the files that the restore of a backup replaced, where they are kept."""
    return [*_folder(site, _REPLACED, backup).glob("*.old")]


def _folder(site: Site, prefix: str, backup: str) -> Path:
    return site.settings.directory / f"{prefix}{backup}"


def _plan(folder: Path) -> list[tuple[Path, Path, Path]]:
    """Give for each file its place, what shall be there, and what was; a folder without a plan has touched nothing."""
    plan = folder / _PLAN
    paths = json.loads(plan.read_text()) if plan.is_file() else []
    return [(Path(one), folder / f"{number}.new", folder / f"{number}.old") for number, one in enumerate(paths)]
