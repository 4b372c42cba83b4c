"""The lock of a stack, at its engine, and the note that a restore leaves while it moves live data."""

from __future__ import annotations

import getpass
import os
import socket
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cotai_tasks.errors import LockedError, PreflightError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cotai_tasks.engine import Engine
    from cotai_tasks.stack import Stack


@contextmanager
def stack_lock(
    stack: Stack, engine: Engine, purpose: str, name: str = "lock", *, wait: float = 0
) -> Iterator[Callable[[], None]]:
    """Hold the stack for one command; it is let go when this process ends, however it ends.

    Give what raises `LockedError` once it is lost: a daemon that is restarted drops it while its owner lives.

    Another `name` is another lock, for what may happen beside a deploy. The lock is a container with a fixed name at
    the engine, so it also holds against another host or a CI runner.
    Raises `LockedError` with its owner when somebody else has it, and still has it after `wait` seconds.
    """
    name = f"{stack.project.name}-{name}"
    end = time.monotonic() + wait
    while time.monotonic() < end and engine.container_labels(name):
        time.sleep(1)
    owner = f"{getpass.getuser()}@{socket.gethostname()} (pid {os.getpid()})"
    labels = {
        "cotai.owner": owner,
        "cotai.purpose": purpose,
        "cotai.since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
    }
    holder = engine.hold(name, _lock_image(stack, engine), labels)
    try:
        while holder.poll() is None and engine.container_labels(name).get("cotai.owner") != owner:
            time.sleep(0.05)
        if holder.poll() is not None:
            raise _locked(name, engine.container_labels(name), holder.stderr.read().decode() if holder.stderr else "")

        def require_held() -> None:
            if holder.poll() is not None:
                raise LockedError(
                    f"the lock {name} was lost", cure="Was the Docker Engine restarted? Repeat the command."
                )

        yield require_held
    finally:
        if holder.stdin:
            holder.stdin.close()  # `cat` ends, and the container with it
        holder.wait()
        for pipe in (holder.stdout, holder.stderr):
            if pipe:
                pipe.close()


def restore_note(stack: Stack) -> str:
    """Name the volume that is there while a restore moves live data: one that is left tells of an interruption."""
    return f"{stack.project.name}-restore"


def require_no_restore(stack: Stack, engine: Engine) -> None:
    """Raise `PreflightError` where a restore was interrupted half-way: nothing must start on half of the data."""
    if engine.volume_labels([restore_note(stack)]):
        raise PreflightError(
            f"a restore of {stack.project.name} was interrupted half-way",
            cure=f"inv backup.undo --env {stack.project.name.rpartition('-')[2]} puts the old data back.",
        )


def _lock_image(stack: Stack, engine: Engine) -> str:
    """Choose an image that is there: the one that everything is built from, or one that was built from it."""
    own = f"{stack.variables['COTAI_REPOSITORY']}/"
    wanted = [stack.variables["PYTHON_IMAGE"], *(one.image for one in stack.services.values() if own in one.image)]
    present = engine.images(*dict.fromkeys(wanted))
    if not present:
        raise PreflightError(
            f"none of the images of {stack.project.name} is on this host", cure="inv build.all makes them."
        )
    return next(image for image in wanted if image in present)


def _locked(name: str, labels: Mapping[str, str], output: str) -> LockedError | PreflightError:
    if labels:
        who = f"{labels.get('cotai.owner')} since {labels.get('cotai.since')} ({labels.get('cotai.purpose')})"
        return LockedError(
            f"{name.removesuffix('-lock')} is held by {who}",
            cure=f"Wait for it to finish, then repeat; if that process is gone: docker rm -f {name}",
        )
    if "already in use" in output:
        return LockedError(f"{name.removesuffix('-lock')} was just held by somebody else", cure="Repeat the command.")
    return PreflightError(f"the lock container {name} did not start", evidence=output.strip())
