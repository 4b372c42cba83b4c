"""A key pair for backups: the private half is kept where the host is not, the public half stands in the project."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage  # type: ignore[import-untyped]

from cotai_tasks.age import RECIPIENTS, key_id, make_identity
from cotai_tasks.backup.signing import fingerprint, signing_key
from cotai_tasks.errors import UsageError

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings


@dataclass(frozen=True)
class Key:
    """A key pair that was made."""

    path: Path
    """The file of the private key."""
    recipient: str
    """The public key."""
    id: str
    """What manifests call it."""
    signer: str
    """The fingerprint of this host, which signs the backups."""


def keygen(*, output: str, passphrase: bool, settings: Settings, console: Console) -> Key:
    """Make an identity in a new file, protected by a passphrase on request, and say what to do with both halves.

    `output` is by default a file in the home folder. Raises `UsageError` where that file is there.
    """
    path = Path(output).expanduser() if output else Path.home() / f"{settings.stack_name}-backup.key"
    identity = make_identity()
    recipient = str(identity.to_public())
    text = f"# created: {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n# public key: {recipient}\n{identity}\n".encode()
    _write(path, pyrage.passphrase.encrypt(text, _passphrase(console), armored=True) if passphrase else text)
    signer = fingerprint(signing_key(settings.secrets_folder / "backup"))
    key = Key(path, recipient, key_id(recipient), signer)
    _explain(key, settings, console)
    return key


def _passphrase(console: Console) -> str:
    first = console.password("Passphrase of the new key")
    if not first:
        raise UsageError("an empty passphrase protects nothing", cure="Leave --passphrase out, or type one.")
    if console.password("The same again") != first:
        raise UsageError("the two passphrases differ: nothing was made", cure="Repeat the command.")
    return first


def _write(path: Path, content: bytes) -> None:
    """Write a new file that nobody else can read; what an older one opens would be lost with it."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        cure = "Name a new file in a folder that is there."
        raise UsageError(f"--output {path}: {error.strerror}", cure=cure) from error


def _explain(key: Key, settings: Settings, console: Console) -> None:
    console.done(f"made {key.path}: whoever has it can read backups, and without it nobody can")
    console.say(f"  recipient:  {key.recipient}")
    console.say(f"  its id:     {key.id}, as manifests call it")
    console.say(f"  signer:     {key.signer}, this host")
    console.say("Encrypt for it from now on:")
    console.say(f"  echo {key.recipient} >> {settings.directory / RECIPIENTS}")
    console.say(f"Keep two copies of {key.path.name} and the signer's fingerprint where this host is not (a password")
    console.say("manager, a safe). Then remove it here: a host that is taken over must not read its own backups.")
