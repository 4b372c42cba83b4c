"""The identity that opens a backup: which is meant, and whether it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.age import key_id, public_texts, read_identities
from cotai_tasks.errors import IdentityError

if TYPE_CHECKING:
    from cotai_tasks.age import Identity
    from cotai_tasks.backup.manifest import Manifest
    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings


def open_identities(manifest: Manifest, named: str, *, settings: Settings, console: Console) -> list[Identity]:
    """Read the identities of `--identity`, else of BACKUP_IDENTITY; none for a plain backup.

    Raises `IdentityError` where none is named, or none of them is one that the backup was encrypted for.
    """
    if not manifest.encrypted:
        return []
    path = named or settings.variables.BACKUP_IDENTITY
    if not path:
        raise IdentityError(
            f"backup {manifest.id} is encrypted, and no identity is named",
            cure="--identity FILE, or BACKUP_IDENTITY in the env file; it is one of those that backup.keygen made.",
        )
    found = read_identities(settings.directory / path, lambda: console.password(f"Passphrase of {path}"))
    known = public_texts(found)
    if len(known) == len(found) and not {*map(key_id, known)} & {*manifest.recipients}:
        raise IdentityError(
            f"backup {manifest.id} was not encrypted for the identity {path}",
            cure="Name the --identity of one of its recipients.",
        )
    return found
