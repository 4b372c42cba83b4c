"""What every part measures with: the engine, the wishes of the command line, and stacks of the bench's own."""

from __future__ import annotations

import io
import os
import platform
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console as RichConsole

from cotai_tasks.console import Console, size
from cotai_tasks.deploy.release import Records
from cotai_tasks.engine import Engine
from cotai_tasks.errors import UnhealthyError
from cotai_tasks.settings import load_settings
from cotai_tasks.stack import open_stack, rendered
from cotai_tasks.validate.throwaway import throwaway
from tests.stack.conftest import Live, Production

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import TracebackType

    from cotai_tasks.facts import Project
    from cotai_tasks.settings import Environment, Settings
    from cotai_tasks.stack import Stack
    from cotai_tasks.validate.throwaway import Throwaway

REPOSITORY = Path(__file__).parents[1]
ENV_FILES = {"dev": "env/.env.development", "prod": "env/.env.production.example"}
PATIENCE = 300.0
"""Seconds for a stack to become healthy under whatever starts it."""
_LOOK = 0.25


@dataclass
class Workbench:
    """The engine and what was asked for; the production stack is started when the first part wants it."""

    console: Console
    rounds: int = 3
    size: float = 1
    """GiB of rows that are backed up."""
    aws: str = "aws"
    """AWS' own command line."""
    folder: Path | None = None
    """For the rows; the system's own where none is named."""
    engine: Engine = field(default_factory=lambda: Engine(os.environ.get("COTAI_DOCKER", "")))
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    _held: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Begin; nothing is started yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the stack, if there is one."""
        self._held.__exit__(kind, error, at)

    def settings(self, env: Environment, **variables: str) -> Settings:
        """Give the settings that a fresh checkout has."""
        environ = {"SERVER_NAME": "localhost", **self.environ, **variables}
        return load_settings(REPOSITORY, env, environ=environ, env_file=str(REPOSITORY / ENV_FILES[env]))

    @cached_property
    def own(self) -> Throwaway:
        """A production stack of the bench's own."""
        held = throwaway(self.settings("prod"), environ=self.environ, keep=False, console=self.console)
        return self._held.enter_context(held)

    @property
    def production(self) -> Production:
        """The same, as the tests drive it: by `inv`."""
        return Production(self.own.settings.stack_name, dict(self.own.environ), REPOSITORY)

    def releases(self) -> tuple[Stack, Records]:
        """Give that stack, and its releases."""
        stack = open_stack(self.own.settings, self.engine)
        return stack, Records.read(stack, self.engine)

    def written_down(self) -> tuple[Stack, Project]:
        """Give that stack, and the Compose project of the release that serves as it was rendered for it."""
        stack, records = self.releases()
        assert records.live  # noqa: S101 - the throwaway stack was deployed
        return stack, rendered(stack, records.frozen(records.live)[0])

    def machine(self) -> dict[str, str]:
        """Say on what is measured, and how busy it is before."""
        told = self.engine.info()
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "processors": str(told["NCPU"]),
            "memory": size(told["MemTotal"]),
            "kernel": str(told["KernelVersion"]),
            "system": str(told["OperatingSystem"]),
            "engine": str(told["ServerVersion"]),
            "Python": platform.python_version(),
            "load average before": f"{os.getloadavg()[0]:.1f}",
            "rows of the backups": f"{self.size:g} GiB",
        }


def quiet() -> Console:
    """Give a console that nobody reads, for procedures that tell of their steps."""
    paper = RichConsole(file=io.StringIO())
    return Console(out=paper, err=paper)


def inv(stack: Live, *arguments: str, **environ: str) -> float:
    """Run a task that must succeed; give the seconds that it took."""
    begun = time.monotonic()
    done = stack.inv(*arguments, **environ)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise UnhealthyError(f"inv {' '.join(arguments)} ended with {done.returncode}", evidence=last)
    return time.monotonic() - begun


def until_healthy(engine: Engine, project: str, services: Collection[str]) -> None:
    """Wait until all containers of the services are healthy, or run where nothing asks their health.

    `docker compose up --wait` does not do: it fails once a container has done its work and exited 0.
    """
    end = time.monotonic() + PATIENCE
    while waiting := _not_ready(engine, project, services):
        if time.monotonic() > end:
            raise UnhealthyError(f"{project}: not healthy after {PATIENCE:.0f} s: {', '.join(sorted(waiting))}")
        time.sleep(_LOOK)


def _not_ready(engine: Engine, project: str, services: Collection[str]) -> set[str]:
    found = [one for one in engine.glance(project) if one.service in services]
    sick = {one.service for one in found if one.state != "running" or one.health not in {"", "healthy"}}
    return sick | (set(services) - {one.service for one in found})
