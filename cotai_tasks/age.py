"""Keys of the age format: who can open what is encrypted, and with what.

A recipient is public and stands in a file of the project; an identity is private and belongs elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pyrage  # type: ignore[import-untyped]

from cotai_tasks.errors import IdentityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Recipient: TypeAlias = pyrage.x25519.Recipient | pyrage.ssh.Recipient
Identity: TypeAlias = pyrage.x25519.Identity | pyrage.ssh.Identity

RECIPIENTS = "env/recipients.txt"
"""Who can open what is encrypted, where nobody else is named: one key a line."""

_ID_LENGTH = 16
_PRIVATE = "AGE-SECRET-KEY-"
_WRAPPED = re.compile(rb"age-encryption\.org/v1\n-> scrypt |-----BEGIN AGE ENCRYPTED FILE-----")
"""How a private key begins that a passphrase protects: as `age --passphrase` writes it, in binary or as text."""


def read_recipients(given: Sequence[str], directory: Path) -> dict[str, Recipient]:
    """Give the recipients that are named, else those of the project's list, by the text of their keys.

    Raises `IdentityError` where there is none, `UsageError` for one that is no key.
    """
    listed = directory / RECIPIENTS
    lines = listed.read_text().splitlines() if not given and listed.is_file() else given
    # What follows an SSH key is a remark: one key is one recipient, whatever it is called.
    texts = [" ".join(line.split()[:2]) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not texts:
        cure = f"Name --recipient age1… (backup.keygen makes one) or ssh-ed25519 …, or list them in {RECIPIENTS}."
        raise IdentityError("no recipient: nobody could open it", cure=cure)
    return {text: _recipient(text, "--recipient" if given else RECIPIENTS) for text in texts}


def key_id(text: str) -> str:
    """Give what a recipient is known by where its key need not stand: 16 hexadecimal digits of the key's SHA-256."""
    return hashlib.sha256(" ".join(text.split()[:2]).encode()).hexdigest()[:_ID_LENGTH]


def make_identity() -> pyrage.x25519.Identity:
    """Make a private key; its text is the one of age-keygen."""
    return pyrage.x25519.Identity.generate()


def public_texts(identities: Sequence[Identity]) -> list[str]:
    """Give the recipients that identities are the private half of; of an SSH key pyrage does not tell it."""
    return [str(one.to_public()) for one in identities if isinstance(one, pyrage.x25519.Identity)]


def read_identities(path: str | Path, ask: Callable[[], str]) -> list[Identity]:
    """Read the private keys of a file: of age-keygen, of SSH, or protected by a passphrase that `ask` gives.

    Raises `IdentityError` for a file that holds none, or another passphrase.
    """
    file = Path(path).expanduser()
    try:
        raw = file.read_bytes()
    except OSError as error:
        cure = "Name the file with the private key."
        raise IdentityError(f"--identity {file}: {error.strerror}", cure=cure) from error
    if _WRAPPED.match(raw):
        raw = _unwrap(raw, file, ask)
    lines = [line for line in raw.decode(errors="replace").splitlines() if line.startswith(_PRIVATE)]
    try:
        return [pyrage.x25519.Identity.from_str(line) for line in lines] or [pyrage.ssh.Identity.from_buffer(raw)]
    except pyrage.IdentityError as error:
        if str(error) == "ssh key must be decrypted first":
            cure = f"Take the passphrase off a copy: cp {file} COPY && ssh-keygen -p -f COPY"
            raise IdentityError(
                f"--identity {file}: an SSH key that is protected by a passphrase", cure=cure
            ) from error
        cure = "backup.keygen and age-keygen make one."
        raise IdentityError(f"--identity {file}: not a private key of age or SSH", cure=cure) from error


def _recipient(text: str, where: str) -> Recipient:
    if text.startswith(_PRIVATE):  # which no message may show
        raise UsageError(f"{where}: that is a private key", cure="Its file names the public one, age1….")
    kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return kind.from_str(text)
    except pyrage.RecipientError as error:
        cure = "It begins with age1, ssh-ed25519 or ssh-rsa."
        raise UsageError(f"{where}: {text} is no public key: {error}", cure=cure) from error


def _unwrap(raw: bytes, file: Path, ask: Callable[[], str]) -> bytes:
    try:
        return bytes(pyrage.passphrase.decrypt(raw, ask()))
    except pyrage.DecryptError as error:
        fault = "another passphrase opens it, or it is damaged"
        raise IdentityError(f"--identity {file}: {fault}", cure="Try again.") from error
