"""Settings of the backend: read once from the environment, validated, then frozen."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

# Kept out of `repr`, and therefore out of logs: these URLs carry passwords.
SecretUrl = Annotated[str, Field(repr=False, pattern=r"^[a-z][a-z0-9+]*://.+")]


class Settings(BaseModel):
    """Everything that may differ between two deployments; each field is the variable of the same name."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: SecretUrl
    mongodb_url: SecretUrl
    celery_broker_url: SecretUrl
    celery_result_backend: SecretUrl
    cache_url: SecretUrl

    llm_url: str = "http://llm-service:8001"
    llm_model: str = "smollm2:135m"
    llm_timeout_s: float = Field(default=330, gt=0, description="Longest wait for one answer of the model.")

    # Connections per process: (pool size + overflow) x processes must stay below max_connections of PostgreSQL.
    db_pool_size: int = Field(default=5, ge=1)
    db_max_overflow: int = Field(default=2, ge=0)

    draft_retries: int = Field(default=5, ge=0, description="Retries of a draft before its tender has failed.")
    stuck_after_s: int = Field(default=1200, ge=60, description="A tender silent for this long is queued again.")

    cotai_version: str = "dev"

    @property
    def sqlalchemy_url(self) -> str:
        """The database URL with its driver named: SQLAlchemy would take psycopg 2 for a bare `postgresql://`."""
        return sqlalchemy_url(self.database_url)


def sqlalchemy_url(database_url: str) -> str:
    """Name psycopg 3 as the driver of a PostgreSQL URL; it serves asynchronous and synchronous code alike."""
    scheme, rest = database_url.split("://", 1)
    return f"postgresql+psycopg://{rest}" if scheme in {"postgres", "postgresql"} else database_url


def variable(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Value of `NAME`, or the contents of the file that `NAME_FILE` names (how secrets arrive); empty when unset."""
    if path := environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environ.get(name, "")


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read and validate all settings; an empty variable counts as unset.

    Raises:
        pydantic.ValidationError: naming every missing or wrong variable at once, never a value.
        OSError: when a `NAME_FILE` cannot be read.

    """
    values: dict[str, Any] = {field: variable(field.upper(), environ) for field in Settings.model_fields}
    return Settings(**{field: value for field, value in values.items() if value})


@cache
def settings() -> Settings:
    """Give this process's settings. Read at first use, so that modules can be imported without an environment."""
    return read_settings()
