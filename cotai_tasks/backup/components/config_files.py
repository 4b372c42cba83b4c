"""Which files a stack is made from, how they lie in an archive, and where they belong on this host."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

from cotai_tasks.errors import Finding, IntegrityError, RefusedError
from cotai_tasks.files import packaged_files, replace_file
from cotai_tasks.settings import FILE_NAMES
from cotai_tasks.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.backup.components.base import Site
    from cotai_tasks.settings import Settings

SECRETS = "env/secrets"
"""Where the secrets are in the archive, wherever their folder is on this host."""
APPLICATION = "env/application.env"
"""The application's own env file (APP_ENV_FILE) in the archive: it may hold secrets."""
COMPOSE, IMAGES = "compose.json", "images.json"
"""What Compose makes of all this, and the images: for a person who builds the stack without this tool."""

_OVERRIDING = ("docker", "nginx")
_TEAM = "invoke.yaml"
_PLACING = ("COTAI_SECRETS", "APP_ENV_FILE")
"""The variables that say where files belong."""
_TOKENS = ("ALERT_WEBHOOK_URL", "BACKUP_WEBHOOK_URL", "DEPLOY_WEBHOOK_URL")
"""Variables of the env file whose values open a door to whoever reads them."""
_TOKEN_LINE = re.compile(rf"(?m)^([^=\n]*\b(?:{'|'.join(_TOKENS)})\b['\"]?[ \t]*=)[^\r\n]*".encode())


@dataclass(frozen=True, repr=False)
class ConfigFile:
    """One file of the archive."""

    content: bytes
    mode: int = 0o644

    @property
    def digest(self) -> str:
        """Give its SHA-256."""
        return hashlib.sha256(self.content).hexdigest()


def collect(site: Site, *, encrypted: bool) -> dict[str, ConfigFile]:
    """Read everything that this stack is made from, by its path in the archive; secrets only where it is encrypted."""
    paths = own_files(site.settings)
    if encrypted:
        paths |= secret_files(site.settings)
    found = {name: ConfigFile(path.read_bytes(), _mode(name, path)) for name, path in paths.items()}
    found[COMPOSE] = _json(_compose(site))
    found[IMAGES] = _json(_images(site))
    if not encrypted:
        found = {name: _without_tokens(name, file, site.settings) for name, file in found.items()}
    return dict(sorted(found.items()))


def own_files(settings: Settings) -> dict[str, Path]:
    """Give the files of the project that hold no secret, the package's own left out."""
    directory, packaged = settings.directory, packaged_files()
    found = {}
    ours = settings.env_file.is_relative_to(packaged) and not settings.env_file.is_relative_to(directory)
    if settings.env_file.is_file() and not ours:
        found[FILE_NAMES[settings.environment]] = settings.env_file
    if (directory / _TEAM).is_file():
        found[_TEAM] = directory / _TEAM
    if directory.samefile(packaged):
        return found
    overriding = [
        one for root in _OVERRIDING for one in directory.glob(f"{root}/*") if (packaged / root / one.name).exists()
    ]
    return found | {path.relative_to(directory).as_posix(): path for one in overriding for path in _files(one)}


def secret_files(settings: Settings) -> dict[str, Path]:
    """Give the files that may hold secrets; the key that signs backups leaves its host in none of them."""
    named, folder = settings.variables.APP_ENV_FILE, settings.secrets_folder
    found = {APPLICATION: settings.directory / named} if named else {}
    if settings.environment == "prod":
        found |= {f"{SECRETS}/{path.relative_to(folder).as_posix()}": path for path in _files(folder)}
    return {name: path for name, path in found.items() if name != f"{SECRETS}/backup/signing.key"}


def is_secret(name: str) -> bool:
    """Tell whether nothing of a file may be told but its name."""
    return name == APPLICATION or name.startswith(f"{SECRETS}/")


def pack(files: Mapping[str, ConfigFile]) -> bytes:
    """Put files into a tar archive; the same files give the same bytes."""
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, file in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(file.content), file.mode
            archive.addfile(member, io.BytesIO(file.content))
    return paper.getvalue()


def unpack(content: bytes) -> dict[str, ConfigFile]:
    """Read an archive; `IntegrityError` for a path that leads elsewhere, a link, a device, or what is no archive."""
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                file = archive.extractfile(member) if member.isreg() else None
                if file is None or path.is_absolute() or ".." in path.parts or not _belongs(path):
                    raise IntegrityError(f"config: {member.name} does not belong there", cure="Nothing was restored.")
                found[str(path)] = ConfigFile(file.read(), member.mode & 0o777)
    except tarfile.TarError as error:
        raise IntegrityError(f"config: this is no archive of files ({error})") from error
    return found


def read_file(path: Path) -> ConfigFile:
    """Read one file."""
    return ConfigFile(path.read_bytes(), path.stat().st_mode & 0o777)


def write_file(path: Path, file: ConfigFile) -> None:
    """Write one file in one step, in the place of an older one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, file.content, file.mode)


def places(files: Mapping[str, ConfigFile], settings: Settings) -> dict[Path, ConfigFile]:
    """Say where each file belongs: as this host's env file says, or where it has none, that of the archive.

    What is only to be read by people has no place. Raises `RefusedError` for a file that has none though it needs one,
    and for a place that a link leads out to.
    """
    settings = _settled(files, settings)
    wanted = {name: _place(name, settings) for name in files if name not in {COMPOSE, IMAGES}}
    cure = f"Set APP_ENV_FILE in {settings.env_file}, to where the application's own variables shall be."
    homeless = [Finding(name, "the settings name no place for it", cure) for name, path in wanted.items() if not path]
    if homeless:
        raise RefusedError("config: not every file has a place here", cure="Nothing was restored.", findings=homeless)
    found = {path: files[name] for name, path in wanted.items() if path}
    for path in found:
        _require_inside(path, settings)
    return found


def _files(top: Path) -> list[Path]:
    """Give a file, or those below a folder; hidden ones are somebody's on the way."""
    below = sorted(
        path for path in top.rglob("*") if not any(part.startswith(".") for part in path.relative_to(top).parts)
    )
    return [path for path in (top, *below) if path.is_file() and not path.is_symlink()]


def _mode(name: str, path: Path) -> int:
    return 0o600 if is_secret(name) else path.stat().st_mode & 0o777


def _compose(site: Site) -> dict[str, Any]:
    """Give the rendered project, less the application's own variables, which Compose copies into each service."""
    named = site.settings.variables.APP_ENV_FILE
    own = dotenv_values(site.settings.directory / named, interpolate=False) if named else {}
    config = site.stack.rendered
    services = {
        name: raw | {"environment": {key: value for key, value in raw["environment"].items() if key not in own}}
        if raw.get("environment")
        else raw
        for name, raw in config["services"].items()
    }
    return config | {"services": services}


def _images(site: Site) -> dict[str, dict[str, str]]:
    found = site.engine.images(*dict.fromkeys(one.image for one in site.stack.services.values()))
    return {
        name: {"image": one.image, "id": found[one.image].id if one.image in found else ""}
        for name, one in site.stack.services.items()
    }


def _without_tokens(name: str, file: ConfigFile, settings: Settings) -> ConfigFile:
    """Blank the addresses that only their owner may post to, wherever one stands; in the env file old ones too."""
    content = file.content
    for token in _TOKENS:
        if value := settings.variables.plain()[token]:
            content = content.replace(value.encode(), b"")
    if name in FILE_NAMES.values():
        content = _TOKEN_LINE.sub(rb"\1", content)
    return ConfigFile(content, file.mode)


def _settled(files: Mapping[str, ConfigFile], settings: Settings) -> Settings:
    """Give the settings by which files are placed: without an env file at hand, as that of the archive says.

    What was set for this process, and so is not the default, wins over that as it always does.
    """
    packed = files.get(FILE_NAMES[settings.environment])
    if settings.env_file.is_file() or packed is None:
        return settings
    named = dotenv_values(stream=io.StringIO(packed.content.decode(errors="replace")), interpolate=False)
    found = {
        name: value
        for name in _PLACING
        if (value := named.get(name)) and getattr(settings.variables, name) == Variables.model_fields[name].default
    }
    for name, value in found.items():
        path = settings.directory / Path(re.sub("^/+", "/", value)).expanduser()
        if ".." in path.parts or settings.directory.resolve().is_relative_to(path.resolve()):
            raise RefusedError(
                f"config: {name}={value} in the archive is no place for files",
                cure=f"Name one for this command: {name}=… inv backup.restore …",
            )
    return settings.model_copy(update={"variables": settings.variables.model_copy(update=found)})


def _json(value: object) -> ConfigFile:
    return ConfigFile(json.dumps(value, indent=2, sort_keys=True).encode() + b"\n")


def _belongs(path: PurePosixPath) -> bool:
    """Tell whether a backup of ours can hold such a path."""
    single = {*FILE_NAMES.values(), APPLICATION, _TEAM, COMPOSE, IMAGES}
    return str(path) in single or any(path.is_relative_to(root) for root in (SECRETS, *_OVERRIDING))


def _place(name: str, settings: Settings) -> Path | None:
    if name == FILE_NAMES[settings.environment]:
        return settings.env_file  # wherever whoever runs this command has it
    if name == APPLICATION:
        named = settings.variables.APP_ENV_FILE
        return settings.directory / named if named else None
    if name.startswith(f"{SECRETS}/"):
        return settings.secrets_folder / name.removeprefix(f"{SECRETS}/")
    return settings.directory / name


def _require_inside(path: Path, settings: Settings) -> None:
    """Refuse a place that lies elsewhere than it seems to."""
    named = settings.variables.APP_ENV_FILE
    own = (settings.directory, settings.secrets_folder, settings.env_file.parent)
    roots = [*own, *([(settings.directory / named).parent] if named else [])]
    inside = any(path.parent.resolve().is_relative_to(root.resolve()) for root in roots)
    if path.is_symlink() or (path.exists() and not path.is_file()) or not inside:
        raise RefusedError(f"{path}: a link or a folder stands there", cure="Remove it, or restore that file by hand.")
