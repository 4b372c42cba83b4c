"""Whether a stack sees what breaks in it, and loses nothing by it: on stacks of validation's own."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from cotai_tasks.console import count
from cotai_tasks.errors import EngineError
from cotai_tasks.facts import PROJECT_LABEL
from cotai_tasks.validate.celery import with_tasks
from cotai_tasks.validate.check import Effect, Severity, SkipCheck, check, judged
from cotai_tasks.validate.groups.health import FINE, engine_time

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cotai_tasks.facts import Container
    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.subject import Subject

SICK = 30.0
"""Seconds until what hangs is unhealthy."""

_SIDE_BY_SIDE = 4
_PATIENCE = 120.0
"""Seconds for a stack to recover."""
_TASKS, _STEPS = 40, 20_000
"""Enough for seconds of work, whatever the host: the stop comes in the middle of it."""


@check(
    "HLT-04",
    "Every health check sees that its service hangs",
    "unhealthy ≤ 30 s",
    Severity.MAJOR,
    profile="full",
    effect=Effect.DISRUPTS,
    patience=400,
)
def health_checks_can_fail(subject: Subject) -> Outcome:
    """Let every process of all services stand still at once, see each become unhealthy, and let them go on."""
    checked = [one for one in subject.containers if one.state == "running" and one.health]
    asked = [one for one in checked if one.health == "healthy"]
    began = time.monotonic()
    seen: dict[str, float] = {}
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        try:
            froze = dict(pool.map(lambda one: (one.id, _freeze(subject, one, began)), asked))
            while len(seen) < len(asked) and time.monotonic() - began < 1.5 * SICK:
                now = time.monotonic() - began
                seen |= {one: now - froze[one] for one in _unhealthy(subject) if one in froze and one not in seen}
                time.sleep(0.5)
        finally:
            list(pool.map(lambda one: _thaw(subject, one), asked))
            wait_until_healthy(subject, [one.id for one in asked])
    before = [one.name for one in checked if one not in asked]
    return judge_sickness({one.name: seen.get(one.id) for one in asked}, before)


def judge_sickness(seconds: Mapping[str, float | None], before: Sequence[str]) -> Outcome:
    """Judge after how many seconds each container that hung was unhealthy, None being never; some were so before."""
    faults = [
        f"{name}: {'still healthy' if told is None else f'unhealthy after {told:.0f} s'}"
        for name, told in seconds.items()
        if told is None or told > SICK
    ]
    faults += [f"{name}: was not healthy to begin with, which proves nothing" for name in before]
    if not seconds and not before:
        raise SkipCheck("no service of this stack has a health check")
    longest = max((told for told in seconds.values() if told is not None), default=0.0)
    known = len(seconds) + len(before)
    figure = f"{known - len(faults)} of {known} in time, the last after {longest:.0f} s"
    cure = "A health check must ask the service itself, with a time limit: docker/compose.yaml."
    return judged(faults, figure, cure=cure, seconds=dict(seconds))


def _freeze(subject: Subject, one: Container, began: float) -> float:
    """Let every process of a container stand still. Only the engine can stop the first, only the inside the others."""
    with suppress(EngineError):  # no shell, so most likely no second process
        subject.engine.command("exec", one.id, "sh", "-c", "kill -STOP -1")
    subject.engine.command("kill", "--signal", "STOP", one.id)
    return time.monotonic() - began


def _thaw(subject: Subject, one: Container) -> None:
    """Let it go on, and start it anew: a signal through the engine switches its restart policy off until then."""
    subject.engine.command("kill", "--signal", "CONT", one.id)
    with suppress(EngineError):
        subject.engine.command("exec", one.id, "sh", "-c", "kill -CONT -1")
    subject.engine.command("restart", one.id)


def _unhealthy(subject: Subject) -> list[str]:
    only = ("--filter", f"label={PROJECT_LABEL}={subject.project}", "--filter", "health=unhealthy")
    return subject.engine.command("container", "ls", "--quiet", "--no-trunc", *only).split()


def wait_until_healthy(subject: Subject, ids: Collection[str]) -> None:
    """Wait until these containers, which were broken, are well again; `EngineError` where one never is."""
    end = time.monotonic() + _PATIENCE
    sick = list(ids)
    while sick and time.monotonic() < end:
        time.sleep(1)
        seen = subject.engine.glance(subject.project)
        sick = [one.name for one in seen if one.id in ids and (one.state != "running" or one.health not in FINE)]
    if sick:
        raise EngineError(f"not healthy again after {_PATIENCE:.0f} s: {', '.join(sick)}")


@check(
    "HLT-08",
    "A worker that is stopped in the middle of a task loses none",
    "0 lost",
    Severity.MAJOR,
    profile="full",
    effect=Effect.DISRUPTS,
    patience=500,
)
def a_stopped_worker_loses_no_task(subject: Subject) -> Outcome:
    """Queue tasks, stop every worker while they are at it, start them again, and count the results."""
    workers = subject.running("celery-worker")
    ids = [one.id for one in workers]
    sent = with_tasks(subject, workers[0], {"do": "send", "number": _TASKS, "size": _STEPS}, patience=_PATIENCE)["ids"]
    try:
        subject.engine.command("stop", *ids)
    finally:
        stopped = engine_time(subject)
        subject.engine.command("start", *ids)
        wait_until_healthy(subject, ids)
    wanted = {"do": "collect", "ids": sent, "seconds": _PATIENCE}
    return judge_tasks(sent, with_tasks(subject, workers[0], wanted, patience=2 * _PATIENCE)["done"], stopped)


def judge_tasks(sent: Sequence[str], done: Mapping[str, float], stopped: float) -> Outcome:
    """Judge when each task was done, in seconds since 1970; nothing is proved unless some were done after the stop."""
    lost = [one for one in sent if one not in done]
    later = sum(when > stopped for when in done.values())
    if not later and not lost:
        raise SkipCheck(f"all {len(sent)} tasks were done before the worker was stopped")
    figure = f"{len(lost)} of {count(len(sent), 'task')} lost, {later} were done after the worker came back"
    cure = "task_acks_late=True and task_reject_on_worker_lost=True in the application's Celery settings."
    return judged([f"lost: {one}" for one in lost], figure, cure=cure)
