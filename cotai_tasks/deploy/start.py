"""Starting a stack: observe, decide, show, act, and wait until it is healthy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cotai_tasks.build import ensure_images
from cotai_tasks.console import duration
from cotai_tasks.deploy import production
from cotai_tasks.deploy.proxy import PROXY
from cotai_tasks.deploy.wait import restart_in_turn, wait_until_ready
from cotai_tasks.errors import Finding, PreflightError
from cotai_tasks.facts import running_services
from cotai_tasks.files import first_closed
from cotai_tasks.host import observe, preflight
from cotai_tasks.security import secret_warnings
from cotai_tasks.stack import FORMAT_LABEL, choose_source, open_stack, require_no_restore, stack_lock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Service, Stack


@dataclass(frozen=True)
class Address:
    """Where a service is to be found, and which login opens it."""

    service: str
    url: str
    login: str
    description: str


@dataclass(frozen=True)
class StartResult:
    """What came of a start."""

    stack: str
    changed: tuple[str, ...]
    """Services whose container is new or was started."""
    seconds: float
    addresses: tuple[Address, ...]


def start(  # noqa: PLR0913 - one keyword for each flag of the commands
    *,
    only: str = "",
    without: str = "",
    rebuild: bool = False,
    databases: bool = False,
    yes: bool = False,
    dry_run: bool = False,
    timeout: float = 180,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> StartResult | None:
    """Bring services up and wait until every one is healthy; `None` after a dry run.

    `timeout` is in seconds, counted from when the images are there. In production a database that runs is made anew
    only with `databases`, and what runs is changed only after a question, or with `yes`.
    """
    source, reason = choose_source(settings, engine)
    if source == "offline":
        console.warn(f"Offline images ({reason}). MongoDB is a surrogate, for evaluation only.")
    stack = open_stack(settings, engine, source)
    names = stack.select(only, without)
    for name, service in stack.left_out.items():
        console.warn(f"{name} ({service.description}) is left out: {stack.reasons[name]}.")
    queues = settings.variables.CELERY_AI_QUEUES
    if queues and settings.environment == "prod" and "celery-worker-ai" not in names:
        console.warn(
            f"nobody serves the queues {queues} (CELERY_AI_QUEUES): celery-worker-ai is not among the services"
        )
    if dry_run:
        _check_host(stack, names, settings=settings, engine=engine, console=console)
        _show_plan(stack, names, engine=engine, console=console)
        return None
    meant = {name: stack.services[name] for name in names}
    ensure_images(replace(stack, services={}), rebuild=False, settings=settings, engine=engine, console=console)
    with stack_lock(stack, engine, "deploy"):
        require_no_restore(stack, engine)
        looked_into = settings.environment == "dev" or production.can_read_volumes(stack, engine)
        _check_host(stack, names, settings=settings, engine=engine, console=console)
        before = engine.containers(stack.project.name)
        _ask_before_changing(settings, before, console, yes=yes)
        ensure_images(
            replace(stack, services=meant), rebuild=rebuild, settings=settings, engine=engine, console=console
        )
        kept, written = list[str](), dict[str, float]()
        if not looked_into:
            _check_host(stack, names, settings=settings, engine=engine, console=console)
        if settings.environment == "prod":
            kept = [] if databases else _kept_databases(stack, before, engine, console)
            written = _prepare(stack, names, kept, before, settings=settings, engine=engine, console=console)
        console.say(f"Starting {len(names)} services of {stack.project.name}")
        seconds = _up(stack, names, kept, before, timeout=timeout, engine=engine, console=console)
        after = engine.containers(stack.project.name)
        changed = changed_services(before, after, {name for name, one in stack.services.items() if one.one_shot})
        reread = _reread(stack, written, after, timeout=timeout, engine=engine, console=console)
        if settings.environment == "prod" and PROXY in names:
            production.confirm(stack, settings=settings, engine=engine, console=console)
    _tell_unawaited(meant, after, console)
    changed = tuple(sorted({*changed, *reread}))
    if changed:
        console.done(f"{stack.project.name}: {len(names)} services healthy after {duration(seconds)}")
        if before and len(changed) < len(names):
            console.say(f"  new or restarted: {', '.join(changed)}")
    else:
        console.done(f"{stack.project.name}: nothing to do, {len(names)} services healthy")
    return StartResult(stack.project.name, changed, seconds, addresses(stack, names, settings.variables.plain()))


def _ask_before_changing(settings: Settings, before: Sequence[Container], console: Console, *, yes: bool) -> None:
    """In production ask before anything that runs is changed."""
    if settings.environment == "prod" and running_services(before):
        console.confirm(f"Change what runs of {settings.stack_name}? Its users may notice.", yes=yes)


def _stop_left_out(stack: Stack, before: Sequence[Container], engine: Engine, console: Console) -> None:
    """Stop what runs and has no place in the stack any more: with its old limits it would take the others' memory."""
    running = sorted(running_services(before) & stack.left_out.keys())
    if running:
        with console.step(f"stopping what is left out now: {', '.join(running)}"):
            for _ in engine.stop(stack.project, running):
                pass


def _prepare(
    stack: Stack,
    names: Sequence[str],
    kept: Sequence[str],
    before: Sequence[Container],
    *,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> dict[str, float]:
    """Make production ready to start; give when each folder that its containers read changed last."""
    _stop_left_out(stack, before, engine, console)
    with console.step("putting configuration and secrets where the containers read them"):
        written = production.fill_volumes(stack, kept, settings=settings, engine=engine)
    if PROXY in names:
        production.check_proxy(stack, before, engine)
    return written


def _kept_databases(stack: Stack, before: Sequence[Container], engine: Engine, console: Console) -> list[str]:
    """Name the databases that Compose would make anew, and that shall go on as they are."""
    images = engine.images(*(stack.services[name].image for name in stack.stateful))
    kept = production.recreated(stack, engine.hashes(stack.project), images, before)
    if kept:
        console.warn(f"{', '.join(kept)}: defined anew, left as they run; --databases makes them anew (users notice)")
    return kept


def _up(
    stack: Stack,
    names: Sequence[str],
    kept: Sequence[str],
    before: Sequence[Container],
    *,
    timeout: float,
    engine: Engine,
    console: Console,
) -> float:
    """Start services and wait for them; give the seconds it took."""
    awaited = [name for name in names if stack.services[name].awaited]
    earlier = {one.run for one in before}
    if not kept:
        with engine.up(stack.project, names) as running:
            return wait_until_ready(
                running, awaited, stack, earlier=earlier, timeout=timeout, engine=engine, console=console
            )
    # Without dependencies Compose touches no other database, and waits for nothing: what others need goes first.
    databases = [name for name in names if name in stack.stateful and name not in kept]
    first = [name for name in names if stack.services[name].one_shot and stack.services[name].awaited]
    rest = [name for name in names if name not in {*databases, *first, *kept}]
    seconds = 0.0
    for part in filter(None, (databases, first, rest)):
        with engine.up(stack.project, part, "--no-deps") as running:
            chosen = [name for name in part if name in awaited]
            seconds += wait_until_ready(
                running, chosen, stack, earlier=earlier, timeout=timeout, engine=engine, console=console
            )
    return seconds


def _reread(
    stack: Stack,
    written: Mapping[str, float],
    containers: Sequence[Container],
    *,
    timeout: float,
    engine: Engine,
    console: Console,
) -> tuple[str, ...]:
    """Restart what was started before a file that it reads changed; of databases only say so. Give the restarted."""
    reading = [name for name in production.outdated(stack, written, containers) if not stack.services[name].one_shot]
    databases = [name for name in reading if name in stack.stateful]
    if databases:
        names = ",".join(databases)
        console.warn(f"{names}: new configuration, read at the next restart: inv deploy.restart --svc {names}")
    others = [name for name in reading if name not in databases]
    if others:
        console.say(f"restarting what reads a changed file: {', '.join(others)}")
        restart_in_turn(stack, others, timeout=timeout, engine=engine, console=console)
    return tuple(others)


def _tell_unawaited(services: Mapping[str, Service], containers: Sequence[Container], console: Console) -> None:
    """Say which one-shots go on, or failed, without anybody waiting for them."""
    ended = {one.service for one in containers if one.state == "exited" and one.exit_code == 0}
    for name in sorted(name for name, one in services.items() if not one.awaited and name not in ended):
        what = services[name].description
        console.warn(f"{name} ({what}) is not done yet; see inv deploy.logs --svc {name} --follow")


def changed_services(
    before: Sequence[Container], after: Sequence[Container], one_shots: Collection[str] = ()
) -> tuple[str, ...]:
    """Name the services of which a container is new or was started; a one-shot only when it is new.

    Compose runs a one-shot that has exited again each time, which changes nothing: that is what makes it a one-shot.
    """
    runs, ids = {one.run for one in before}, {one.id for one in before}
    old = {one.id for one in after if one.run in runs or (one.service in one_shots and one.id in ids)}
    return tuple(sorted({one.service for one in after if one.id not in old}))


def addresses(stack: Stack, names: Sequence[str], variables: Mapping[str, str]) -> tuple[Address, ...]:
    """Give the addresses of services, with the logins of the env file."""
    return tuple(
        Address(name, service.url, login(service.login, variables), service.description)
        for name in names
        if (service := stack.services[name]).url
    )


def login(prefix: str, variables: Mapping[str, str]) -> str:
    """Give user and password of the variables that begin with a prefix, or what there is of them."""
    names = ("USER", "ACCESS_KEY", "PASSWORD", "SECRET_KEY") if prefix else ()
    return " / ".join(variables[f"{prefix}_{name}"] for name in names if f"{prefix}_{name}" in variables)


def foreign_volumes(stack: Stack, names: Sequence[str], actual: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    """Find the volumes whose data another server or version wrote: starting on them would fail, or ruin them."""
    wanted = {volume for name in names for volume in stack.services[name].volumes}
    return [
        Finding(
            f"volume {volume}",
            f"holds {held} data, and this stack runs {stack.formats[volume]}",
            f"Save what you need of it, then: docker volume rm {volume}",
        )
        for volume in sorted(wanted & actual.keys() & stack.formats.keys())
        if (held := actual[volume].get(FORMAT_LABEL, "unknown")) != stack.formats[volume]
    ]


def _check_host(stack: Stack, names: Sequence[str], *, settings: Settings, engine: Engine, console: Console) -> None:
    ports = {name: stack.services[name].ports for name in names}
    volumes = engine.volume_labels(engine.volumes(stack.project.name))
    found = preflight(settings, observe(settings, engine, ports))
    for warning in found.warnings:
        console.warn(str(warning))
    folders = [settings.home / "docker", settings.home / "nginx", settings.app_context, settings.llm_context]
    errors = [*found.errors, *foreign_volumes(stack, names, volumes), *closed_files(folders)]
    if settings.environment == "prod":
        errors += production.check(stack, settings=settings, engine=engine)
        for warning in secret_warnings(settings):
            console.warn(str(warning))
    if errors:
        raise PreflightError(f"this host is not ready for {stack.project.name}", findings=errors)


def closed_files(folders: Sequence[Path]) -> list[Finding]:
    """Find folders that containers have mounted and whose files only their owner may read, as under umask 077."""
    closed = {folder: path for folder in folders if (path := first_closed(folder))}
    return [
        Finding(str(path), "containers run as other users, who may not read it", f"chmod -R o+rX {folder}")
        for folder, path in closed.items()
    ]


def _show_plan(stack: Stack, names: Sequence[str], *, engine: Engine, console: Console) -> None:
    running = running_services(engine.containers(stack.project.name))
    images = engine.images(*{stack.services[name].image for name in names})
    rows = [
        (
            name,
            stack.services[name].image,
            "there" if stack.services[name].image in images else "to be made",
            "runs" if name in running else "to be started",
        )
        for name in names
    ]
    console.table(("service", "image", "image is", "container"), rows, f"{stack.project.name}: what would be done")


def update(*, yes: bool, dry_run: bool, settings: Settings, engine: Engine, console: Console) -> StartResult | None:
    """Pull and build what the files say now, and recreate what changed of the services that run."""
    running = running_services(engine.containers(settings.stack_name))
    if not running:
        console.say(f"{settings.stack_name} is not running. inv deploy.{settings.environment} starts it.")
        return None
    result = start(
        only=",".join(sorted(running)),
        rebuild=True,
        yes=yes,
        dry_run=dry_run,
        settings=settings,
        engine=engine,
        console=console,
    )
    if result and result.changed:
        console.done(f"updated: {', '.join(result.changed)}")
    return result


def show_addresses(result: StartResult, console: Console) -> None:
    """Print where everything is to be found."""
    rows = [(one.service, one.url, one.login, one.description) for one in result.addresses]
    if rows:
        console.table(("service", "address", "login", ""), rows)
