"""Whole stacks in projects of their own, driven as a person would: by `inv`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from cotai_tasks.validate.throwaway import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]


TENDER = {
    "title": "Pregão 12/2026: office chairs",
    "text": "The city of Campinas buys 40 office chairs. Deadline: 2026-12-15. Estimated value: R$ 32.000,00.",
}

PATIENCE = 90
"""Seconds for anything to happen; what fails here hangs, it is not slow."""


def eventually(happened: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:  # noqa: ANN401 - whatever it was
    """Wait until something is true, and give it."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            if found := happened():
                return found
        except requests.RequestException:
            pass
        time.sleep(0.5)
    pytest.fail(f"{what} did not happen within {patience} s")


@dataclass(frozen=True)
class Live:
    """One throwaway stack, `cotai-test-<hash>-dev` or `-prod`, on free ports."""

    name: str
    environ: dict[str, str]
    folder: Path
    """What it was made from and nobody else has: a copy of the application, secrets."""

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

    def status(self) -> dict[str, Any]:
        """Give what `deploy.status --json` tells, by service; of several containers the last."""
        told = json.loads(self.inv("deploy.status", "--json").stdout)
        return {one["service"]: one for one in told["services"]}

    def docker(self, *arguments: str) -> str:
        """Run docker, and give what it prints."""
        docker = self.environ.get("COTAI_DOCKER", "docker")
        done = subprocess.run([docker, *arguments], env=self.environ, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def containers(self, service: str) -> list[str]:
        """Give the ids of a service's containers; of all services where none is named."""
        project = f"label=com.docker.compose.project={self.name}"
        only = ("--filter", f"label=com.docker.compose.service={service}") if service else ()
        return self.docker("container", "ls", "--all", "--quiet", "--filter", project, *only).split()

    def live(self) -> list[str]:
        """Give the ids of the containers that run."""
        return self.docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={self.name}").split()

    def container(self, service: str) -> str:
        """Give the id of a service's only container; empty where there is none."""
        return "".join(self.containers(service))


class Development(Live):
    """The development stack, with a copy of the reference application."""

    @property
    def application(self) -> Path:
        """The folder of the copy."""
        return self.folder

    def url(self, service: str, path: str = "/") -> str:
        """Give an address of a service by the name of its port variable: `BACKEND`."""
        return f"http://127.0.0.1:{self.environ[f'{service}_PORT']}{path}"


# -- production --------------------------------------------------------------------------------------------------------


class Production(Live):
    """The production stack behind nginx, as `localhost`."""

    @property
    def secrets(self) -> Path:
        """The folder of its secrets."""
        return self.folder / "secrets"

    @property
    def env_file(self) -> Path:
        """The file of its variables."""
        return self.folder / "env"

    @property
    def authority(self) -> str:
        """The file of the authority that signed its certificate."""
        return str(self.secrets / "local-ca.pem")

    def url(self, path: str = "/", scheme: str = "https") -> str:
        """Give an address as its users type it."""
        return f"{scheme}://localhost:{self.environ[f'{scheme.upper()}_PORT']}{path}"

    def get(self, path: str, **options: Any) -> requests.Response:  # noqa: ANN401 - as requests takes them
        """Ask as a user who trusts the local authority."""
        return requests.get(self.url(path), verify=self.authority, timeout=15, **options)

    def secret(self, name: str) -> str:
        """Read one of its secrets."""
        return (self.secrets / name).read_text().strip()

    def inside(self, service: str, command: str, *, fails: bool = False) -> str:
        """Run a shell command in the first container of a service, and give all that it prints."""
        docker = self.environ.get("COTAI_DOCKER", "docker")
        argv = [docker, "exec", self.containers(service)[0], "sh", "-c", command]
        done = subprocess.run(argv, env=self.environ, capture_output=True, text=True, check=False)
        assert bool(done.returncode) == fails, f"{service}: {command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr


class Strange(Production):
    """A production stack of another project, which is no checkout of ours."""

    @property
    def secrets(self) -> Path:
        """The folder of its secrets, where a project has it."""
        return self.folder / "env/secrets"

    @property
    def env_file(self) -> Path:
        """The file of its variables, where a project has it."""
        return self.folder / "env/.env.production"

    def command(self, *arguments: str) -> list[str]:
        """Give the command line of a task of that project."""
        inv, *rest = super().command(*arguments)
        return [inv, "--search-root", str(self.folder), *rest]


@contextmanager
def stranger(folder: Path, *values: str) -> Iterator[Strange]:
    """Give a project in a folder, with its env file, its secrets and free ports; remove its stack in the end."""
    (folder / "tasks.py").write_text('from cotai_tasks import ns\n\n__all__ = ["ns"]\n')
    project, ports = f"cotai-test-{uuid.uuid4().hex[:6]}", free_ports()
    subnet = f"10.{uuid.uuid4().int % 200 + 20}.{uuid.uuid4().int % 250}.0/28"
    own = (
        *("SERVER_NAME=localhost", "COTAI_EVALUATION=true", "BIND_ADDRESS=127.0.0.1", f"PROBE_SUBNET={subnet}"),
        *(f"{name}={ports[name]}" for name in ("HTTP_PORT", "HTTPS_PORT")),
    )
    environ = {**os.environ, **ports, "INVOKE_COTAI_PROJECT": project, "COTAI_ENV": "prod"}
    stack = Strange(f"{project}-prod", environ, folder)
    try:
        made = stack.inv("deploy.init", "prod", *(part for value in (*own, *values) for part in ("--set", value)))
        assert made.returncode == 0, made.stdout + made.stderr
        yield stack
    finally:
        stack.inv("deploy.clean", "--volumes", "--yes")


def deploy(stack: Production) -> None:
    """Deploy from whatever there is, down to nothing."""
    for command in (
        ("build.all",),
        ("security.secrets",),
        ("security.certs", "--self-signed", "--yes"),
        ("deploy.prod", "--yes"),
    ):
        done = stack.inv(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def post(stack: Production) -> str:
    """Post a tender, and give its id; empty while that fails."""
    answer = requests.post(stack.url("/api/v1/tenders"), json=TENDER, verify=stack.authority, timeout=15)
    return str(answer.json()["id"]) if answer.status_code == 202 else ""


def drafted(stack: Production, tender: str) -> bool:
    """Tell whether a tender has its quotation."""
    answer = stack.get(f"/api/v1/tenders/{tender}")
    return answer.status_code == 200 and answer.json()["status"] == "drafted"
