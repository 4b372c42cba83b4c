"""The development stack of these tests."""

from __future__ import annotations

import os
import shutil
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

from cotai_tasks.validate.throwaway import free_ports
from tests.stack.conftest import REPOSITORY, TENDER, Development

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """Give a stack that is not started yet, and remove whatever is left of it."""
    application = tmp_path_factory.mktemp("application")
    for part in ("backend", "llm"):
        shutil.copytree(REPOSITORY / "docker/reference" / part, application / part)
    project = f"cotai-test-{uuid.uuid4().hex[:6]}"
    environ = {
        **os.environ,
        **free_ports(),
        "INVOKE_COTAI_PROJECT": project,
        "COTAI_ENV": "dev",
        "COTAI_TAG": "test",
        "APP_CONTEXT": str(application / "backend"),
        "LLM_CONTEXT": str(application / "llm"),
    }
    stack = Development(f"{project}-dev", environ, application)
    yield stack
    stack.inv("deploy.clean", "--volumes", "--yes")


@pytest.fixture(scope="module")
def running(development: Development) -> Development:
    """Give the stack with every service up and healthy, whatever the module before left of it."""
    started = development.inv("deploy.dev")
    assert started.returncode == 0, started.stdout + started.stderr
    return development


@pytest.fixture
def tender(running: Development) -> dict[str, Any]:
    """Give a tender that was just posted."""
    answer = requests.post(running.url("BACKEND", "/api/v1/tenders"), json=TENDER, timeout=10)
    assert answer.status_code in {201, 202}, answer.text
    told: dict[str, Any] = answer.json()
    return told
