"""Every variable of an env file: its name, its type, its default."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

PRODUCTION_SECRETS = (
    "POSTGRES_PASSWORD",
    "POSTGRES_SUPERUSER_PASSWORD",
    "MONGODB_PASSWORD",
    "MONGODB_ROOT_PASSWORD",
    "REDIS_PASSWORD",
    "REDIS_CACHE_PASSWORD",
    "REDIS_ADMIN_PASSWORD",
    "MONITOR_PASSWORD",
    "ADMIN_PASSWORD",
)
"""What production keeps in a file each, never in the env file."""
DEVELOPMENT_SECRETS = (
    "POSTGRES_PASSWORD",
    "POSTGRES_SUPERUSER_PASSWORD",
    "MONGODB_PASSWORD",
    "REDIS_PASSWORD",
    "REDIS_CACHE_PASSWORD",
    "ADMIN_PASSWORD",
    "S3_SECRET_KEY",
)


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


def _url(value: str) -> str:
    if "," in value:
        raise ValueError("must be one http:// or https:// URL")
    return _urls(value)


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


def _names(value: str) -> str:
    for name in value.split():
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name):
            raise ValueError("must be host names in small letters, separated by blanks")
    return value


def _database(value: str) -> str:
    if value in {"postgres", "template0", "template1"}:
        raise ValueError("must not be one of the server's own databases: no backup holds them")
    return value


def _network(value: str) -> str:
    try:
        network = IPv4Network(value)
    except ValueError as error:
        raise ValueError("must be an IPv4 network such as 10.255.255.0/28") from error
    if not network.is_private:
        raise ValueError("must be a private network")
    return value


def _store(value: str) -> str:
    if "://" in value and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/[\w./-]*)?", value):
        raise ValueError("must be a folder, or s3://BUCKET/PREFIX")
    return value


def _password(value: SecretStr) -> SecretStr:
    if value.get_secret_value() and not re.fullmatch(r"[\w-]+", value.get_secret_value(), re.ASCII):
        raise ValueError("only letters, digits, - and _ (it becomes part of URLs)")
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="a name of a-z, 0-9 and _")]
Database = Annotated[Name, AfterValidator(_database)]
Repository = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/:-]*$", description="an image name in small letters")]
Tag = Annotated[str, Field(pattern=r"^\w[\w.-]{0,127}$", description="an image tag")]
Memory = Annotated[str, Field(pattern=r"^[1-9]\d*[mg]$", description="a size such as 512m or 6g")]
Module = Annotated[str, AfterValidator(_module)]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Names = Annotated[str, AfterValidator(_names)]
Url = Annotated[str, AfterValidator(_url)]
Urls = Annotated[str, AfterValidator(_urls)]
UrlPath = Annotated[str, AfterValidator(_path)]
Password = Annotated[SecretStr, AfterValidator(_password)]
Keep = Annotated[
    str,
    Field(
        pattern=r"^((last|hourly|daily|weekly|monthly|yearly)=\d+( +|$))+$",
        description="counts such as last=3 daily=7 weekly=4 monthly=12 yearly=3",
    ),
]
Replicas = Annotated[int, Field(ge=0, le=64)]
_NONE = SecretStr("")


class Variables(BaseModel):
    """Every variable of an env file, by its name. The comments in the files of `env/` say what each is for."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    COTAI_IMAGES: Literal["auto", "upstream", "offline"] = "auto"
    COTAI_REPOSITORY: Repository = "cotai"
    COTAI_TAG: Tag = "dev"
    COTAI_GPU: bool = False
    COTAI_SIZE: Literal["small", "medium", "large"] = "medium"
    COTAI_SECRETS: str = "env/secrets"
    COTAI_EVALUATION: bool = False
    BUILD_CA_FILE: str = ""
    BUILD_PACKAGES: str = ""
    RUNTIME_PACKAGES: str = ""

    APP_CONTEXT: str = "docker/reference/backend"
    APP_ENV_FILE: str = ""
    APP_MODULE: Module = "app.main:app"
    APP_HEALTH_PATH: UrlPath = "/health/ready"
    APP_LIVE_PATH: UrlPath = "/health/live"
    APP_SECRETS: Literal["files", "environment"] = "files"
    CELERY_APP: Module = "app.worker:celery_app"
    CELERY_QUEUES: str = ""
    CELERY_AI_QUEUES: str = ""
    BACKEND_REPLICAS: Replicas = 0
    WORKER_REPLICAS: Replicas = 0
    MIGRATE_COMMAND: str = "alembic upgrade head"
    SEED_COMMAND: str = "python -m app.seed"
    LLM_CONTEXT: str = "docker/reference/llm"
    LLM_MODULE: Module = "gateway.main:app"
    LLM_MODEL: str = "smollm2:135m"
    LLM_FALLBACK_MODELS: str = ""
    LLM_MEMORY: Memory = "2g"
    LLM_CPUS: Annotated[float, Field(gt=0)] = 2
    LLM_SERVERS: Urls = "http://ollama:11434"
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    OTEL_EXPORTER_OTLP_ENDPOINT: Url = ""

    POSTGRES_DB: Database = "cotai"
    POSTGRES_USER: Name = "cotai"
    POSTGRES_PASSWORD: Password = _NONE
    POSTGRES_SUPERUSER_PASSWORD: Password = _NONE
    MONGODB_USER: Name = "cotai"
    MONGODB_PASSWORD: Password = _NONE
    MONGODB_ROOT_PASSWORD: Password = _NONE
    REDIS_PASSWORD: Password = _NONE
    REDIS_CACHE_PASSWORD: Password = _NONE
    REDIS_ADMIN_PASSWORD: Password = _NONE
    MONITOR_PASSWORD: Password = _NONE
    ADMIN_USER: Name = "admin"
    ADMIN_PASSWORD: Password = _NONE
    S3_ACCESS_KEY: Name = "cotai"
    S3_SECRET_KEY: Password = _NONE

    SERVER_NAME: Names = ""
    TLS_PROFILE: Literal["intermediate", "modern"] = "intermediate"
    ACME_EMAIL: str = ""
    ACME_DIRECTORY: Url = "https://acme-v02.api.letsencrypt.org/directory"
    ALERT_WEBHOOK_URL: Url = ""

    BACKUP_STORE: Annotated[str, AfterValidator(_store)] = "backups"
    BACKUP_KEEP: Keep = "last=3 daily=7 weekly=4 monthly=12 yearly=3"
    BACKUP_MIN_KEEP: Annotated[int, Field(ge=1)] = 3
    BACKUP_IDENTITY: str = ""
    BACKUP_WEBHOOK_URL: Url = ""
    DEPLOY_WEBHOOK_URL: Url = ""
    BACKUP_S3_ENDPOINT: Url = ""
    BACKUP_S3_REGION: str = ""
    BACKUP_S3_PATH_STYLE: bool = False
    BACKUP_S3_STORAGE_CLASS: str = ""
    BACKUP_S3_LOCK_DAYS: Annotated[int, Field(ge=0)] = 0
    BACKUP_S3_LOCK_MODE: Literal["GOVERNANCE", "COMPLIANCE"] = "GOVERNANCE"
    BACKUP_S3_ENCRYPTION: Literal["", "AES256", "aws:kms"] = ""
    BACKUP_S3_KMS_KEY: str = ""
    BACKUP_S3_CHECKSUMS: Literal["when_supported", "when_required"] = "when_supported"

    BIND_ADDRESS: Address = "127.0.0.1"
    PROBE_SUBNET: Network = "10.255.255.0/28"
    HTTP_PORT: Port = 80
    HTTPS_PORT: Port = 443
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
        """Give every variable as text, secrets in clear."""
        return {name: _text(value) for name, value in self}

    def public(self) -> dict[str, str]:
        """Give every variable that is no secret as text."""
        return {name: _text(value) for name, value in self if not isinstance(value, SecretStr)}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)
