"""Files at the engine, in named volumes: what containers read there, a remote engine has as well."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.engine import Engine
    from cotai_tasks.stack import Stack


@dataclass(frozen=True)
class VolumeFile:
    """One file and the user that may read it."""

    content: bytes
    uid: int = 0
    mode: int = 0o444


@dataclass(frozen=True)
class Put:
    """What came of putting files into folders."""

    changed: frozenset[str]
    """The paths of the files that are new, other, or gone."""
    written: dict[str, float]
    """When each folder changed last, in seconds since 1970 by the engine's clock: now, or long ago."""


def put_folders(stack: Stack, engine: Engine, folders: Mapping[str, Mapping[str, VolumeFile]]) -> Put:
    """Make folders of the stack's volumes hold just these files: `{"proxy/certs": {"privkey.pem": VolumeFile(…)}}`.

    Each file is replaced in one step, and whoever has the folder mounted sees it at once. What did not arrive whole
    changes nothing.
    """
    packed = pack(folders)
    said = _help(stack, engine, "put", hashlib.sha256(packed).hexdigest(), *folders, data=packed).decode()
    lines = [line.split(" ", 1) for line in said.splitlines()]
    times = (rest.split(" ", 1) for kind, rest in lines if kind == "written")
    return Put(
        changed=frozenset(rest for kind, rest in lines if kind == "changed"),
        written={folder: float(seconds) for seconds, folder in times},
    )


def get_folder(stack: Stack, engine: Engine, folder: str, *names: str) -> dict[str, bytes]:
    """Give the files of one folder by their names, all or those named; none where there is no such folder."""
    found = _unpack(_help(stack, engine, "get", folder, *names))
    return {path.removeprefix(f"{folder}/"): content for path, content in found.items()}


def get_files(stack: Stack, engine: Engine, *paths: str) -> dict[str, bytes]:
    """Give files of any folders by their paths, `proxy/certs/fullchain.pem`, those that are there, in one go."""
    return _unpack(_help(stack, engine, "get", ".", *paths))


def _help(stack: Stack, engine: Engine, *arguments: str, data: bytes = b"") -> bytes:
    return engine.help(stack.tools or stack.project, arguments, data)


def _unpack(packed: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {member.name: file.read() for member in archive if (file := archive.extractfile(member))}


def pack(folders: Mapping[str, Mapping[str, VolumeFile]]) -> bytes:
    """Put files into a tar archive, with their owners and modes."""
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w") as archive:
        for folder, files in folders.items():
            for name, file in files.items():
                member = tarfile.TarInfo(f"{folder}/{name}")
                member.size, member.uid, member.gid, member.mode = len(file.content), file.uid, file.uid, file.mode
                archive.addfile(member, io.BytesIO(file.content))
    return paper.getvalue()
