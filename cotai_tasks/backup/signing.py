"""Who made a backup: what is written of it is signed by the host's own key, and read only where that key is known."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ValidationError

from cotai_tasks.backup.manifest import FORMAT, Manifest
from cotai_tasks.errors import IntegrityError, SettingsError, UsageError
from cotai_tasks.files import add_file

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

SIGNING_KEY = "signing.key"
TRUSTED = "trusted"
"""Whose backups this host believes beside its own: a fingerprint a line."""

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class _Format(BaseModel):
    format: int


def signing_key(folder: Path) -> Ed25519PrivateKey:
    """Give the host's signing key; the first time it is made."""
    path = folder / SIGNING_KEY
    if not path.is_file():
        _make_key(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise SettingsError(f"{path}: not a private key", cure="Bring the right file back, or move it away.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path}: not an Ed25519 key", cure="Move it away: the next backup makes another.")
    return key


def fingerprint(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """Name a key as `ssh-keygen -l` does: `SHA256:…`."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def trusted_signers(folder: Path, given: str) -> set[str]:
    """Give whose backups count: this host's, those of its file `trusted`, and the one of `--signer`."""
    if given and not _FINGERPRINT.fullmatch(given):
        raise UsageError(f"--signer {given} is no fingerprint", cure="It is SHA256: and 43 letters and digits.")
    listed = folder / TRUSTED
    lines = listed.read_text().splitlines() if listed.is_file() else []
    own = {fingerprint(signing_key(folder))} if (folder / SIGNING_KEY).is_file() else set()
    return (
        own | {found.group() for line in lines if (found := _FINGERPRINT.match(line))} | ({given} if given else set())
    )


def seal_manifest(manifest: Manifest, key: Ed25519PrivateKey) -> bytes:
    """Give a manifest as it is stored."""
    text = json.dumps(manifest.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return seal("manifest", text, key)


def open_manifest(data: bytes, trusted: Collection[str]) -> Manifest:
    """Read a stored manifest; raise `IntegrityError` unless it is as one of the trusted signers wrote it."""
    text = unseal("manifest", data, trusted)
    try:
        made_by = _Format.model_validate_json(text).format
        if made_by > FORMAT:
            raise IntegrityError(
                f"its manifest has format {made_by}, and this version reads up to {FORMAT}",
                cure="Use the newer version that made it.",
            )
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise IntegrityError(
            f"its manifest is signed and cannot be read: {error.error_count()} of its fields are wrong",
            cure="Use the version that made it.",
        ) from error


def seal(name: str, text: str, key: Ed25519PrivateKey) -> bytes:
    """Give a text as it is stored: under its name, with its signature and the key that made that."""
    sealed = {
        name: text,
        "public_key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "signature": base64.b64encode(key.sign(text.encode())).decode(),
    }
    return json.dumps(sealed, indent=1).encode()


def unseal(name: str, data: bytes, trusted: Collection[str]) -> str:
    """Give back a text that was sealed; raise `IntegrityError` unless one of the trusted signers did."""
    try:
        sealed = json.loads(data)
        text, public, signature = (sealed[part] for part in (name, "public_key", "signature"))
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public))
        key.verify(base64.b64decode(signature), text.encode())
    except InvalidSignature as error:
        raise IntegrityError(f"its {name} was altered after it was signed", cure="Do not restore it.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"its {name} is not signed", cure="Do not restore it.") from error
    signer = fingerprint(key)
    if signer not in trusted:
        cure = (
            f"If that is the host that made it: --signer {signer}, or a line of the file {TRUSTED} beside its own key."
        )
        raise IntegrityError(f"its {name} was signed by {signer}, which is not known here", cure=cure)
    return str(text)


def _make_key(path: Path) -> None:
    """Make the key in one step: of two commands that do, both go on with the first one's."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    add_file(path, pem)
