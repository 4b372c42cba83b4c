"""Watching a stack from outside while it is deployed: as its users, and by what the engine shows."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from tests.stack.conftest import eventually, post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.conftest import Production

ROLLED = ("backend", "celery-beat", "celery-worker", "celery-worker-ai", "llm-service")


@contextmanager
def steadily(stack: Production, path: str = "/api/v1/quotations", rate: float = 50) -> Iterator[dict[str, Any]]:
    """Ask for a page at a steady rate as long as the block lasts, where Nginx sets no limit; fill what came of it."""
    script = Path(__file__).with_name("steady.py").read_text()
    docker = stack.environ.get("COTAI_DOCKER", "docker")
    run = [docker, "run", "--rm", "--interactive", "--network", f"{stack.name}_probe", "--entrypoint", "python"]
    image = stack.docker("inspect", "--format", "{{.Image}}", stack.containers("backend")[0])
    asking = subprocess.Popen(
        [*run, image, "-c", script, "localhost", path, str(rate)],
        env=stack.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = {}
    time.sleep(2)
    try:
        yield found
        time.sleep(2)
    finally:
        told = asking.communicate(timeout=90)[0]
    found |= json.loads(told.splitlines()[-1])


@contextmanager
def posting(stack: Production) -> Iterator[list[str]]:
    """Post a tender every few seconds as long as the block lasts; give their ids, empty for one that was refused."""
    over, found = Event(), list[str]()

    def work() -> None:
        while not over.wait(5):
            found.append(post(stack))

    thread = Thread(target=work)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def total(stack: Production) -> int:
    """Count the quotations that there are."""

    def told() -> dict[str, Any] | None:
        answer = stack.get("/api/v1/quotations")
        return answer.json() if answer.ok else None  # Nginx may limit who has asked for much before

    return int(eventually(told, "the list of quotations")["total"])


def inv(stack: Production, *arguments: str) -> str:
    """Run a task that must succeed; give all that it said."""
    done = stack.inv(*arguments)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def change(stack: Production, **variables: str) -> None:
    """Set variables in the env file."""
    path = stack.env_file
    kept = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in variables]
    path.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in variables.items() if value)]) + "\n")


def another(stack: Production) -> str:
    """Give another level than the one that is set: a new definition of whatever logs."""
    return "INFO" if "LOG_LEVEL=ERROR" in stack.env_file.read_text() else "ERROR"


def ids(stack: Production) -> dict[str, frozenset[str]]:
    """Give the ids of the containers that run, by service; what runs once is none of them."""
    shown = '{{.Label "com.docker.compose.service"}} {{.ID}}'
    lines = stack.docker("ps", *project(stack), "--format", shown).splitlines()
    found: dict[str, frozenset[str]] = {}
    for service, one in (line.split() for line in lines):
        if service not in {"migrate", "model-pull"}:
            found[service] = found.get(service, frozenset()) | {one}
    return found


def project(stack: Production) -> tuple[str, ...]:
    return ("--filter", f"label=com.docker.compose.project={stack.name}")


def releases(stack: Production) -> list[dict[str, Any]]:
    """Give the releases on record, the newest first."""
    told = eventually(lambda: stack.inv("deploy.history", "--json").stdout, "the history")
    return list(json.loads(told)["releases"])


def one_release(stack: Production) -> None:
    """Hold that the containers of each rolled service stand in one place, and that no deploy is under way."""
    for name in ROLLED:
        slots = stack.docker(
            "ps", "--all", *project(stack), "--filter", f"label=com.docker.compose.service={name}",
            "--format", '{{.Label "cotai.slot"}} {{.Label "cotai.release"}}',
        ).splitlines()  # fmt: skip
        assert len(set(slots)) <= 1, f"{name}: {slots}"
    assert stack.docker("volume", "ls", "--quiet", "--filter", f"name={stack.name}-deploy") == ""


@contextmanager
def alive(stack: Production, service: str) -> Iterator[list[int]]:
    """Note how many containers of a service are alive, each time that one starts or dies."""
    only = (*project(stack), "--filter", f"label=com.docker.compose.service={service}")
    kinds = ("--filter", "type=container", "--filter", "event=start", "--filter", "event=die")
    docker = stack.environ.get("COTAI_DOCKER", "docker")
    found = [len(stack.docker("ps", "--quiet", *only).split())]
    watching = subprocess.Popen(
        [docker, "events", *only, *kinds, "--format", "{{.Action}}"],
        env=stack.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield found
    finally:
        watching.terminate()
        for action in watching.communicate()[0].split():
            found.append(found[-1] + (1 if action == "start" else -1))
