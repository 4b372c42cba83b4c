"""A stack of validation's own, from nothing and away again: what may be written to, and broken."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from cotai_tasks.errors import UnhealthyError
from cotai_tasks.files import packaged_files
from cotai_tasks.settings import load_settings
from cotai_tasks.variables import PRODUCTION_SECRETS, Variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cotai_tasks.console import Console
    from cotai_tasks.settings import Environment, Settings

TAG = "validate"
"""Of the images that are built for it: nobody else's are touched."""

RECEIVER = "cotai-validate-receiver"
RECEIVER_PORT = 9099
"""Where its alerts go: nobody is there, but for a check that listens."""

STARTS: dict[Environment, tuple[tuple[str, ...], ...]] = {
    "dev": (("build.all",), ("deploy.dev",)),
    "prod": (
        ("build.all",),
        ("security.secrets",),
        ("security.certs", "--self-signed", "--yes"),
        ("deploy.prod", "--yes"),
    ),
}
"""The tasks that bring a stack up from nothing; the last one starts it."""

_EXAMPLE = "env/.env.production.example"
"""What a host without an env file of production is validated with."""

_NOBODY = ("ALERT_WEBHOOK_URL", "BACKUP_WEBHOOK_URL", "DEPLOY_WEBHOOK_URL", "BACKUP_S3_ENDPOINT", "BACKUP_IDENTITY")
"""What would reach people, or their data: a throwaway stack has none of it."""


@dataclass(frozen=True)
class Throwaway:
    """A stack named `cotai-test-<hash>-<env>` on free ports of the loopback address."""

    settings: Settings
    environ: Mapping[str, str]
    """The environment in which `inv` means this stack."""
    seconds: float
    """How long its start took, from its first container to its last healthy service."""


@contextmanager
def throwaway(settings: Settings, *, environ: Mapping[str, str], keep: bool, console: Console) -> Iterator[Throwaway]:
    """Start a stack like the one of the settings, and remove it with its volumes, unless it is kept.

    `environ` is this process's environment. Raises `UnhealthyError` with the last words of the task that failed.
    """
    folder = Path(mkdtemp(prefix="cotai-validate-"))
    project = f"cotai-test-{uuid.uuid4().hex[:6]}"
    own = environment(settings, project=project, folder=folder, environ=environ)
    seconds = 0.0
    try:
        for task in STARTS[settings.environment]:
            with console.step(f"{project}-{settings.environment}: {task[0]}"):
                begun = time.monotonic()
                _inv(task, settings, own)
                seconds = time.monotonic() - begun
        meant = load_settings(
            settings.directory,
            settings.environment,
            environ=own,
            project=project,
            env_file=own["INVOKE_COTAI_ENV_FILE"],
        )
        yield Throwaway(meant, own, seconds)
    finally:
        if keep:
            told = " ".join(f"{name}={shlex.quote(own[name])}" for name in sorted(own.keys() - environ.keys()))
            console.warn(f"kept, as asked. To remove it: {told} inv deploy.clean --volumes --yes; rm -r {folder}")
        else:
            _remove(f"{project}-{settings.environment}", folder, settings, own, console)


def environment(settings: Settings, *, project: str, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment in which `inv` means a stack of its own: it wins over the env file and `invoke.yaml`."""
    own = {name: value for name, value in environ.items() if name not in PRODUCTION_SECRETS}
    own |= free_ports() | {
        "INVOKE_COTAI_PROJECT": project,
        "INVOKE_COTAI_ENV_FILE": str(settings.env_file if settings.env_file.is_file() else packaged_files() / _EXAMPLE),
        "COTAI_ENV": settings.environment,
        "COTAI_TAG": TAG,
        "BIND_ADDRESS": "127.0.0.1",
        "COTAI_SECRETS": str(folder / "secrets"),
        "BACKUP_STORE": str(folder / "backups"),
        **dict.fromkeys(_NOBODY, ""),
    }
    if settings.environment == "prod":
        own |= {
            "COTAI_EVALUATION": "true",
            "ALERT_WEBHOOK_URL": f"http://{RECEIVER}:{RECEIVER_PORT}/",
            "SERVER_NAME": "localhost",
            "PROBE_SUBNET": f"10.{uuid.uuid4().int % 200 + 20}.{uuid.uuid4().int % 250}.0/28",
        }
    return own


def free_ports() -> dict[str, str]:
    """Find a free port for every port variable; all are held open until the last is found."""
    names = [name for name in Variables.model_fields if name.endswith("_PORT")]
    with ExitStack() as held:
        sockets = {name: held.enter_context(socket.socket()) for name in names}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {name: str(one.getsockname()[1]) for name, one in sockets.items()}


def _remove(name: str, folder: Path, settings: Settings, own: Mapping[str, str], console: Console) -> None:
    """Remove the stack; what fails here must not hide why the rest did."""
    try:
        with console.step(f"removing {name}"):
            _inv(("deploy.clean", "--volumes", "--yes"), settings, own)
        shutil.rmtree(folder, ignore_errors=True)
    except UnhealthyError as error:
        console.warn(f"{name} is not removed: {error.evidence.splitlines()[-1:] or error}")


def _inv(task: tuple[str, ...], settings: Settings, environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *task],
        cwd=settings.directory,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # a Ctrl-C is for us: what was begun is removed
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise UnhealthyError(
            f"the throwaway stack did not come up: inv {' '.join(task)} ended with {done.returncode}",
            evidence=os.linesep.join(lines[-25:]),
        )
