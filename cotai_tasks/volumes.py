"""Files at the engine, in named volumes: what containers read there, a remote engine has as well."""

from __future__ import annotations

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


def put_folders(stack: Stack, engine: Engine, folders: Mapping[str, Mapping[str, VolumeFile]]) -> frozenset[str]:
    """Make folders of the stack's volumes hold just these files: `{"proxy/certs": {"privkey.pem": VolumeFile(…)}}`.

    Gives the paths of the files that are new, other, or gone. Each file is replaced in one step, and whoever has the
    folder mounted sees it at once.
    """
    said = engine.help(stack.project, ["put", *folders], pack(folders))
    return frozenset(said.decode().split())


def get_folder(stack: Stack, engine: Engine, folder: str) -> dict[str, bytes]:
    """Give the files of one folder by their names; none where there is no such folder."""
    packed = engine.help(stack.project, ["get", folder])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {
            member.name.removeprefix(f"{folder}/"): file.read()
            for member in archive
            if (file := archive.extractfile(member))
        }


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
