"""Production's env file and secrets as one encrypted file that may be committed: readable with `age` alone.

age --decrypt --identity KEY env/sealed/prod.tar.age | tar --extract --verbose
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pyrage  # type: ignore[import-untyped]
from dotenv import dotenv_values

from cotai_tasks.age import read_identities, read_recipients
from cotai_tasks.errors import RefusedError, SettingsError, UsageError
from cotai_tasks.security.secrets import require_production
from cotai_tasks.security.store import Store, require_fit
from cotai_tasks.settings import FILE_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings

SEALED = "env/sealed/prod.tar.age"
_ENV_FILE = FILE_NAMES["prod"]
_IN_ARCHIVE = "env/secrets"
"""Where the secrets are in the archive, wherever the folder is on this host."""
_STATE = "sealed.json"
"""In the store: what was sealed last, and for whom. An encrypted file does not tell."""


@dataclass(frozen=True)
class Unsealed:
    """What `unseal` did with each file, by its path in the archive."""

    restored: tuple[str, ...]
    same: tuple[str, ...]
    different: tuple[str, ...]
    """Left as they were, unless they were to be replaced."""


def seal(*, recipients: Sequence[str], dry_run: bool = False, settings: Settings, console: Console) -> Path:
    """Encrypt the env file and the secrets for the recipients; give the file."""
    require_production(settings)
    target, store = settings.directory / SEALED, Store(settings.secrets_folder)
    keys = read_recipients(recipients, settings.directory)
    people = "1 recipient" if len(keys) == 1 else f"{len(keys)} recipients"
    content = pack(settings.env_file, store)
    state = {"content": hashlib.sha256(content).hexdigest(), "recipients": sorted(keys), "file": _digest(target)}
    if json.loads(store.text(_STATE) or "{}") == state:
        console.done(f"nothing to do: {SEALED} holds all this for the same recipients")
        return target
    if dry_run:
        console.say(f"would seal {settings.env_file} and {len(store.files())} files of {store.folder} for {people}")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    Store(target.parent).write(target.name, pyrage.encrypt(content, [*keys.values()]))
    store.write(_STATE, json.dumps(state | {"file": _digest(target)}).encode())
    console.done(f"sealed for {people}: git add {SEALED}, then commit it")
    return target


def unseal(
    *, identity: str, yes: bool = False, env_file: str = "", secrets: str = "", directory: Path, console: Console
) -> Unsealed:
    """Restore what the sealed file holds, after a question; `env_file` and `secrets` are the places named on this host.

    Anybody who knows a recipient's public key can make such a file: it does not choose places outside the project.
    """
    source = directory / SEALED
    if not identity:
        raise UsageError("no private key is named", cure="--identity FILE is the one of a recipient.")
    if not source.is_file():
        raise UsageError(f"{SEALED}: no such file in {directory}", cure="inv security.seal makes it.")
    identities = read_identities(identity, lambda: console.password(f"Passphrase of {identity}"))
    try:
        content = pyrage.decrypt(source.read_bytes(), identities)
    except (pyrage.DecryptError, OSError) as error:
        raise SettingsError(
            f"{SEALED} was not sealed for {identity}, or is damaged",
            cure="Name the right --identity, or fetch it again.",
        ) from error
    files = _placed(unpack(content), directory, directory / (env_file or _ENV_FILE), secrets)
    found = {name: one.store.read(one.name) for name, one in files.items()}
    same = tuple(name for name, one in files.items() if found[name] == one.content)
    missing = tuple(name for name in files if found[name] is None)
    different = tuple(name for name in files if name not in same and name not in missing)
    if not missing and not different:
        console.done(f"nothing to do: {len(same)} files are as they were sealed")
        return Unsealed((), same, ())
    for verb, names in (("would make", missing), ("would replace", different)):
        for name in names:
            console.say(f"  {verb} {files[name].path}")
    if different:
        console.warn(f"other than sealed on this host: {', '.join(different)}")
    console.confirm(f"Write {len(missing) + len(different)} files as they were sealed?", yes=yes)
    for name in (*missing, *different):
        files[name].store.write(files[name].name, files[name].content)
    console.done(f"restored {', '.join((*missing, *different))}")
    return Unsealed((*missing, *different), same, different)


def pack(env_file: Path, store: Store) -> bytes:
    """Put the env file and every secret into a tar archive; the same files give the same bytes."""
    require_fit(store.folder)
    paths = {f"{_IN_ARCHIVE}/{name}": path for name, path in store.files().items() if name != _STATE}
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w") as archive:
        for name, path in {_ENV_FILE: env_file, **paths}.items():
            raw = path.read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(raw), 0o600
            archive.addfile(member, io.BytesIO(raw))
    return paper.getvalue()


def unpack(content: bytes) -> dict[str, bytes]:
    """Read the files of an archive; raise `SettingsError` for a path that leads elsewhere, a link or a device."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            inside = path == PurePosixPath(_ENV_FILE) or path.is_relative_to(_IN_ARCHIVE)
            file = archive.extractfile(member) if member.isreg() else None
            if not inside or ".." in path.parts or file is None:
                raise SettingsError(f"{SEALED}: {member.name} does not belong there", cure="Nothing was restored.")
            found[member.name] = file.read()
    return found


@dataclass(frozen=True, repr=False)
class _Place:
    """Where a file of the archive belongs on this host."""

    store: Store
    name: str
    content: bytes

    @property
    def path(self) -> Path:
        """The file itself."""
        return self.store.folder / self.name


def _placed(files: Mapping[str, bytes], directory: Path, own: Path, named: str) -> dict[str, _Place]:
    """Say where each file belongs: the folder of the secrets is named on this host, or is one of the project."""
    wanted = named or _folder_in(files[_ENV_FILE].decode()) or _IN_ARCHIVE
    secrets = Store(directory / Path(wanted).expanduser())
    known = named or (_folder_in(own.read_text()) if own.is_file() else "")
    inside = secrets.folder.resolve().is_relative_to(directory.resolve()) and ".git" not in secrets.folder.parts
    if secrets.folder.resolve() == directory.resolve() or not (
        inside or (known and directory / Path(known).expanduser() == secrets.folder)
    ):
        raise RefusedError(
            f"{SEALED} wants its secrets in {secrets.folder}, and nothing on this host names that folder",
            cure=f"If that is right, name it yourself: COTAI_SECRETS={shlex.quote(wanted)} inv security.unseal …",
        )
    require_fit(secrets.folder)
    return {
        name: _Place(Store(own.parent), own.name, content)
        if name == _ENV_FILE
        else _Place(secrets, str(PurePosixPath(name).relative_to(_IN_ARCHIVE)), content)
        for name, content in files.items()
    }


def _folder_in(env_file: str) -> str:
    return dotenv_values(stream=io.StringIO(env_file), interpolate=False).get("COTAI_SECRETS") or ""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
