"""Start, watch and stop a stack."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cotai_tasks.task import open_tools, task

if TYPE_CHECKING:
    from invoke.context import Context

_SVC = "Services, separated by commas (default: all)."


@task(
    help={
        "build": "Build our images again, even if they are there.",
        "only": "Only these services and what they need, separated by commas.",
        "without": "Leave out groups, separated by commas: ai, monitoring, admin, storage.",
        "timeout": "Seconds to wait for the services to become healthy.",
    }
)
def dev(
    c: Context, build: bool = False, only: str = "", without: str = "", timeout: int = 180, dry_run: bool = False
) -> None:
    """Start the development stack, make whatever image is missing, and wait until all is healthy."""
    from cotai_tasks.deploy.start import show_addresses, start

    tools = open_tools(c, "dev")
    result = start(only=only, without=without, rebuild=build, timeout=timeout, dry_run=dry_run, **tools)
    if result:
        show_addresses(result, tools["console"])


@task(
    help={
        "build": "Build our images again, even if they are there.",
        "without": "Leave out groups, separated by commas: ai, monitoring, logs, traces.",
        "databases": "Make databases anew too whose definition changed; users notice.",
        "timeout": "Seconds to wait for the services to become healthy.",
    }
)
def prod(
    c: Context,
    build: bool = False,
    without: str = "",
    databases: bool = False,
    timeout: int = 600,
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """Deploy the production stack: check everything, start it, and ask it as a user does."""
    from cotai_tasks.deploy.start import show_addresses, start

    tools = open_tools(c, "prod")
    result = start(
        without=without, rebuild=build, databases=databases, timeout=timeout, yes=yes, dry_run=dry_run, **tools
    )
    if result:
        show_addresses(result, tools["console"])


@task(
    positional=["service", "count"],
    help={"service": "backend, celery-worker, celery-worker-ai or llm-service.", "count": "How many containers."},
)
def scale(c: Context, service: str, count: str, env: str = "", dry_run: bool = False) -> None:
    """Run so many containers of a service, and wait until all are healthy."""
    from cotai_tasks.deploy.scale import scale as procedure

    procedure(service, count, dry_run=dry_run, **open_tools(c, env))


@task(help={"watch": "Show it again and again, until Ctrl-C."})
def status(c: Context, env: str = "", json: bool = False, watch: bool = False) -> None:
    """Show health, uptime, restarts, CPU and memory against limits, and ports of every container."""
    from cotai_tasks.deploy.status import show_status
    from cotai_tasks.errors import UnhealthyError

    tools = open_tools(c, env)
    found = show_status(as_json=json, watch=watch, **tools)
    if found and found.services and not found.ok:
        sick = ", ".join(f"{one.service} ({one.state})" for one in found.services if not one.ok and one.container)
        raise UnhealthyError(f"not healthy: {sick}", cure="inv deploy.logs --svc NAME shows why.")


@task(
    help={
        "svc": _SVC,
        "follow": "Go on with new lines, until Ctrl-C.",
        "since": "Only lines since then: 10m, 2h, 2026-01-31T12:00:00.",
        "tail": "Only so many last lines of each container, or all.",
        "grep": "Only lines that match this regular expression.",
        "level": "Only lines of at least this level: debug, info, warning, error, critical.",
    }
)
def logs(
    c: Context,
    svc: str = "",
    follow: bool = False,
    since: str = "",
    tail: str = "100",
    grep: str = "",
    level: str = "",
    env: str = "",
) -> None:
    """Show the log lines of services, all of them or those that match."""
    from cotai_tasks.deploy.logs import show_logs

    show_logs(names=svc, follow=follow, since=since, tail=tail, grep=grep, level=level, **open_tools(c, env))


@task(help={"svc": _SVC})
def restart(c: Context, svc: str = "", yes: bool = False, env: str = "", dry_run: bool = False) -> None:
    """Restart services and wait until they are healthy."""
    from cotai_tasks.deploy.lifecycle import restart as procedure

    procedure(names=svc, yes=yes, dry_run=dry_run, **open_tools(c, env))


@task(help={"svc": _SVC})
def stop(c: Context, svc: str = "", yes: bool = False, env: str = "", dry_run: bool = False) -> None:
    """Stop services; containers and data stay."""
    from cotai_tasks.deploy.lifecycle import stop as procedure

    procedure(names=svc, yes=yes, dry_run=dry_run, **open_tools(c, env))


@task(positional=["state"], help={"state": "on: users get 503 and a page that says so; off: everything again."})
def maintenance(c: Context, state: str, env: str = "", dry_run: bool = False) -> None:
    """Close the stack to its users, or open it again, without a restart."""
    from cotai_tasks.deploy.maintenance import set_maintenance

    set_maintenance(state, dry_run=dry_run, **open_tools(c, env))


@task(help={"volumes": "Remove the volumes too, with all data in them; asks first."})
def clean(c: Context, volumes: bool = False, yes: bool = False, env: str = "", dry_run: bool = False) -> None:
    """Remove containers and networks; volumes stay unless asked for."""
    from cotai_tasks.deploy.lifecycle import clean as procedure

    procedure(volumes=volumes, yes=yes, dry_run=dry_run, **open_tools(c, env))


@task()
def update(c: Context, yes: bool = False, env: str = "", dry_run: bool = False) -> None:
    """Bring a running stack up to date: build again, pull what is missing, recreate what changed."""
    from cotai_tasks.deploy.start import update as procedure

    procedure(yes=yes, dry_run=dry_run, **open_tools(c, env))


@task(
    positional=["environment"],
    iterable=["set"],
    help={
        "environment": "prod; development needs no preparation.",
        "set": "A variable of env/.env.production as NAME=VALUE; repeat it for several.",
    },
)
def init(c: Context, environment: str, set: list[str]) -> None:  # noqa: A002 - the flag's name
    """Make what production needs: its env file, its secrets, a certificate to begin with."""
    from cotai_tasks.deploy.init import initialise
    from cotai_tasks.task import open_console, open_engine, project_directory

    initialise(
        environment,
        given=set,
        directory=project_directory(c),
        environ=os.environ,
        project=str(c.config.cotai.project),
        engine=open_engine(c),
        console=open_console(),
    )
