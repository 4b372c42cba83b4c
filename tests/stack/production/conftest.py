"""The production stack of these tests."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.validate.throwaway import free_ports
from tests.stack.conftest import Production, deploy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """Give a production stack with secrets and a certificate, not started yet; remove whatever is left of it."""
    folder = tmp_path_factory.mktemp("production")
    project = f"cotai-test-{uuid.uuid4().hex[:6]}"
    ports = free_ports()
    (folder / "env").write_text(
        "\n".join(
            (
                "COTAI_TAG=test",
                "COTAI_EVALUATION=true",
                f"COTAI_SECRETS={folder}/secrets",
                "SERVER_NAME=localhost",
                "BIND_ADDRESS=127.0.0.1",
                f"HTTP_PORT={ports['HTTP_PORT']}",
                f"HTTPS_PORT={ports['HTTPS_PORT']}",
                f"PROBE_SUBNET=10.{uuid.uuid4().int % 200 + 20}.{uuid.uuid4().int % 250}.0/28",
                "CELERY_QUEUES=default,maintenance",
                "CELERY_AI_QUEUES=ai",
            )
        )
    )
    environ = {
        **os.environ,
        **ports,
        "INVOKE_COTAI_PROJECT": project,
        "INVOKE_COTAI_ENV_FILE": str(folder / "env"),
        "COTAI_ENV": "prod",
    }
    stack = Production(f"{project}-prod", environ, folder)
    yield stack
    stack.inv("deploy.clean", "--volumes", "--yes")


@pytest.fixture(scope="package")
def deployed(production: Production) -> Production:
    """Give the stack with every service up and healthy, deployed from nothing."""
    deploy(production)
    return production
