"""What users notice of a deploy and of a rollback, beside `docker compose up --force-recreate`: under the same load."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from bench.figures import Figure, measured
from bench.stacks import compose_up
from bench.workbench import inv
from tests.stack.rolling import ROLLED, steadily

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.workbench import Workbench

WATCH = "5"
"""Seconds that both releases are watched; the default is 60, which says nothing about speed."""
_STEPS = {
    "deploy-beside": "beside the old ones",
    "deploy-flip": "nginx asks the new ones",
    "deploy-drain": "the requests in hand end",
    "deploy-retire": "the old ones finish and go",
    "deploy-scheduler": "celery-beat, never two",
}
"""By which words the steps of a release are known."""


def measure(bench: Workbench) -> Iterator[Figure]:
    """Deploy a changed definition, go back, and have Compose make the same services anew; each under 50 requests/s."""
    production = bench.production
    quiet = _memory(bench)
    with bench.console.step("a deploy under load"), steadily(production) as ours, _most_memory(bench) as most:
        seconds = inv(production, "deploy.prod", "--yes", "--watch", WATCH, LOG_LEVEL="ERROR")
    yield from (measured(name, step(_steps(bench), words)) for name, words in _STEPS.items())
    yield measured("deploy-memory", most, quiet)
    with bench.console.step("a rollback under load"), steadily(production) as back:
        inv(production, "deploy.rollback", "--yes", "--watch", WATCH)
    yield measured("rollback-flip", step(_steps(bench), _STEPS["deploy-flip"]))
    _, project = bench.written_down()
    with bench.console.step("Compose alone under load"), steadily(production) as theirs:
        compose = compose_up(bench, project, ROLLED, {*ROLLED}, "--force-recreate", "--no-deps")
    yield measured("deploy-seconds", seconds, compose)
    yield measured("deploy-failed", failed(ours), failed(theirs))
    yield measured("rollback-failed", failed(back), failed(theirs))


def failed(answers: Mapping[str, Any]) -> int:
    """Count the requests that were not answered with 200."""
    return sum(number for code, number in answers["codes"].items() if code != "200")


def step(steps: Mapping[str, float], words: str) -> float:
    """Give the seconds of the step that is known by these words."""
    return next(seconds for name, seconds in steps.items() if words in name)


def _steps(bench: Workbench) -> Mapping[str, float]:
    """Give the steps of the release that serves."""
    live = bench.releases()[1].live
    return live.steps if live else {}


@contextmanager
def _most_memory(bench: Workbench) -> Iterator[list[float]]:
    """Look at the memory again and again as long as the block lasts; keep the most of it."""
    over, most = Event(), [0.0]

    def look() -> None:
        while not over.wait(5):  # seldom: to look costs the engine something
            most[0] = max(most[0], _memory(bench))

    thread = Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def _memory(bench: Workbench) -> float:
    """Give what all containers of the stack use together, in MB."""
    used = bench.engine.usage(bench.engine.glance(bench.production.name))
    return sum(one.memory for one in used.values()) / 10**6
