"""How long stacks take to start, and commands that have nothing to do, beside Compose and Invoke alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.figures import Figure, measured
from bench.workbench import REPOSITORY, inv, until_healthy
from cotai_tasks.stack import open_stack
from cotai_tasks.validate.throwaway import throwaway

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.workbench import Workbench
    from cotai_tasks.facts import Project
    from cotai_tasks.stack import Stack

_ONE_TASK = '''from invoke import task


@task
def hello(c):
    """Say hello."""
'''


def measure(bench: Workbench) -> Iterator[Figure]:
    """List the tasks; start both stacks from nothing, production again; then deploy what is deployed."""
    yield _list(bench)
    yield from _development(bench)
    yield from _production(bench)


def _development(bench: Workbench) -> Iterator[Figure]:
    settings = bench.settings("dev")
    with throwaway(settings, environ=bench.environ, keep=False, console=bench.console) as own:
        stack = open_stack(own.settings, bench.engine)
        for _ in bench.engine.down(stack.project, volumes=True):
            pass
        with bench.console.step("development by Compose alone"):
            theirs = compose_up(bench, stack.project, [*stack.services], _awaited(stack))
    yield measured("dev-start", own.seconds, theirs)


def _production(bench: Workbench) -> Iterator[Figure]:
    """Take the containers away and start them again, by our command and by Compose alone; then change nothing."""
    production = bench.production
    yield measured("prod-start", bench.own.seconds)
    stack, project = bench.written_down()
    names, awaited = [*stack.services], _awaited(stack)
    ours, theirs = [], []
    for turn in range(bench.rounds):
        with bench.console.step(f"round {turn + 1}: production on its data, by us and by Compose alone"):
            inv(production, "deploy.clean", "--yes")
            ours.append(inv(production, "deploy.prod", "--yes"))
            inv(production, "deploy.clean", "--yes")
            theirs.append(compose_up(bench, project, names, awaited))
    yield measured("prod-again", ours, theirs)
    inv(production, "deploy.prod", "--yes")
    with bench.console.step("production, with nothing to do"):
        nothing = [inv(production, "deploy.prod", "--yes") for _ in range(bench.rounds)]
        compose = [compose_up(bench, project, names, awaited) for _ in range(bench.rounds)]
    yield measured("unchanged", nothing, compose)


def _list(bench: Workbench) -> Figure:
    with TemporaryDirectory(prefix="cotai-bench-") as folder:
        Path(folder, "tasks.py").write_text(_ONE_TASK)
        pairs = [(_listed(REPOSITORY), _listed(Path(folder))) for _ in range(5 * bench.rounds)]
    return measured("list", [one for one, _ in pairs], [other for _, other in pairs])


def _listed(folder: Path) -> float:
    begun = time.monotonic()
    subprocess.run([str(Path(sys.executable).parent / "inv"), "--list"], cwd=folder, check=True, capture_output=True)
    return time.monotonic() - begun


def _awaited(stack: Stack) -> set[str]:
    return {name for name, one in stack.services.items() if not one.one_shot}


def compose_up(bench: Workbench, project: Project, names: Sequence[str], awaited: set[str], *flags: str) -> float:
    """Start services by Compose alone; give the seconds until the last of them is healthy."""
    begun = time.monotonic()
    for _ in bench.engine.compose(project, "up", "--detach", "--no-build", *flags, *names):
        pass
    until_healthy(bench.engine, project.name, awaited)
    return time.monotonic() - begun
