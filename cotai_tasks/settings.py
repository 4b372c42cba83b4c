"""What a stack is made from: read from every layer, validated all at once, then frozen.

Later layers win: the defaults below, the env file, `cotai.variables` of `invoke.yaml`, the process environment.
"""

from __future__ import annotations

import re
from collections import defaultdict
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from cotai_tasks.envfile import EnvFile, read_env_file
from cotai_tasks.errors import Finding, SettingsError, UsageError, nearest
from cotai_tasks.files import find_file, stack_files

if TYPE_CHECKING:
    from collections.abc import Mapping

Environment = Literal["dev", "prod"]
ENVIRONMENTS: tuple[Environment, ...] = get_args(Environment)
FILE_NAMES: dict[Environment, str] = {"dev": "env/.env.development", "prod": "env/.env.production"}

_PLACEHOLDERS = re.compile(r"change[-_]?me|placeholder|example|^secret$|^password$|-development$", re.IGNORECASE)
_MIN_PASSWORD = 16
"""Characters of a production password: 16 random letters and digits are about 95 bits."""


def _module(value: str) -> str:
    if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", value):
        raise ValueError("must look like package.module:name")
    return value


def _address(value: str) -> str:
    try:
        IPv4Address(value)
    except ValueError as error:
        raise ValueError("must be an IPv4 address") from error
    return value


def _urls(value: str) -> str:
    for url in filter(None, value.split(",")):
        try:
            TypeAdapter(AnyHttpUrl).validate_python(url)
        except ValidationError as error:
            raise ValueError("must be http:// or https:// URLs, separated by commas") from error
    return value


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("must begin with /")
    return value


def _password(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise ValueError("empty")
    if not re.fullmatch(r"[\w-]+", value.get_secret_value(), re.ASCII):
        raise ValueError("only letters, digits, - and _ (it becomes part of URLs)")
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="a name of a-z, 0-9 and _")]
Repository = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/:-]*$", description="an image name in small letters")]
Tag = Annotated[str, Field(pattern=r"^\w[\w.-]{0,127}$", description="an image tag")]
Memory = Annotated[str, Field(pattern=r"^[1-9]\d*[mg]$", description="a size such as 512m or 6g")]
Module = Annotated[str, AfterValidator(_module)]
Address = Annotated[str, AfterValidator(_address)]
Urls = Annotated[str, AfterValidator(_urls)]
UrlPath = Annotated[str, AfterValidator(_path)]
Password = Annotated[SecretStr, AfterValidator(_password)]


class Variables(BaseModel):
    """Every variable of an env file, by its name. The comments in `env/.env.development` say what each is for."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    COTAI_IMAGES: Literal["auto", "upstream", "offline"] = "auto"
    COTAI_REPOSITORY: Repository = "cotai"
    COTAI_TAG: Tag = "dev"
    COTAI_GPU: bool = False
    BUILD_CA_FILE: str = ""
    BUILD_PACKAGES: str = ""
    RUNTIME_PACKAGES: str = ""

    APP_CONTEXT: str = "docker/reference/backend"
    APP_ENV_FILE: str = ""
    APP_MODULE: Module = "app.main:app"
    APP_HEALTH_PATH: UrlPath = "/health/ready"
    APP_LIVE_PATH: UrlPath = "/health/live"
    CELERY_APP: Module = "app.worker:celery_app"
    MIGRATE_COMMAND: str = "alembic upgrade head"
    LLM_CONTEXT: str = "docker/reference/llm"
    LLM_MODULE: Module = "gateway.main:app"
    LLM_MODEL: str = "smollm2:135m"
    LLM_FALLBACK_MODELS: str = ""
    LLM_MEMORY: Memory = "2g"
    LLM_CPUS: Annotated[float, Field(gt=0)] = 2
    LLM_SERVERS: Urls = "http://ollama:11434"
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    OTEL_EXPORTER_OTLP_ENDPOINT: Urls = ""

    POSTGRES_DB: Name = "cotai"
    POSTGRES_USER: Name = "cotai"
    POSTGRES_PASSWORD: Password
    POSTGRES_SUPERUSER_PASSWORD: Password
    MONGODB_USER: Name = "cotai"
    MONGODB_PASSWORD: Password
    REDIS_PASSWORD: Password
    REDIS_CACHE_PASSWORD: Password
    ADMIN_USER: Name = "admin"
    ADMIN_PASSWORD: Password
    S3_ACCESS_KEY: Name = "cotai"
    S3_SECRET_KEY: Password

    BIND_ADDRESS: Address = "127.0.0.1"
    BACKEND_PORT: Port = 8000
    LLM_PORT: Port = 8001
    OLLAMA_PORT: Port = 11434
    FLOWER_PORT: Port = 5555
    POSTGRES_PORT: Port = 5432
    MONGODB_PORT: Port = 27017
    REDIS_PORT: Port = 6379
    REDIS_CACHE_PORT: Port = 6380
    PROMETHEUS_PORT: Port = 9090
    ALERTMANAGER_PORT: Port = 9093
    GRAFANA_PORT: Port = 3000
    ADMINER_PORT: Port = 8080
    MONGO_EXPRESS_PORT: Port = 8081
    REDIS_COMMANDER_PORT: Port = 8082
    S3_PORT: Port = 8333

    def ports(self) -> dict[str, int]:
        """Give every published port by the name of its variable."""
        return {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_PORT")}

    def plain(self) -> dict[str, str]:
        """Give every variable as the text that Compose interpolates, secrets in clear."""
        return {name: _text(value) for name, value in self}


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
    file = _read(directory, environment, env_file)
    findings = list(file.findings)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", project):
        findings.append(
            Finding("cotai.project", f"{project!r} is no Compose project name", "Use a-z, 0-9, - and _ only.")
        )
    values: dict[str, object] = dict(file.values)
    sources = {name: file.where(name) for name in values}
    known = Variables.model_fields.keys()
    for name, value in (overrides or {}).items():
        values[name] = value if isinstance(value, bool) else str(value)
        sources[name] = f"cotai.variables.{name}"
    for name in known & environ.keys():
        values[name] = environ[name]
        sources[name] = f"environment variable {name}"
    if not values.get("BUILD_CA_FILE"):
        values["BUILD_CA_FILE"] = _ca_bundle(environ)
    variables, wrong = _validate(values, sources, file)
    home = stack_files(directory)
    settings = Settings(
        environment=environment,
        project=project,
        directory=directory,
        home=home,
        variables=variables,
        upstream_images=_images(home / "docker/images.env", environ),
        offline_images=_images(home / "docker/offline/images.env", environ),
    )
    findings += [*wrong, *_cross_check(variables, sources, environment), *_missing_paths(settings, sources)]
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


def _read(directory: Path, environment: Environment, env_file: str) -> EnvFile:
    name = env_file or FILE_NAMES[environment]
    path = directory / name if env_file else find_file(directory, name)
    if not path.is_file():
        cure = f"Restore it (git checkout {name}) or name another: INVOKE_COTAI_ENV_FILE=path."
        raise SettingsError(f"{name}: no such file in {directory}", cure=cure)
    return read_env_file(path, name)


def _validate(
    values: Mapping[str, object], sources: Mapping[str, str], file: EnvFile
) -> tuple[Variables, list[Finding]]:
    """Validate each variable; a stand-in takes the place of what is wrong, so that the rest can be checked as well."""
    try:
        return Variables.model_validate(values), []
    except ValidationError as error:
        faults = error.errors(include_url=False)
    wrong = {str(fault["loc"][0]) for fault in faults}
    right = {name: value for name, value in values.items() if name not in wrong}
    fields = Variables.model_fields
    stand_ins = {name: "-" * _MIN_PASSWORD for name in wrong & fields.keys() if fields[name].is_required()}
    return Variables.model_validate(right | stand_ins), [_finding(dict(fault), sources, file) for fault in faults]


def _finding(fault: dict[str, Any], sources: Mapping[str, str], file: EnvFile) -> Finding:
    """Translate one of pydantic's errors into file, line, fault and cure."""
    name = str(fault["loc"][0])
    where = sources.get(name, file.where(name))
    known = Variables.model_fields
    match fault["type"]:
        case "extra_forbidden":
            hint = nearest(name, known) if nearest(name, known).startswith("Did") else ""
            return Finding(where, "unknown variable", hint or "Variables of your own go into the file APP_ENV_FILE.")
        case "missing":
            return Finding(where, "missing", f"Add a line {name}=… (see env/.env.development).")
        case "value_error":
            return Finding(where, str(fault["ctx"]["error"]), "Correct the value.")
        case "string_pattern_mismatch":
            return Finding(where, f"must be {known[name].description}", "Correct the value.")
        case _:
            return Finding(where, fault["msg"][0].lower() + fault["msg"][1:], "Correct the value.")


def _cross_check(variables: Variables, sources: Mapping[str, str], environment: Environment) -> list[Finding]:
    """Check what no variable can tell alone: ports that collide, and production's passwords."""
    findings = []
    users = defaultdict(list)
    for name, port in variables.ports().items():
        users[port].append(name)
    for port, names in users.items():
        findings += [
            Finding(sources.get(name, name), f"port {port} is also {names[0]}", "Give each service its own port.")
            for name in names[1:]
        ]
    if environment == "prod":
        for name, value in variables:
            if isinstance(value, SecretStr):
                findings += _weak(sources.get(name, name), value.get_secret_value())
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
        Finding(sources.get(name, name), f"no such folder: {path}", "Name the folder that holds the code.")
        for name, path in folders.items()
        if not path.is_dir()
    ] + [
        Finding(sources.get(name, name), f"no such file: {path}", cures[name])
        for name, path in files.items()
        if path and not path.is_file()
    ]


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)
