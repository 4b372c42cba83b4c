"""Production's secrets: making what is missing, checking what is there, and what containers get of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from cotai_tasks.errors import Finding, SettingsError, UsageError
from cotai_tasks.security.render import Material, render
from cotai_tasks.security.store import (
    AUTHORITY,
    EXPORTER,
    SERVERS,
    Store,
    expected_files,
    file_findings,
    fill,
    folder_findings,
)
from cotai_tasks.variables import PRODUCTION_SECRETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings
    from cotai_tasks.volumes import VolumeFile

ROTATIONS = "rotation.json"
"""In the store: which login has the application's password of a database, and since when."""
_SOON = timedelta(days=20)
_FEWEST_CHARACTERS = 16
_PLACEHOLDER = re.compile(r"change[-_]?me|placeholder|-development$", re.IGNORECASE)
_ALL_ANEW = (
    f"Remove {AUTHORITY}.pem: inv security.secrets makes it and all that it signed anew. Put them into use together:"
    " inv deploy.prod --with-databases, then inv deploy.restart of what uses databases."
)
_MAKE = "inv security.secrets makes it."


@dataclass(frozen=True)
class Rotation:
    """How the rotation of one secret stands."""

    name: str
    open: bool
    """Whether the old value is still valid."""
    restart: tuple[str, ...]
    """Services that use the old value until they are restarted."""


@dataclass(frozen=True)
class SecretsResult:
    """What `security.secrets` made: names, never values."""

    folder: str
    made: tuple[str, ...]
    kept: tuple[str, ...]


def make_secrets(
    *, dry_run: bool = False, now: datetime | None = None, settings: Settings, console: Console
) -> SecretsResult:
    """Make every secret that is missing; what is there stays as it is."""
    require_production(settings)
    store = Store(settings.secrets_folder)
    there = store.files()
    if dry_run:
        missing = tuple(name for name in expected_files() if name not in there)
        console.say(f"would make {', '.join(missing)}" if missing else _nothing(store))
        return SecretsResult(str(store.folder), (), tuple(there))
    made = fill(store, now=now or datetime.now(UTC))
    if made:
        console.say(f"  made {', '.join(made)}")
        cure = "back it up where nobody else reads it: inv security.seal"
        many = "1 secret is" if len(made) == 1 else f"{len(made)} secrets are"
        console.done(f"{many} new in {store.folder} (mode 0600); {cure}")
    else:
        console.done(_nothing(store))
    return SecretsResult(str(store.folder), made, tuple(there))


def show_findings(findings: list[Finding], *, as_json: bool, settings: Settings, console: Console) -> None:
    """Say how the secrets stand; raise `SettingsError` with all findings where there are some."""
    if as_json:
        console.json({"folder": str(settings.secrets_folder), "findings": [asdict(one) for one in findings]})
    if findings:
        raise SettingsError(f"the secrets have {len(findings)} faults", findings=findings)
    console.done(f"{len(expected_files())} secrets in {settings.secrets_folder}: all well")


def show_result(result: SecretsResult | Rotation, *, as_json: bool, console: Console) -> None:
    """Give a program what was done; a person has read it already."""
    if as_json:
        console.json(asdict(result))


def require_one_way(settings: Settings, *, check: bool, rotate: str, finish: str) -> None:
    """Raise `UsageError` for flags that exclude one another, or for development."""
    require_production(settings)
    if [check, bool(rotate), bool(finish)].count(True) > 1:
        raise UsageError("--check, --rotate and --finish exclude one another", cure="Give one of them.")


def require_production(settings: Settings) -> None:
    """Raise `UsageError` where there are no secret files."""
    if settings.environment != "prod":
        raise UsageError("development has no secret files", cure="Its passwords stand in env/.env.development.")


def check_secrets(settings: Settings, now: datetime | None = None) -> list[Finding]:
    """Find everything that is wrong with production's secrets, all at once."""
    store, plain = Store(settings.secrets_folder), settings.variables.plain()
    findings = folder_findings(store.folder)
    if findings:
        return findings
    there = store.files()
    unreadable = [
        Finding(str(store.folder / name), "cannot be read", "Look at its owner and mode.")
        for name in expected_files()
        if name not in there and (store.folder / name).exists()
    ]
    given = {name for name in PRODUCTION_SECRETS if plain[name]}
    missing = [
        Finding(str(store.folder / name), "missing", _MAKE)
        for name in expected_files()
        if name not in there and name not in given and not (store.folder / name).exists()
    ]
    findings = [*file_findings(store), *unreadable, *missing]
    passwords = {name: plain[name] or store.text(name) for name in PRODUCTION_SECRETS if plain[name] or name in there}
    findings += _weak(store, passwords)
    return [*findings, *_certificates(store, at=now or datetime.now(UTC))]


def secret_warnings(settings: Settings, now: datetime | None = None) -> list[Finding]:
    """Find the databases' certificates that will expire soon: everything works still."""
    store, today = Store(settings.secrets_folder), now or datetime.now(UTC)
    wrong = {one.where for one in _certificates(store, at=today)}
    return [one for one in _certificates(store, at=today + _SOON) if one.where not in wrong]


def _weak(store: Store, passwords: Mapping[str, str]) -> list[Finding]:
    cure = "Remove the file and run inv security.secrets; once a database knows it: --rotate NAME."
    findings, users = [], defaultdict(list)
    for name, value in passwords.items():
        where = str(store.folder / name)
        users[value].append(name)
        if _PLACEHOLDER.search(value):
            findings.append(Finding(where, "a placeholder, not a secret", cure))
        elif len(value) < _FEWEST_CHARACTERS:
            findings.append(Finding(where, f"shorter than {_FEWEST_CHARACTERS} characters", cure))
    for first, *others in users.values():
        findings += [Finding(str(store.folder / name), f"the same as {first}", cure) for name in others]
    return findings


def _certificates(store: Store, *, at: datetime) -> list[Finding]:
    """Find certificates of the databases that are no longer valid at a time, or that our own authority did not sign."""
    raw = store.read(f"{AUTHORITY}.pem")
    if not raw:
        return []
    findings = []
    cure = "Remove it and run inv security.secrets, then inv deploy.prod and inv deploy.restart --svc {}."
    try:
        authority = x509.load_pem_x509_certificate(raw)
    except ValueError:
        return [Finding(str(store.folder / f"{AUTHORITY}.pem"), "no certificate in PEM form", "Restore it.")]
    if authority.not_valid_after_utc < at:  # nothing that it signed outlives it
        return [Finding(str(store.folder / f"{AUTHORITY}.pem"), _ending(authority), _ALL_ANEW)]
    for name, path in {**{one: f"tls/{one}.crt" for one in SERVERS}, EXPORTER: f"tls/{EXPORTER}.pem"}.items():
        where, mend = str(store.folder / path), cure.format(name)
        content = store.read(path)
        if not content:
            continue
        try:
            certificate = x509.load_pem_x509_certificate(content)
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            findings.append(Finding(where, f"no certificate that {AUTHORITY} signed", mend))
            continue
        if certificate.not_valid_after_utc < at:
            findings.append(Finding(where, _ending(certificate), mend))
    return findings


def _ending(certificate: x509.Certificate) -> str:
    return f"valid until {certificate.not_valid_after_utc:%Y-%m-%d} only"


def secret_folders(settings: Settings, images: Mapping[str, str]) -> dict[str, dict[str, VolumeFile]]:
    """Give the files of the volume `secrets`, a folder to each user; `images` are the variables of `images.env`.

    Raises `SettingsError` with every secret that is missing.
    """
    return render(material(settings, images))


def material(settings: Settings, images: Mapping[str, str]) -> Material:
    """Read all that the files of containers are made of."""
    require_production(settings)
    store, plain = Store(settings.secrets_folder), settings.variables.plain()
    files = {name: store.read(name) or b"" for name in expected_files() if name not in PRODUCTION_SECRETS}
    missing = [name for name in PRODUCTION_SECRETS if not plain[name]] + [name for name in files if not files[name]]
    if missing:
        findings = [Finding(str(store.folder / name), "missing", _MAKE) for name in missing]
        raise SettingsError("production's secrets are not complete", findings=findings)
    passwords = {name: plain[name] for name in PRODUCTION_SECRETS}
    logins = {name: login_of(store, name, passwords[name]) for name in PRODUCTION_SECRETS}
    return Material(
        variables=settings.variables.public() | dict(images),
        passwords=passwords,
        files=files,
        also_valid={name: old for name in PRODUCTION_SECRETS if (old := store.text(f"{name}.old"))},
        logins={name: login for name, login in logins.items() if login},
    )


def rotations(store: Store) -> dict[str, dict[str, str]]:
    """Read which login has which password, told by the password's fingerprint."""
    found: dict[str, dict[str, str]] = json.loads(store.text(ROTATIONS) or "{}")
    return found


def login_of(store: Store, name: str, password: str) -> str:
    """Give the login that a rotation gave this password; empty where it is the first one.

    The password itself says whose it is, so that a file that is renamed changes both at once.
    """
    return rotations(store).get(name, {}).get(fingerprint(password), "")


def fingerprint(password: str) -> str:
    """Tell one random password from another without telling it."""
    return hashlib.sha256(f"cotai:{password}".encode()).hexdigest()[:16]


def _nothing(store: Store) -> str:
    return f"nothing to do: every secret is in {store.folder}"
