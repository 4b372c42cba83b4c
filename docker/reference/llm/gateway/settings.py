"""Settings of the gateway: read once from the environment, validated, then frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Everything that may differ between two deployments."""

    servers: tuple[str, ...]
    model: str
    fallback_models: tuple[str, ...] = ()
    cache_url: str = field(default="", repr=False)
    cache_ttl_s: int = 86_400
    timeout_s: float = 300

    @property
    def models(self) -> tuple[str, ...]:
        """The models to try, best first."""
        return (self.model, *self.fallback_models)


def variable(name: str, default: str = "", environ: Mapping[str, str] = os.environ) -> str:
    """Value of `NAME`, or the contents of the file that `NAME_FILE` names (how secrets arrive)."""
    if path := environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environ.get(name) or default


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read all settings.

    Raises:
        ValueError: naming the variable that is wrong.

    """
    servers = _listed(variable("LLM_SERVERS", "http://ollama:11434", environ))
    for server in servers:
        if not server.startswith(("http://", "https://")):
            msg = f"LLM_SERVERS: {server!r} is not an http:// or https:// address"
            raise ValueError(msg)
    return Settings(
        servers=tuple(server.rstrip("/") for server in servers),
        model=variable("LLM_MODEL", "smollm2:135m", environ),
        fallback_models=_listed(variable("LLM_FALLBACK_MODELS", "", environ)),
        cache_url=variable("CACHE_URL", "", environ),
        cache_ttl_s=int(_number("LLM_CACHE_TTL_S", "86400", environ)),
        timeout_s=_number("LLM_TIMEOUT_S", "300", environ),
    )


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _number(name: str, default: str, environ: Mapping[str, str]) -> float:
    value = variable(name, default, environ)
    try:
        return float(value)
    except ValueError:
        msg = f"{name}: {value!r} is not a number"
        raise ValueError(msg) from None
