"""Which backups of a stack a store holds, which of them can be trusted, and how one comes and goes.

A backup exists from the moment that its manifest is there. Its data is older than its manifest, always: it is written
before, and removed after.
"""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from cotai_tasks.backup.manifest import FORMAT, Manifest, id_time, is_id
from cotai_tasks.backup.signing import open_manifest, seal_manifest, signing_key, trusted_signers
from cotai_tasks.backup.store.base import ExistsError, MissingError
from cotai_tasks.backup.store.open import open_store
from cotai_tasks.backup.verification import (
    Level,
    Verification,
    compare_sizes,
    find_fault,
    last_by_level,
    open_verification,
    seal_verification,
)
from cotai_tasks.errors import BackupError, Finding, IntegrityError, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.backup.store.base import Stat, Store
    from cotai_tasks.settings import Settings

LATEST = "latest"
"""What a person may say for the newest backup that is whole."""

AHEAD = timedelta(hours=1)
"""How far clocks may differ: a backup that is said to be made later than this from now has a wrong time."""

_AT_ONCE = 8
"""Small objects that are asked for at the same time."""


@dataclass(frozen=True)
class Entry:
    """One backup, as the store shows it now."""

    id: str
    manifest: Manifest | None = None
    """None where it cannot be trusted or read; `fault` says why."""
    fault: Finding | None = None
    """Why it would not restore: it counts as none, and no rule removes it."""
    verified: dict[Level, Verification] = field(default_factory=dict)
    """The last verification of each level."""
    locked_until: datetime | None = None

    @property
    def time(self) -> datetime:
        """The moment whose data it holds."""
        return self.manifest.started_at if self.manifest else id_time(self.id)

    def is_ahead(self, now: datetime) -> bool:
        """Tell whether it would come from the future: a clock is wrong, and how old it is nobody knows."""
        return self.time > now + AHEAD

    @property
    def is_partial(self) -> bool:
        """Whether only some of the components were wanted of it."""
        return self.manifest is not None and not self.manifest.complete


class Note(BaseModel):
    """A backup under way, or one that was interrupted: what its maker left in the store."""

    id: str
    host: str
    pid: int
    started_at: datetime


class _Format(BaseModel):
    format: int


@dataclass(frozen=True)
class Catalogue:
    """The backups of one stack in one store."""

    store: Store
    stack: str
    folder: Path
    """The host's own keys."""
    signer: str = ""
    """The fingerprint of one more host whose backups are trusted."""

    # -- one backup comes ----------------------------------------------------------------------------------------

    def begin(self, backup: str) -> None:
        """Note that a backup is on its way, in a store of our format."""
        with suppress(ExistsError):
            self.store.put(f"{self.stack}/format.json", _Format(format=FORMAT).model_dump_json().encode())
        self.require_format()
        note = Note(id=backup, host=socket.gethostname(), pid=os.getpid(), started_at=datetime.now(UTC))
        self.store.put(self._inflight(backup), note.model_dump_json().encode(), replace=True)

    def commit(self, manifest: Manifest) -> None:
        """Sign a manifest and put it into the store: from now on the backup exists.

        Raises `IntegrityError` where its objects are not all there in their sizes.
        """
        self.publish(manifest, seal_manifest(manifest, signing_key(self.folder)))

    def publish(self, manifest: Manifest, sealed: bytes) -> None:
        """Put a manifest that is signed into the store, once all its objects are there."""
        if wrong := self.differences(manifest):
            raise IntegrityError(f"backup {manifest.id} is not in {self.store.url} as it was written", findings=wrong)
        self._put_once(self._manifest(manifest.id), sealed)
        # Whoever clears up removes this note first and then looks for the manifest: one of us always sees the other.
        if not self.store.list(self._inflight(manifest.id)):
            self.store.delete([self._manifest(manifest.id)])
            cure = "It gave no sign of life for a day. Repeat it, with another --only if one part takes so long."
            raise BackupError(f"backup {manifest.id} was cleared away by a prune while it was made", cure=cure)
        self.store.delete([self._inflight(manifest.id)])

    # -- which there are -----------------------------------------------------------------------------------------

    def require_format(self) -> None:
        """Refuse a store that a newer version has made: what we do not know we neither read nor delete."""
        try:
            found = _Format.model_validate_json(self.store.get(f"{self.stack}/format.json"))
        except MissingError:
            return
        except ValidationError as error:
            cure = f'Other versions than 1 have never been there: write {{"format": {FORMAT}}} into it.'
            raise IntegrityError(f"{self.store.url}: {self.stack}/format.json is damaged", cure=cure) from error
        if found.format > FORMAT:
            raise IntegrityError(
                f"the backups in {self.store.url} are of format {found.format}, and this version knows {FORMAT}",
                cure="Update cotai-tasks.",
            )

    def ids(self) -> list[str]:
        """Name every backup, the newest first."""
        self.require_format()
        names = (_middle(one.key) for one in self.store.list(f"{self.stack}/manifests/"))
        return sorted(filter(is_id, names), reverse=True)

    def load(self, backup: str) -> Manifest:
        """Read a manifest, and make sure of who signed it and that it is this backup's; else `IntegrityError`."""
        try:
            return self._open(backup)
        except IntegrityError as error:
            raise IntegrityError(f"backup {backup}: {error}", cure=error.cure) from error

    def sealed(self, backup: str) -> bytes:
        """Give a manifest as it is stored, with its signature."""
        return self.store.get(self._manifest(backup))

    def find(self, text: str = LATEST) -> Manifest:
        """Give the backup that a person means: by the beginning of its id, or the newest one that is whole.

        Where each holds only some of the components, it is the newest of those.
        """
        ids = self.ids()
        if not ids:
            raise UsageError(f"no backup of {self.stack} in {self.store.url}", cure="Make one: inv backup.create.")
        if text in {"", LATEST}:
            return self._newest(ids)
        fitting = [one for one in ids if one.startswith(text)]
        if not fitting:
            raise UsageError(f"no backup {text} of {self.stack} in {self.store.url}", cure=nearest(text, ids))
        if len(fitting) > 1:
            raise UsageError(f"--id {text}: {len(fitting)} begin so", cure=f"Which: {', '.join(fitting)}?")
        return self.load(fitting[0])

    def passed_over(self, found: Manifest, text: str) -> list[str]:
        """Name the backups that are newer than the one that was found, the newest first; none where it was named."""
        return [one for one in self.ids() if one > found.id] if text in {"", LATEST} else []

    def entries(self) -> list[Entry]:
        """Give every backup with what is known of it, the newest first; sizes are compared with the store's."""
        ids = self.ids()
        sizes = self.sizes()
        records = defaultdict(list)
        for one in self.store.list(f"{self.stack}/verify/"):
            records[_owner(one.key)].append(one.key)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(lambda backup: self._entry(backup, sizes, records[backup]), ids)
            return [one for one in found if one]

    def under_way(self) -> list[Note]:
        """Tell which backups are being made, or were interrupted, the newest first."""
        keys = [one.key for one in self.store.list(f"{self.stack}/inflight/")]
        done = set(self.ids())
        notes = (self._note(key) for key in reversed(keys) if _middle(key) not in done)
        return [note for note in notes if note]

    def differences(self, manifest: Manifest) -> list[Finding]:
        """Say which objects of a backup are not in the store, or not in their size."""
        return compare_sizes(manifest, self.sizes(f"{manifest.id}/"))

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Give the bytes of every stored object by its key: of all backups, or of one, whose folder is `<id>/`."""
        return {one.key: one.size for one in self.store.list(f"{self.stack}/data/{folder}")}

    def record(self, backup: str, verification: Verification) -> None:
        """Write down what a verification found, signed as a manifest is: else anybody could call a backup damaged."""
        key = f"{self.stack}/verify/{backup}/{verification.name}.json"
        self.store.put(key, seal_verification(verification, self.stack, backup, signing_key(self.folder)))

    # -- one backup goes -----------------------------------------------------------------------------------------

    def remove(self, backup: str) -> None:
        """Remove a backup for good. Interrupted, it leaves data without a manifest, which is no backup."""
        self.store.delete([self._manifest(backup)])
        self.abandon(backup)

    def abandon(self, backup: str) -> None:
        """Remove what a backup without a manifest has in the store; of one that has it, only the note of its making."""
        self.store.delete([self._inflight(backup)])
        if not self.store.list(self._manifest(backup)):
            folders = (f"{self.stack}/{folder}/{backup}/" for folder in ("data", "verify"))
            self.store.delete([one.key for folder in folders for one in self.store.list(folder)])

    def leftovers(self, before: datetime) -> dict[str, list[Stat]]:
        """Give what belongs to no backup, by the id, where nothing of it changed since a moment."""
        folders = ("inflight", "data", "verify")
        found = [one for folder in folders for one in self.store.list(f"{self.stack}/{folder}/")]
        done = set(self.ids())  # looked up last: what was committed meanwhile is a backup
        left = defaultdict(list)
        for one in found:
            left[_owner(one.key)].append(one)
        return {
            backup: files
            for backup, files in left.items()
            if is_id(backup) and backup not in done and all(one.modified < before for one in files)
        }

    # -- inside --------------------------------------------------------------------------------------------------

    @cached_property
    def _trusted(self) -> set[str]:
        return trusted_signers(self.folder, self.signer)

    def _open(self, backup: str) -> Manifest:
        manifest = open_manifest(self.sealed(backup), self._trusted)
        if (manifest.stack, manifest.id) != (self.stack, backup):
            cure = "Somebody has moved files in the store: do not trust it before you know why."
            raise IntegrityError(f"its manifest is that of {manifest.stack} {manifest.id}", cure=cure)
        return manifest

    def _manifest(self, backup: str) -> str:
        return f"{self.stack}/manifests/{backup}.json"

    def _inflight(self, backup: str) -> str:
        return f"{self.stack}/inflight/{backup}.json"

    def _put_once(self, key: str, data: bytes) -> None:
        try:
            self.store.put(key, data)
        except ExistsError:
            if self.store.get(key) != data:  # else it is ours: only the answer to the first attempt was lost
                raise

    def _newest(self, ids: Sequence[str]) -> Manifest:
        """Give the newest that is whole, else the newest partial one; with neither, raise what is wrong."""
        faults = []
        partial = None
        now = datetime.now(UTC)
        for backup in ids:
            try:
                manifest = self.load(backup)
            except IntegrityError as error:
                faults.append(error)
                continue
            if Entry(backup, manifest).is_ahead(now):
                cure = f"Set the clocks right. It can still be named: --id {backup}."
                faults.append(IntegrityError(f"the time of backup {backup} lies in the future", cure=cure))
            elif fault := self._fault(manifest):
                faults.append(IntegrityError(f"backup {backup} is not whole", findings=[fault]))
            elif manifest.complete:
                return manifest
            else:
                partial = partial or manifest
        if partial:
            return partial
        raise faults[0]

    def _fault(self, manifest: Manifest) -> Finding | None:
        """Say why a backup would not restore: by what the store shows of it, and what verifications found."""
        records = [one.key for one in self.store.list(f"{self.stack}/verify/{manifest.id}/")]
        return find_fault(manifest, self.sizes(f"{manifest.id}/"), self._verified(manifest.id, records))

    def _entry(self, backup: str, sizes: Mapping[str, int], records: Sequence[str]) -> Entry | None:
        try:
            verified = self._verified(backup, records)
            locked = self.store.locked_until(self._manifest(backup))
            manifest = self._open(backup)
        except MissingError:  # removed meanwhile
            return None
        except IntegrityError as error:
            return Entry(backup, None, Finding(backup, str(error), error.cure), verified, locked)
        return Entry(backup, manifest, find_fault(manifest, sizes, verified), verified, locked)

    def _note(self, key: str) -> Note | None:
        """Read a note; one that is damaged says nothing, and one may be gone meanwhile."""
        try:
            return Note.model_validate_json(self.store.get(key))
        except (MissingError, ValidationError):
            return None

    def _verified(self, backup: str, records: Sequence[str]) -> dict[Level, Verification]:
        return last_by_level(one for key in records if (one := self._verification(backup, key)))

    def _verification(self, backup: str, key: str) -> Verification | None:
        """Read what a verification found; a record that nobody trusted has signed proves nothing."""
        try:
            return open_verification(self.store.get(key), self.stack, backup, self._trusted)
        except (MissingError, IntegrityError):
            return None


def open_catalogue(store: str, signer: str = "", *, settings: Settings, stack: str = "") -> Catalogue:
    """Open the catalogue of a stack, the settings' own if none is named, in a store, else in the configured one."""
    opened = open_store(store, settings)
    return Catalogue(opened, stack or settings.stack_name, settings.secrets_folder / "backup", signer)


def _middle(key: str) -> str:
    """Give the last part of a key without its ending."""
    return key.rpartition("/")[2].removesuffix(".json")


def _owner(key: str) -> str:
    """Give the id in a key: `cotai-prod/data/<id>/…`, `cotai-prod/inflight/<id>.json`."""
    return key.split("/")[2].removesuffix(".json")
