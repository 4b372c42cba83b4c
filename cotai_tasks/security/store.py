"""The folder of production's secrets: a file each, mode 0600, that is never seen half written."""

from __future__ import annotations

import base64
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.errors import Finding, SettingsError
from cotai_tasks.files import add_file, replace_file, sync_folder
from cotai_tasks.security.certificates import INTERNAL_DAYS, Authority, issue, make_authority
from cotai_tasks.variables import PRODUCTION_SECRETS

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

AUTHORITY = "internal-ca"
"""The authority that signs the databases' certificates: `internal-ca.pem` and `internal-ca.key`."""
CLUSTER_KEY = "MONGODB_KEY"
"""What the members of MongoDB's replica set know one another by."""
SERVERS = ("postgres", "mongodb", "redis", "redis-cache")
"""Each has `tls/NAME.crt` and `tls/NAME.key`."""
EXPORTER = "mongodb-exporter"
"""Logs in to MongoDB with its certificate `tls/mongodb-exporter.pem`: its image can read no password from a file."""

_RANDOM_BYTES = 32
"""Of a password: 43 characters, 256 bits."""
_CLUSTER_KEY_BYTES = 756
"""As MongoDB's manual makes it; its limit is 1024 characters of base64."""


@dataclass(frozen=True)
class Store:
    """The files of one folder."""

    folder: Path

    def read(self, name: str) -> bytes | None:
        """Give a file's content; None where there is no such file."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def text(self, name: str) -> str:
        """Give a file's content as text; empty where there is no such file."""
        return (self.read(name) or b"").decode().strip()

    def write(self, name: str, content: bytes) -> None:
        """Write a file in one step, in the place of an older one."""
        replace_file(self._placed(name), content)

    def add(self, name: str, content: bytes) -> bool:
        """Write a file that is not there yet; tell whether it was not."""
        return add_file(self._placed(name), content)

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, in the place of an older one."""
        (self.folder / name).replace(self.folder / to)
        sync_folder((self.folder / to).parent)

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is removed already."""
        (self.folder / name).unlink(missing_ok=True)
        sync_folder((self.folder / name).parent)

    def files(self) -> dict[str, Path]:
        """Give every file by its path in the folder, what an interruption left of one aside."""
        found = {path.relative_to(self.folder).as_posix(): path for path in sorted(self.folder.rglob("*"))}
        return {
            name: path for name, path in found.items() if not path.is_dir() and not path.name.startswith((".new-", "."))
        }

    def _placed(self, name: str) -> Path:
        """Give a file's place, whose folder is there."""
        path = self.folder / name
        for folder in (self.folder, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


def new_password() -> bytes:
    """Make a random password of 43 letters, digits, - and _: it becomes part of URLs."""
    return secrets.token_urlsafe(_RANDOM_BYTES).encode()


def expected_files() -> tuple[str, ...]:
    """Name every file that a complete store has."""
    pairs = (f"tls/{server}.{end}" for server in SERVERS for end in ("crt", "key"))
    authority = (f"{AUTHORITY}.pem", f"{AUTHORITY}.key")
    return (*PRODUCTION_SECRETS, CLUSTER_KEY, *authority, *pairs, f"tls/{EXPORTER}.pem")


def folder_findings(folder: Path) -> list[Finding]:
    """Find what makes the folder unfit to hold secrets; a missing one is fit to be made."""
    if folder.is_symlink():
        return [Finding(str(folder), "a symbolic link", "Name the folder itself in COTAI_SECRETS.")]
    if not folder.exists():
        return []
    if not folder.is_dir():
        return [Finding(str(folder), "not a folder", "Name another in COTAI_SECRETS.")]
    return _access(folder, "700")


def file_findings(store: Store) -> list[Finding]:
    """Find files that others can read, that are not ours, or that are links."""
    findings = []
    for path in store.files().values():
        if path.is_symlink():
            findings.append(Finding(str(path), "a symbolic link", "Put the file itself there."))
        else:
            findings += _access(path, "600")
    return findings


def _access(path: Path, mode: str) -> list[Finding]:
    found = path.stat()
    findings = []
    if found.st_uid != os.geteuid():
        findings.append(Finding(str(path), "belongs to another user", f"sudo chown $(id -u) {path}"))
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        findings.append(Finding(str(path), "other users of this host can read it", f"chmod {mode} {path}"))
    return findings


def require_fit(folder: Path) -> None:
    """Raise `SettingsError` for a folder that must hold no secrets as it is."""
    findings = folder_findings(folder)
    if findings:
        raise SettingsError(f"{folder} cannot hold secrets as it is", findings=findings)


def fill(store: Store, *, now: datetime) -> tuple[str, ...]:
    """Make every file that is missing, and name them; what is there stays as it is."""
    require_fit(store.folder)
    made = [name for name in PRODUCTION_SECRETS if not store.text(name) and _new(store, name, new_password())]
    key = base64.b64encode(secrets.token_bytes(_CLUSTER_KEY_BYTES))
    made += [CLUSTER_KEY] if store.add(CLUSTER_KEY, key) else []
    return (*made, *_certificates(store, now=now))


def _new(store: Store, name: str, content: bytes) -> bool:
    """Add a file, in the place of an empty one."""
    if not store.text(name):
        with suppress(FileNotFoundError):
            (store.folder / name).unlink()
    return store.add(name, content)


def _certificates(store: Store, *, now: datetime) -> list[str]:
    """Make the authority and what it signs; a certificate is written after its key, so that it stands for both."""
    made = []
    certificate, key = store.read(f"{AUTHORITY}.pem"), store.read(f"{AUTHORITY}.key")
    renewed = not (certificate and key)
    authority = make_authority("CotAi internal CA", now=now) if renewed else Authority(certificate or b"", key or b"")
    if renewed:
        store.write(f"{AUTHORITY}.key", authority.key_pem)
        store.write(f"{AUTHORITY}.pem", authority.certificate_pem)
        made += [f"{AUTHORITY}.pem", f"{AUTHORITY}.key"]
    for server in SERVERS:
        if renewed or not (store.read(f"tls/{server}.crt") and store.read(f"tls/{server}.key")):
            signed = issue(authority, [server, "localhost", "127.0.0.1"], days=INTERNAL_DAYS, now=now)
            store.write(f"tls/{server}.key", signed.key_pem)
            store.write(f"tls/{server}.crt", signed.chain_pem)
            made += [f"tls/{server}.crt", f"tls/{server}.key"]
    if renewed or not store.read(f"tls/{EXPORTER}.pem"):
        signed = issue(authority, [EXPORTER], days=INTERNAL_DAYS, now=now, client=True)
        store.write(f"tls/{EXPORTER}.pem", signed.chain_pem + signed.key_pem)
        made.append(f"tls/{EXPORTER}.pem")
    return made
