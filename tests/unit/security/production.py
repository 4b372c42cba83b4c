"""Settings of a production stack made of plain data, for the tests of `security`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cotai_tasks.security.store import Store, fill
from cotai_tasks.settings import Settings
from cotai_tasks.variables import PRODUCTION_SECRETS, Variables

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, tzinfo=UTC)
IMAGES = {"MONGODB_OPTIONS": "replicaSet=rs0"}


def settings(directory: Path) -> Settings:
    """Read the store of a project as the settings do."""
    store = Store(directory / "env/secrets")
    passwords = {name: store.text(name) for name in PRODUCTION_SECRETS}
    return Settings(
        environment="prod",
        project="cotai",
        directory=directory,
        home=directory,
        env_file=directory / "env/.env.production",
        variables=Variables.model_validate(passwords | {"SERVER_NAME": "cotai.example.org"}),
        upstream_images={"PYTHON_IMAGE": "python:3", **IMAGES},
        offline_images={},
    )


def filled_settings(directory: Path) -> Settings:
    """Make a complete store, and read it."""
    fill(Store(directory / "env/secrets"), now=NOW)
    return settings(directory)
