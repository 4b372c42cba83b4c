"""Letting the number of worker containers follow the length of their queues."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.console import count, duration
from cotai_tasks.db import ask, one_command
from cotai_tasks.deploy.scale import scale
from cotai_tasks.errors import LockedError, UsageError
from cotai_tasks.facts import running_services, started_at
from cotai_tasks.stack import containers_by_service, open_stack, split

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

_QUEUES = {"celery-worker": "CELERY_QUEUES", "celery-worker-ai": "CELERY_AI_QUEUES"}
"""The variable that names the queues which a service of workers serves."""
_USUAL = "celery"
"""Celery's own queue, where none is named."""
_BROKER = "redis"


@dataclass(frozen=True)
class Bounds:
    """How many containers there may be, and for how many waiting tasks each."""

    fewest: int
    most: int
    tasks: int
    calm: float
    """Seconds without a change before one container fewer is tried."""


def decide(waiting: int, running: int, since: float, bounds: Bounds) -> int:
    """Decide how many containers shall run: a pure judgement.

    `waiting` tasks are in the queues, `running` containers serve them, the youngest for `since` seconds. More are
    started at once, as many as are needed; one fewer at a time, when that has been calm, and when those that stay would
    have half of their share at most: what went up shall not come down in the next minute, and up again.
    """
    needed = math.ceil(waiting / bounds.tasks)
    wanted = running
    if needed > running:
        wanted = needed
    elif since >= bounds.calm and waiting <= (running - 1) * bounds.tasks / 2:
        wanted = running - 1
    return min(max(wanted, bounds.fewest), bounds.most)


def autoscale(
    service: str,
    bounds: Bounds,
    *,
    every: float,
    once: bool,
    dry_run: bool,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> int:
    """Look at the queues and scale, once or `every` so many seconds until Ctrl-C; give how many containers run then.

    Where somebody else changes the stack it waits for the next time. Raises `UsageError` for what serves no queue.
    """
    if service not in _QUEUES:
        raise UsageError(f"{service} serves no queue", cure=f"These do: {', '.join(_QUEUES)}.")
    if not 1 <= bounds.fewest <= bounds.most or bounds.tasks < 1:
        raise UsageError(f"--min {bounds.fewest} --max {bounds.most} --tasks {bounds.tasks}: these are no bounds")
    while True:
        wanted = _look(service, bounds, dry_run=dry_run, settings=settings, engine=engine, console=console)
        if once:
            return wanted
        time.sleep(every)


def _look(service: str, bounds: Bounds, *, dry_run: bool, settings: Settings, engine: Engine, console: Console) -> int:
    stack = open_stack(settings, engine)
    containers = engine.containers(stack.project.name)
    own = [one for one in containers_by_service(containers).get(service, []) if one.state == "running"]
    if not own or _BROKER not in running_services(containers):
        console.say(f"{service}: it does not run, or its broker does not: nothing to do")
        return len(own)
    waiting = queued(stack, split(str(getattr(settings.variables, _QUEUES[service]))) or [_USUAL], engine)
    since = time.time() - max(started_at(one) for one in own)
    wanted = decide(waiting, len(own), since, bounds)
    told = f"{service}: {count(waiting, 'task')} waiting, {count(len(own), 'container')} for {duration(max(since, 0))}"
    if wanted == len(own):
        console.done(f"{told}: nothing to do")
        return wanted
    console.say(f"{told}: {wanted} shall run")
    try:
        scale(service, str(wanted), dry_run=dry_run, settings=settings, engine=engine, console=console)
    except LockedError as error:
        console.say(f"not now: {error}")
        return len(own)
    return wanted


def queued(stack: Stack, queues: list[str], engine: Engine) -> int:
    """Count the tasks that wait in queues, for nobody has them in hand."""
    script = "local n = 0; for _, key in ipairs(KEYS) do n = n + redis.call('LLEN', key) end; return n"
    command = [*one_command(_BROKER, "EVAL"), script, str(len(queues)), *queues]
    return int(ask(stack, _BROKER, command, engine).strip())
