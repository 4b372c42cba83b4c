"""A backup in a second place: in another store, or as plain files that need nothing of ours."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cotai_tasks.backup.catalogue import open_catalogue
from cotai_tasks.backup.recover import checksums, file_name, recovery_sheet
from cotai_tasks.backup.store.base import PART
from cotai_tasks.console import size
from cotai_tasks.errors import BackupError, IntegrityError, PreflightError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.backup.catalogue import Catalogue
    from cotai_tasks.backup.manifest import Manifest, StoredObject
    from cotai_tasks.backup.store.base import Reader, Store
    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings

_DAMAGED = "Do not rely on this backup: inv backup.list shows the others."


@dataclass(frozen=True)
class Copied:
    """A backup that is in another place now."""

    backup: str
    to: str
    bytes: int
    """That were copied; those that were there already do not count."""


def copy(backup: str, to: str, *, store: str = "", signer: str = "", settings: Settings, console: Console) -> Copied:
    """Copy a backup into another store, its signature too; every byte is compared with the manifest on its way.

    Interrupted, it leaves nothing that would be listed; repeated, it copies only what is not there yet.
    """
    source = open_catalogue(store, signer, settings=settings)
    target = open_catalogue(to, signer, settings=settings)
    target.store.check()
    manifest = source.find(backup)
    sealed = source.sealed(manifest.id)
    if manifest.id in target.ids():
        _require_same(manifest, sealed, target)
        console.done(f"nothing to do: backup {manifest.id} is in {target.store.url}")
        return Copied(manifest.id, target.store.url, 0)
    target.begin(manifest.id)
    copied = _copy_objects(manifest, source.store, target, console)
    target.publish(manifest, sealed)
    console.done(f"backup {manifest.id} is in {target.store.url} too: {size(copied)} copied, compared, read back")
    return Copied(manifest.id, target.store.url, copied)


def download(
    backup: str, to: str = "", *, store: str = "", signer: str = "", settings: Settings, console: Console
) -> Copied:
    """Fetch a backup's files as they are stored into a new folder, with its manifest and the way to open them.

    The folder is there when everything in it is.
    """
    catalogue = open_catalogue(store, signer, settings=settings)
    manifest = catalogue.find(backup)
    folder = settings.directory / Path(to or manifest.id).expanduser()
    if folder.exists():
        raise UsageError(f"{folder} is there already", cure="Name a folder that is to be made: --to FOLDER.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _require_room(folder.parent, manifest)
        with TemporaryDirectory(prefix=".download-", dir=folder.parent) as unfinished:
            whole = Path(unfinished, "whole")
            whole.mkdir(mode=0o700)
            _fetch_objects(manifest, catalogue.store, whole, console)
            (whole / "manifest.json").write_bytes(catalogue.sealed(manifest.id))
            (whole / "SHA256SUMS").write_text(checksums(manifest))
            (whole / "RECOVER.txt").write_text(recovery_sheet(manifest))
            whole.rename(folder)
    except OSError as error:
        cure = "Free some space, or name another folder: --to FOLDER."
        raise BackupError(f"cannot write {folder}: {error.strerror}", cure=cure) from error
    console.done(f"backup {manifest.id} is in {folder}; {folder / 'RECOVER.txt'} says how to open it without this tool")
    return Copied(manifest.id, str(folder), manifest.stored_bytes)


def _copy_objects(manifest: Manifest, source: Store, target: Catalogue, console: Console) -> int:
    """Copy what is not there yet, and give its bytes; what an interrupted copy left is read again before it counts."""
    there = target.sizes(f"{manifest.id}/")
    done = copied = 0
    with console.transfer(f"backup {manifest.id}", manifest.stored_bytes) as progress:
        for one in (found for stream in manifest.streams for found in stream.objects):
            if one.key in there:
                if there[one.key] == one.bytes and _is_whole(one, target.store):
                    done += one.bytes
                    continue
                target.store.delete([one.key])
            for piece in _copy(one, source, target.store):
                done += piece
                copied += piece
                progress(done, 0)
    return copied


def _copy(one: StoredObject, source: Store, target: Store) -> Iterator[int]:
    """Copy one object, telling the bytes of each part; it is made only where they are what the manifest says."""
    digest = hashlib.sha256()
    with source.open(one.key) as reader, target.upload(one.key) as upload:
        for part in _parts(reader):
            digest.update(part)
            upload.write(part)
            yield len(part)
        _require(one, digest.hexdigest())
        upload.complete()


def _fetch_objects(manifest: Manifest, store: Store, folder: Path, console: Console) -> None:
    done = 0
    with console.transfer(f"backup {manifest.id}", manifest.stored_bytes) as progress:
        for one in (found for stream in manifest.streams for found in stream.objects):
            for piece in _fetch(one, store, folder / file_name(one.key)):
                done += piece
                progress(done, 0)


def _fetch(one: StoredObject, store: Store, path: Path) -> Iterator[int]:
    """Write one object into a file, telling the bytes of each part."""
    digest = hashlib.sha256()
    with store.open(one.key) as reader, path.open("xb") as file:
        for part in _parts(reader):
            digest.update(part)
            file.write(part)
            yield len(part)
    _require(one, digest.hexdigest())


def _is_whole(one: StoredObject, store: Store) -> bool:
    digest = hashlib.sha256()
    with store.open(one.key) as reader:
        for part in _parts(reader):
            digest.update(part)
    return digest.hexdigest() == one.sha256


def _parts(reader: Reader) -> Iterator[bytes]:
    """Cut what a reader gives into equal parts, as an upload takes them."""
    part = bytearray()
    while piece := reader.read(PART - len(part)):
        part += piece
        if len(part) == PART:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


def _require(one: StoredObject, sha256: str) -> None:
    if sha256 != one.sha256:
        raise IntegrityError(f"{one.key} is not what its manifest says", cure=_DAMAGED)


def _require_same(manifest: Manifest, sealed: bytes, target: Catalogue) -> None:
    """Raise unless the target has this very backup, whole."""
    if target.sealed(manifest.id) != sealed:
        raise IntegrityError(f"{target.store.url} has another backup under the id {manifest.id}", cure=_DAMAGED)
    if wrong := target.differences(manifest):
        raise IntegrityError(f"backup {manifest.id} in {target.store.url} is damaged", findings=wrong)


def _require_room(folder: Path, manifest: Manifest) -> None:
    free = shutil.disk_usage(folder).free
    if free < manifest.stored_bytes:
        needed = f"{size(manifest.stored_bytes)} are needed"
        raise PreflightError(f"{folder} has {size(free)} free, and {needed}", cure="Name another disk: --to FOLDER.")
