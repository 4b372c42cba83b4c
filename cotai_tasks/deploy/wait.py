"""Watching services come up, and showing the last words of one that does not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cotai_tasks.console import duration, make_table
from cotai_tasks.deploy.health import Standing, assess
from cotai_tasks.errors import CotaiError, UnhealthyError
from cotai_tasks.stack import containers_by_service

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.table import Table

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.process import Running
    from cotai_tasks.stack import Stack

_POLL = 0.5
"""Seconds between two looks at the engine."""

_UNHEALTHY_GRACE = 20.0
"""Seconds that an unhealthy service may take to recover before it is given up."""

_LAST_WORDS = 15
"""Log lines shown of a service that did not come up."""

_COLOURS = {"ready": "green", "done": "green", "waiting": "yellow", "unhealthy": "red", "failed": "red"}


def wait_until_ready(
    running: Running | None,
    names: Sequence[str],
    stack: Stack,
    *,
    earlier: Collection[tuple[str, str]] = (),
    without: Collection[str] = (),
    timeout: float,
    engine: Engine,
    console: Console,
) -> float:
    """Wait for services, and for the command that starts them if it still runs; give the seconds it took.

    `earlier` holds the runs of the stack's containers from before the command, `without` the ids of containers that
    nobody waits for; `timeout` is in seconds.
    Raises `UnhealthyError` with the last logs and health output of what did not come up; the rest goes on running.
    """
    begun = time.monotonic()
    services = {name: stack.services[name] for name in names}
    shown: set[str] = set()
    sick_since: dict[str, float] = {}
    with console.live() as display:
        while True:
            ended = running is None or running.ended
            refusal = running.error if running else None
            # Where the command was refused, what had ended before it is not the reason.
            past = earlier if refusal or not ended else ()
            looked = [one for one in engine.glance(stack.project.name) if one.id not in without]
            standings = assess(services, looked, past)
            elapsed = time.monotonic() - begun
            display.update(_picture(standings, elapsed))
            _report(standings, shown, elapsed, console)
            if ended and not refusal and all(one.settled for one in standings):
                return elapsed
            sick = [one for one in standings if one.verdict == "unhealthy"]
            sick_since = {one.service: sick_since.get(one.service, elapsed) for one in sick}
            given_up = [one for one in sick if refusal or elapsed - sick_since[one.service] > _UNHEALTHY_GRACE]
            given_up += [one for one in standings if one.verdict == "failed"]
            if refusal and not given_up:
                raise refusal
            if (given_up and ended) or elapsed > timeout:  # what the command has yet to start is not taken down with it
                late = [one for one in standings if not one.settled]
                raise _unhealthy(given_up or late, late, stack, engine, without)
            time.sleep(_POLL)


def restart_in_turn(stack: Stack, names: Sequence[str], *, timeout: float, engine: Engine, console: Console) -> float:
    """Restart services and wait until they are healthy; of several containers one after the other. Give the seconds.

    While one of them restarts the others serve.
    """
    begun = time.monotonic()
    found = containers_by_service(engine.containers(stack.project.name))
    several = [name for name in names if stack.services[name].scales and len(found.get(name, [])) > 1]
    others = [name for name in names if name not in several]
    if others:
        with console.step(f"restarting {', '.join(others)}"):
            for _ in engine.restart(stack.project, others):
                pass
    for name in several:
        for number, one in enumerate(found[name], 1):
            with console.step(f"restarting {name} {number} of {len(found[name])}"):
                engine.command("container", "restart", one.id)
            wait_until_ready(None, [name], stack, timeout=timeout, engine=engine, console=console)
    wait_until_ready(None, names, stack, timeout=timeout, engine=engine, console=console)
    return time.monotonic() - begun


def _picture(standings: Sequence[Standing], elapsed: float) -> Table:
    settled = sum(one.settled for one in standings)
    rows = [
        (one.service, f"[{_COLOURS[one.verdict]}]{one.verdict}[/]", one.reason) for one in standings if not one.settled
    ]
    return make_table(("service", "state", ""), rows, f"{settled} of {len(standings)} up after {duration(elapsed)}")


def _report(standings: Sequence[Standing], shown: set[str], elapsed: float, console: Console) -> None:
    """Where nobody watches a moving display, say each service once as it comes up."""
    fresh = [one for one in standings if one.settled and one.service not in shown]
    if console.interactive or not fresh:
        return
    if not shown and len(fresh) > 1:
        console.say(f"  {len(fresh)} of {len(standings)} are up already")
    else:
        for one in fresh:
            console.say(f"  {one.service}: {one.reason} ({duration(elapsed)})")
    shown.update(one.service for one in fresh)


def _unhealthy(
    failed: Sequence[Standing], late: Sequence[Standing], stack: Stack, engine: Engine, without: Collection[str]
) -> UnhealthyError:
    names = ", ".join(f"{one.service} ({one.reason})" for one in failed)
    waiting = sorted({one.service for one in late} - {one.service for one in failed})
    after = f"; still waiting: {', '.join(waiting)}" if waiting else ""
    first = failed[0].service
    return UnhealthyError(
        f"not healthy: {names}{after}",
        cure=f"The rest goes on running. See inv deploy.logs --svc {first}",
        evidence="\n".join(last_words(one.service, stack, engine, without) for one in failed),
    )


def last_words(service: str, stack: Stack, engine: Engine, without: Collection[str] = ()) -> str:
    """Give the last log lines and the last health output of a service's containers, less those named by id."""
    meant = [one for one in engine.containers(stack.project.name) if one.service == service and one.id not in without]
    try:
        if without:  # Compose would show the logs of all
            logs = [engine.stream("container", "logs", "--tail", str(_LAST_WORDS), one.id) for one in meant]
            lines = [line for each in logs for line in each]
        else:
            lines = list(engine.logs(stack.project, [service], tail=str(_LAST_WORDS)))
    except CotaiError as error:
        lines = [str(error)]
    parts = [f"{service}: its last log lines", *(lines or ["(none)"])]
    for one in meant:
        if one.health in {"unhealthy", "starting"} and one.health_output:
            parts += [f"{service}: what its healthcheck printed last", one.health_output]
    return "\n".join(parts)
