"""One service of the development stack in a project of its own."""

from __future__ import annotations

import os
import socket
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup.components.base import Site
from cotai_tasks.backup.components.scratch import drop_scratch
from cotai_tasks.settings import load_settings
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cotai_tasks.engine import Engine

ROOT = Path(__file__).parents[2]
PATIENCE = 60


def new_project() -> str:
    """Name a project that nobody has."""
    return f"cotai-test-{uuid.uuid4().hex[:6]}"


def free_port() -> str:
    """Find a port that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


@contextmanager
def alone(engine: Engine, service: str, *, disk: str = "") -> Iterator[Site]:
    """Start a service until the block ends, healthy, on a free port; its scratch containers go with it.

    `disk` is the size of one of its own for its data: `400m`.
    """
    environ = {**os.environ, f"{service.upper()}_PORT": free_port()}
    settings = load_settings(ROOT, "dev", environ=environ, project=new_project())
    site = Site(open_stack(settings, engine), settings, engine)
    try:
        if disk:
            _make_disk(site, service, disk)
        with engine.up(site.stack.project, [service]) as start:
            eventually(lambda: start.ended, "the start")
            assert start.error is None
        eventually(lambda: engine.glance(site.stack.project.name)[0].health == "healthy", "health")
        yield site
    finally:
        drop_scratch(site)
        if disk:
            engine.command("container", "rm", "--force", holder(site))
        for _ in engine.down(site.stack.project, volumes=True):
            pass


def holder(site: Site) -> str:
    """Name the container that keeps a disk of its own, and its data at `/volume`: it is gone once nobody mounts it."""
    return f"{site.stack.project.name}-holder"


def _make_disk(site: Site, service: str, size: str) -> None:
    project, python = site.stack.project.name, site.stack.variables["PYTHON_IMAGE"]
    labels = {"com.docker.compose.project": project, "com.docker.compose.volume": service}
    tags = [part for pair in labels.items() for part in ("--label", "=".join(pair))]
    kind = ("--opt=type=tmpfs", "--opt=device=tmpfs", f"--opt=o=size={size},mode=1777")
    volume = f"{project}_{service}"
    site.engine.command("volume", "create", *tags, *kind, volume)
    mount = ("--volume", f"{volume}:/volume")
    site.engine.command("run", "--detach", "--name", holder(site), *mount, "--entrypoint", "sleep", python, "3600")


def fill_disk(site: Site, left: int) -> None:
    """Fill that disk but for so many bytes, until `/volume/filler` is removed again."""
    script = f"""
import os
disk = os.statvfs('/volume')
os.posix_fallocate(os.open('/volume/filler', os.O_CREAT | os.O_WRONLY), 0, disk.f_bavail * disk.f_frsize - {left})"""
    site.engine.command("exec", holder(site), "python3", "-c", script)


def eventually(happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until something is true."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if happened():
            return
        time.sleep(0.2)
    pytest.fail(f"{what}: not within {patience} s")
