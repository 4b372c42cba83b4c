"""What a stack is made from: read from every layer, validated all at once, then frozen.

Later layers win: the defaults below, the env file, `cotai.variables` of `invoke.yaml`, the process environment.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from cotai_tasks.envfile import EnvFile, read_env_file
from cotai_tasks.errors import Finding, SettingsError, UsageError, nearest
from cotai_tasks.files import find_file, stack_files
from cotai_tasks.variables import DEVELOPMENT_SECRETS, PRODUCTION_SECRETS, Variables

if TYPE_CHECKING:
    from collections.abc import Mapping

Environment = Literal["dev", "prod"]
ENVIRONMENTS: tuple[Environment, ...] = get_args(Environment)
FILE_NAMES: dict[Environment, str] = {"dev": "env/.env.development", "prod": "env/.env.production"}

_PLACEHOLDERS = re.compile(r"change[-_]?me|placeholder|example|^secret$|^password$|-development$", re.IGNORECASE)
_MIN_PASSWORD = 16
"""Characters of a production password: 16 random letters and digits are about 95 bits."""


class Settings(BaseModel):
    """One environment of one project: its variables and where its files are."""

    model_config = ConfigDict(frozen=True)

    environment: Environment
    project: str
    """The first half of the Compose project's name; `cotai` gives `cotai-dev` and `cotai-prod`."""
    directory: Path
    """The user's project: where `tasks.py`, `env/` and the application are."""
    home: Path
    """The folder that holds `docker/`: the project itself, the package's own files, or both merged."""
    env_file: Path = Path()
    """The file that the variables were read from; none where they are plain data."""
    variables: Variables
    upstream_images: dict[str, str]
    """Every upstream image by its variable: `POSTGRES_IMAGE` → `postgres:17.6`."""
    offline_images: dict[str, str]
    """The same variables, naming what `inv build.offline` makes without a registry."""

    @property
    def stack_name(self) -> str:
        """The Compose project: `cotai-dev`."""
        return f"{self.project}-{self.environment}"

    @property
    def app_context(self) -> Path:
        """The application's build context as an absolute path."""
        return self._resolve(self.variables.APP_CONTEXT)

    @property
    def llm_context(self) -> Path:
        """The gateway's build context as an absolute path."""
        return self._resolve(self.variables.LLM_CONTEXT)

    @property
    def secrets_folder(self) -> Path:
        """Where production's secrets are, a file each, as an absolute path."""
        return self.directory / Path(self.variables.COTAI_SECRETS).expanduser()

    @property
    def server_names(self) -> tuple[str, ...]:
        """The public names of the stack, the first one being its own."""
        return tuple(self.variables.SERVER_NAME.split())

    @property
    def ca_file(self) -> Path | None:
        """The bundle of certificates that builds trust, as an absolute path; None where the image's own will do."""
        name = self.variables.BUILD_CA_FILE
        return self.directory / Path(name).expanduser() if name else None

    def _resolve(self, context: str) -> Path:
        path = Path(context).expanduser()
        if path.is_absolute():
            return path
        own = self.directory / path
        return own if own.exists() else self.home / path


def load_settings(
    directory: Path,
    environment: str,
    *,
    environ: Mapping[str, str],
    project: str = "cotai",
    env_file: str = "",
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Read and validate everything at once.

    Raises `UsageError` for an unknown environment, `SettingsError` with every finding for anything else.
    """
    if environment not in ENVIRONMENTS:
        raise UsageError(f"--env {environment}: no such environment", cure=nearest(environment, ENVIRONMENTS))
    path, file = _read(directory, environment, env_file)
    findings = list(file.findings)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", project):
        findings.append(
            Finding("cotai.project", f"{project!r} is no Compose project name", "Use a-z, 0-9, - and _ only.")
        )
    values: dict[str, object] = dict(file.values)
    known = Variables.model_fields.keys()
    sources = {name: file.where(name) for name in known | values.keys()}
    for name, value in (overrides or {}).items():
        values[name] = value if isinstance(value, bool) else str(value)
        sources[name] = f"cotai.variables.{name}"
    for name in known & environ.keys():
        values[name] = environ[name]
        sources[name] = f"environment variable {name}"
    if not values.get("BUILD_CA_FILE"):
        values["BUILD_CA_FILE"] = _ca_bundle(environ)
    if environment == "prod":
        findings += _secrets_in_clear(file)
        values = _with_secret_files(values, sources, directory)
    variables, wrong = _validate(values, sources)
    home = stack_files(directory)
    settings = Settings(
        environment=environment,
        project=project,
        directory=directory,
        home=home,
        env_file=path,
        variables=variables,
        upstream_images=_images(home / "docker/images.env", environ),
        offline_images=_images(home / "docker/offline/images.env", environ),
    )
    findings += [*wrong, *_collisions(variables, sources), *_missing_paths(settings, sources)]
    findings += _production(variables, sources) if environment == "prod" else _development(values, sources)
    if findings:
        count = f"{len(findings)} faults" if len(findings) > 1 else "one fault"
        raise SettingsError(f"the settings of {project}-{environment} have {count}", findings=findings)
    return settings


def _ca_bundle(environ: Mapping[str, str]) -> str:
    """Give the certificates that this user's programs are told to trust: where they are needed, a build needs them."""
    named = (environ.get(name, "") for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))
    return next((name for name in named if name and Path(name).is_file()), "")


def _images(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ.get(name, value) for name, value in read_env_file(path, path.name).values.items()}


def _read(directory: Path, environment: Environment, env_file: str) -> tuple[Path, EnvFile]:
    name = env_file or FILE_NAMES[environment]
    path = directory / name if env_file else find_file(directory, name)
    if not path.is_file():
        restore = "inv deploy.init prod makes it" if environment == "prod" else f"Restore it (git checkout {name})"
        cure = f"{restore}, or name another: INVOKE_COTAI_ENV_FILE=path."
        raise SettingsError(f"{name}: no such file in {directory}", cure=cure)
    return path, read_env_file(path, name)


def _secrets_in_clear(file: EnvFile) -> list[Finding]:
    """Find secrets in production's env file, which is copied, mailed and committed more easily than they are."""
    return [
        Finding(file.where(name), "a secret, which does not belong here", "Remove it; inv security.secrets makes one.")
        for name in PRODUCTION_SECRETS
        if file.values.get(name)
    ]


def _with_secret_files(values: dict[str, object], sources: dict[str, str], directory: Path) -> dict[str, object]:
    """Add what the files of the secrets folder hold; the process environment, as a CI runner has it, wins."""
    folder = Path(str(values.get("COTAI_SECRETS") or Variables.model_fields["COTAI_SECRETS"].default))
    found = dict(values)
    for name in PRODUCTION_SECRETS:
        path = directory / folder.expanduser() / name
        if sources[name].startswith("environment") or not path.is_file():
            continue
        try:
            found[name] = path.read_text().strip()
        except OSError:
            continue  # the same as a missing one to whoever needs it; `security.secrets --check` tells them apart
        sources[name] = f"{folder / name}"
    return found


def _validate(values: Mapping[str, object], sources: Mapping[str, str]) -> tuple[Variables, list[Finding]]:
    """Validate each variable; what is wrong is left out, so that the rest can be checked as well."""
    try:
        return Variables.model_validate(values), []
    except ValidationError as error:
        faults = error.errors(include_url=False)
    wrong = {str(fault["loc"][0]) for fault in faults}
    right = {name: value for name, value in values.items() if name not in wrong}
    return Variables.model_validate(right), [_finding(dict(fault), sources) for fault in faults]


def _finding(fault: dict[str, Any], sources: Mapping[str, str]) -> Finding:
    """Translate one of pydantic's errors into file, line, fault and cure."""
    name = str(fault["loc"][0])
    where = sources.get(name, name)
    known = Variables.model_fields
    match fault["type"]:
        case "extra_forbidden":
            hint = nearest(name, known) if nearest(name, known).startswith("Did") else ""
            return Finding(where, "unknown variable", hint or "Variables of your own go into the file APP_ENV_FILE.")
        case "value_error":
            return Finding(where, str(fault["ctx"]["error"]), "Correct the value.")
        case "string_pattern_mismatch":
            return Finding(where, f"must be {known[name].description}", "Correct the value.")
        case _:
            return Finding(where, fault["msg"][0].lower() + fault["msg"][1:], "Correct the value.")


def _collisions(variables: Variables, sources: Mapping[str, str]) -> list[Finding]:
    """Find ports that two services want."""
    findings = []
    users = defaultdict(list)
    for name, port in variables.ports().items():
        users[port].append(name)
    for port, names in users.items():
        findings += [
            Finding(sources[name], f"port {port} is also {names[0]}", "Give each service its own port.")
            for name in names[1:]
        ]
    return findings


def _development(values: Mapping[str, object], sources: Mapping[str, str]) -> list[Finding]:
    """Find passwords that development lacks: its env file is all that it has."""
    missing = (name for name in DEVELOPMENT_SECRETS if not values.get(name))
    return [Finding(sources[name], "empty or missing", f"Set {name}.") for name in missing]


def _production(variables: Variables, sources: Mapping[str, str]) -> list[Finding]:
    """Find weak secrets and a missing name. A missing secret is told by the commands that need it."""
    plain = variables.plain()
    findings = [fault for name in PRODUCTION_SECRETS if plain[name] for fault in _weak(sources[name], plain[name])]
    if not variables.SERVER_NAME:
        cure = "Set the name that users type: SERVER_NAME=cotai.example.org"
        findings.append(Finding(sources["SERVER_NAME"], "missing", cure))
    return findings


def _weak(where: str, password: str) -> list[Finding]:
    if _PLACEHOLDERS.search(password):
        return [Finding(where, "a placeholder, not a secret", "Set a random value of your own.")]
    if len(password) < _MIN_PASSWORD:
        return [Finding(where, f"shorter than {_MIN_PASSWORD} characters", "Set a random value of your own.")]
    return []


def _missing_paths(settings: Settings, sources: Mapping[str, str]) -> list[Finding]:
    folders = {"APP_CONTEXT": settings.app_context, "LLM_CONTEXT": settings.llm_context}
    named = settings.variables.APP_ENV_FILE
    files = {"BUILD_CA_FILE": settings.ca_file, "APP_ENV_FILE": settings.directory / named if named else None}
    cures = {
        "BUILD_CA_FILE": "Name a file of PEM certificates, or leave it empty.",
        "APP_ENV_FILE": "Name the env file of the application's own variables, or leave it empty.",
    }
    return [
        Finding(sources[name], f"no such folder: {path}", "Name the folder that holds the code.")
        for name, path in folders.items()
        if not path.is_dir()
    ] + [
        Finding(sources[name], f"no such file: {path}", cures[name])
        for name, path in files.items()
        if path and not path.is_file()
    ]
