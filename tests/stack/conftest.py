"""A whole development stack in a project of its own, driven as a person would: by `inv`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from cotai_tasks.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Development:
    """One throwaway stack: `cotai-test-<hash>-dev`, on free ports, with a copy of the reference application."""

    name: str
    application: Path
    environ: dict[str, str]

    def inv(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `inv` to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=REPOSITORY,
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def begin(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Begin to run `inv`, as the leader of its own process group."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=REPOSITORY,
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def command(self, *arguments: str) -> list[str]:
        """Give the command line of a task."""
        return [str(Path(sys.executable).parent / "inv"), *arguments]

    def url(self, service: str, path: str = "/") -> str:
        """Give an address of a service by the name of its port variable: `BACKEND`."""
        return f"http://127.0.0.1:{self.environ[f'{service}_PORT']}{path}"

    def status(self) -> dict[str, Any]:
        """Give what `deploy.status --json` tells, by service."""
        told = json.loads(self.inv("deploy.status", "--json").stdout)
        return {one["service"]: one for one in told["services"]}

    def docker(self, *arguments: str) -> str:
        """Run docker, and give what it prints."""
        docker = self.environ.get("COTAI_DOCKER", "docker")
        return subprocess.run([docker, *arguments], capture_output=True, text=True, check=True).stdout.strip()

    def container(self, service: str) -> str:
        """Give the id of a service's container."""
        project, label = f"label=com.docker.compose.project={self.name}", f"label=com.docker.compose.service={service}"
        return self.docker("container", "ls", "--all", "--quiet", "--filter", project, "--filter", label)


@pytest.fixture(scope="session")
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
    stack = Development(f"{project}-dev", application, environ)
    yield stack
    stack.inv("deploy.clean", "--volumes", "--yes")


@pytest.fixture(scope="session")
def running(development: Development) -> Development:
    """Give the stack with every service up and healthy, started from nothing."""
    started = development.inv("deploy.dev")
    assert started.returncode == 0, started.stdout + started.stderr
    return development


@pytest.fixture
def tender(running: Development) -> dict[str, Any]:
    """Give a tender that was just posted."""
    document = {
        "title": "Pregão 12/2026: office chairs",
        "text": "The city of Campinas buys 40 office chairs. Deadline: 2026-12-15. Estimated value: R$ 32.000,00.",
    }
    answer = requests.post(running.url("BACKEND", "/api/v1/tenders"), json=document, timeout=10)
    assert answer.status_code in {201, 202}, answer.text
    told: dict[str, Any] = answer.json()
    return told


def free_ports() -> dict[str, str]:
    """Find a free port for every port variable; all are held open until the last is found."""
    names = [name for name in Variables.model_fields if name.endswith("_PORT")]
    with ExitStack() as held:
        sockets = {name: held.enter_context(socket.socket()) for name in names}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {name: str(one.getsockname()[1]) for name, one in sockets.items()}
