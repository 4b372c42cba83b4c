"""Changing how many containers of a service run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cotai_tasks.console import duration
from cotai_tasks.deploy.production import host_findings
from cotai_tasks.deploy.release import require_finished
from cotai_tasks.deploy.wait import wait_until_ready
from cotai_tasks.errors import PreflightError, UsageError
from cotai_tasks.lock import stack_lock
from cotai_tasks.stack import containers_by_service, open_stack, size_plan

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

_KEPT = {"backend": "BACKEND_REPLICAS", "celery-worker": "WORKER_REPLICAS"}
"""The variable that says how many containers the next deploy starts."""


def scale(
    service: str,
    count: str,
    *,
    dry_run: bool,
    timeout: float = 180,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> int:
    """Run `count` containers of a service, and wait until all are healthy; give how many ran before.

    Those that go finish what they hold. Raises `UsageError` for a service that cannot have several containers,
    `PreflightError` where the host has no memory for so many.
    """
    stack = open_stack(settings, engine)
    wanted = read_count(stack, service, count)
    running = containers_by_service(engine.containers(stack.project.name)).get(service, [])
    before = sum(one.state == "running" for one in running)
    if before == wanted:
        console.done(f"{service}: nothing to do, {wanted} containers run")
        return before
    _check_memory(stack, service, wanted, settings=settings, engine=engine)
    if dry_run:
        console.say(f"would change {service} from {before} to {wanted} containers")
        return before
    with stack_lock(stack, engine, "scale"):
        require_finished(stack, engine)
        flags = ("--no-deps", "--no-recreate", "--scale", f"{service}={wanted}")
        with engine.up(stack.project, [service], *flags) as started:
            seconds = wait_until_ready(started, [service], stack, timeout=timeout, engine=engine, console=console)
    console.done(f"{service}: {wanted} containers healthy, before {before} ({duration(seconds)})")
    if service in _KEPT:
        console.say(f"The next deploy starts as many as the env file says: {_KEPT[service]}={wanted} keeps this.")
    return before


def read_count(stack: Stack, service: str, count: str) -> int:
    """Check a service and the number of its containers."""
    stack.named(service)
    scaling = sorted(name for name, one in stack.services.items() if one.scales)
    if service not in scaling:
        known = f"These can: {', '.join(scaling)}." if scaling else "In this stack none can."
        raise UsageError(f"{service} cannot have several containers", cure=known)
    if not count.isdecimal() or int(count) < 1:
        raise UsageError(f"{count}: not a number of containers", cure="inv deploy.stop --svc NAME stops a service.")
    return int(count)


def _check_memory(stack: Stack, service: str, wanted: int, *, settings: Settings, engine: Engine) -> None:
    host = engine.info()
    sizes = size_plan(settings, host)
    limit = replace(sizes.limits[service], replicas=wanted)
    planned = replace(sizes, limits=sizes.limits | {service: limit})
    findings = host_findings(stack, planned, int(host["MemTotal"]), evaluation=True)
    if findings:
        raise PreflightError(f"no room for {wanted} containers of {service}", findings=findings)
