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
        "with_databases": "Make databases anew too whose definition changed; users notice.",
        "allow_destructive": "Let the migration take away what the release that serves may use, after a backup.",
        "backup": "Make that backup.",
        "watch": "Seconds that both releases are kept, and compared, once the new one serves; 0 skips it.",
        "drain": "Seconds that requests in hand have to end, before the old containers are told to finish.",
        "lock_wait": "Seconds to wait for somebody else who changes the stack.",
        "timeout": "Seconds to wait for the services to become healthy.",
    }
)
def prod(  # noqa: PLR0913, PLR0917 - a flag each
    c: Context,
    build: bool = False,
    without: str = "",
    with_databases: bool = False,
    allow_destructive: bool = False,
    backup: bool = True,
    watch: int = 60,
    drain: int = 60,
    lock_wait: int = 0,
    timeout: int = 600,
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """Deploy the production stack: check everything, put the new release in place while users are served."""
    from cotai_tasks.deploy.prod import deploy
    from cotai_tasks.deploy.start import show_addresses

    tools = open_tools(c, "prod")
    result = deploy(
        without=without,
        rebuild=build,
        databases=with_databases,
        destructive=allow_destructive,
        backup=backup,
        watch=watch,
        drain=drain,
        lock_wait=lock_wait,
        timeout=timeout,
        yes=yes,
        dry_run=dry_run,
        **tools,
    )
    if result:
        show_addresses(result, tools["console"])


@task(help={"build": "Build our images again first, as deploy.prod --build does."})
def plan(c: Context, build: bool = False, json: bool = False) -> None:
    """Show what deploy.prod would do to each service, why, and who would notice."""
    from cotai_tasks.deploy.prod import plan as procedure

    procedure(rebuild=build, as_json=json, **open_tools(c, "prod"))


@task(
    help={
        "to": "Which release; the beginning of its id is enough (default: the one before).",
        "watch": "Seconds that both are kept, and compared, once it serves.",
    }
)
def rollback(c: Context, to: str = "", watch: int = 60, yes: bool = False, dry_run: bool = False) -> None:
    """Go back to an earlier release, as it was written down then, while users are served."""
    from cotai_tasks.deploy.recover import rollback as procedure

    procedure(to, watch=watch, yes=yes, dry_run=dry_run, **open_tools(c, "prod"))


@task(help={"watch": "Seconds that both releases are kept, and compared, once the new one serves."})
def resume(c: Context, watch: int = 60) -> None:
    """Go on with a deploy that was interrupted."""
    from cotai_tasks.deploy.recover import resume as procedure

    procedure(watch=watch, **open_tools(c, "prod"))


@task()
def abort(c: Context) -> None:
    """Take a deploy back that was interrupted: what served before goes on serving, the new containers go."""
    from cotai_tasks.deploy.recover import abort as procedure

    procedure(**open_tools(c, "prod"))


@task()
def unlock(c: Context, yes: bool = False, env: str = "") -> None:
    """Break the lock of a stack whose owner is gone, after a question; it ends with its owner by itself."""
    from cotai_tasks.deploy.recover import unlock as procedure

    procedure(yes=yes, **open_tools(c, env))


@task()
def history(c: Context, json: bool = False) -> None:
    """List the releases: what came of each, how long it took, what users saw."""
    from cotai_tasks.deploy.history import history as procedure

    procedure(as_json=json, **open_tools(c, "prod"))


@task(help={"id": "Which release; the beginning of its id is enough (default: the newest)."})
def show(c: Context, id: str = "", json: bool = False) -> None:  # noqa: A002 - the flag's name
    """Show one release: each service with the reason, each step with its seconds."""
    from cotai_tasks.deploy.history import show as procedure

    procedure(id, as_json=json, **open_tools(c, "prod"))


@task(help={"verify": "Check the chain of hashes, and print nothing else."})
def audit(c: Context, verify: bool = False) -> None:
    """Print the audit log, a line of JSON to each deploy, or check that nobody has changed it."""
    from cotai_tasks.deploy.history import audit as procedure

    procedure(check=verify, **open_tools(c, "prod"))


@task(
    positional=["service", "count"],
    help={"service": "backend, celery-worker, celery-worker-ai or llm-service.", "count": "How many containers."},
)
def scale(c: Context, service: str, count: str, env: str = "", dry_run: bool = False) -> None:
    """Run so many containers of a service, and wait until all are healthy."""
    from cotai_tasks.deploy.scale import scale as procedure

    procedure(service, count, dry_run=dry_run, **open_tools(c, env))


@task(
    positional=["service"],
    help={
        "service": "celery-worker or celery-worker-ai.",
        "min": "So many containers at least.",
        "max": "So many containers at most.",
        "tasks": "So many waiting tasks for each container.",
        "calm": "Seconds without a change before one container fewer is tried.",
        "every": "Seconds between two looks.",
        "once": "Look once: for a timer.",
    },
)
def autoscale(  # noqa: PLR0913, PLR0917 - a flag each
    c: Context,
    service: str,
    min: int = 1,  # noqa: A002 - the flag's name
    max: int = 4,  # noqa: A002
    tasks: int = 10,
    calm: int = 300,
    every: int = 30,
    once: bool = False,
    dry_run: bool = False,
) -> None:
    """Let the number of worker containers follow the length of their queues."""
    from cotai_tasks.deploy.autoscale import Bounds
    from cotai_tasks.deploy.autoscale import autoscale as procedure

    bounds = Bounds(min, max, tasks, calm)
    procedure(service, bounds, every=every, once=once, dry_run=dry_run, **open_tools(c, "prod"))


@task(help={"watch": "Show it again and again, until Ctrl-C."})
def status(c: Context, env: str = "", json: bool = False, watch: bool = False) -> None:
    """Show health, uptime, restarts, CPU and memory against limits, and ports of every container."""
    from cotai_tasks.errors import UnhealthyError
    from cotai_tasks.monitor import show_status

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
    from cotai_tasks.monitor import show_logs

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
    from cotai_tasks.deploy.prod import update as procedure

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
