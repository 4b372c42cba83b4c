"""Starting a stack: observe, decide, show, act, and wait until it is healthy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cotai_tasks.build import ensure_images
from cotai_tasks.console import duration
from cotai_tasks.deploy import production
from cotai_tasks.deploy.wait import wait_until_ready
from cotai_tasks.errors import Finding, PreflightError
from cotai_tasks.facts import running_services
from cotai_tasks.files import first_closed
from cotai_tasks.host import observe, preflight
from cotai_tasks.lock import require_no_restore, stack_lock
from cotai_tasks.security import secret_warnings
from cotai_tasks.stack import FORMAT_LABEL, choose_source, open_stack

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


def start(
    *,
    only: str = "",
    without: str = "",
    rebuild: bool = False,
    dry_run: bool = False,
    timeout: float = 180,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> StartResult | None:
    """Bring the services of development up and wait until every one is healthy; `None` after a dry run.

    `timeout` is in seconds, counted from when the images are there.
    """
    stack, names = choose(only, without, settings=settings, engine=engine, console=console)
    if dry_run:
        check_host(stack, names, settings=settings, engine=engine, console=console)
        show_plan(stack, names, engine=engine, console=console)
        return None
    ensure_images(replace(stack, services={}), rebuild=False, settings=settings, engine=engine, console=console)
    with stack_lock(stack, engine, "deploy"):
        require_no_restore(stack, engine)
        check_host(stack, names, settings=settings, engine=engine, console=console)
        before = engine.containers(stack.project.name)
        meant = replace(stack, services={name: stack.services[name] for name in names})
        ensure_images(meant, rebuild=rebuild, settings=settings, engine=engine, console=console)
        console.say(f"Starting {len(names)} services of {stack.project.name}")
        with engine.up(stack.project, names) as running:
            seconds = wait_until_ready(
                running,
                [name for name in names if stack.services[name].awaited],
                stack,
                earlier={one.run for one in before},
                timeout=timeout,
                engine=engine,
                console=console,
            )
        after = engine.containers(stack.project.name)
    changed = changed_services(before, after, {name for name, one in stack.services.items() if one.one_shot})
    tell_unawaited(meant.services, after, console)
    return outcome(stack, names, changed, seconds, fresh=not before, settings=settings, console=console)


def choose(only: str, without: str, *, settings: Settings, engine: Engine, console: Console) -> tuple[Stack, list[str]]:
    """Open the stack, name the services that are meant, and warn of what is not as one may expect."""
    source, reason = choose_source(settings, engine)
    if source == "offline":
        console.warn(f"Offline images ({reason}). MongoDB is a surrogate, for evaluation only.")
    stack = open_stack(settings, engine, source)
    names = stack.select(only, without)
    for name, service in stack.left_out.items():
        console.warn(f"{name} ({service.description}) is left out: {stack.reasons[name]}.")
    return stack, names


def outcome(
    stack: Stack,
    names: Sequence[str],
    changed: Sequence[str],
    seconds: float,
    *,
    fresh: bool,
    settings: Settings,
    console: Console,
) -> StartResult:
    """Say what came of a start, and give it."""
    if changed:
        console.done(f"{stack.project.name}: {len(names)} services healthy after {duration(seconds)}")
        if not fresh and len(changed) < len(names):
            console.say(f"  new or restarted: {', '.join(changed)}")
    else:
        console.done(f"{stack.project.name}: nothing to do, {len(names)} services healthy")
    found = addresses(stack, names, settings.variables.plain())
    return StartResult(stack.project.name, tuple(changed), seconds, found)


def tell_unawaited(services: Mapping[str, Service], containers: Sequence[Container], console: Console) -> None:
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


def check_host(stack: Stack, names: Sequence[str], *, settings: Settings, engine: Engine, console: Console) -> None:
    """Raise `PreflightError` with everything that is wrong with this host, or missing on it."""
    ports = {name: stack.services[name].ports for name in names}
    with ThreadPoolExecutor() as pool:  # all of it is waiting for the engine
        asked = pool.submit(_check_production, stack, settings, engine)
        volumes = engine.volume_labels(engine.volumes(stack.project.name))
        found = preflight(settings, observe(settings, engine, ports))
    for warning in found.warnings:
        console.warn(str(warning))
    folders = [settings.home / "docker", settings.home / "nginx", settings.app_context, settings.llm_context]
    errors = [*found.errors, *foreign_volumes(stack, names, volumes), *closed_files(folders)]
    errors += asked.result()
    if settings.environment == "prod":
        for warning in secret_warnings(settings):
            console.warn(str(warning))
    if errors:
        raise PreflightError(f"this host is not ready for {stack.project.name}", findings=errors)


def _check_production(stack: Stack, settings: Settings, engine: Engine) -> list[Finding]:
    return production.check(stack, settings=settings, engine=engine) if settings.environment == "prod" else []


def closed_files(folders: Sequence[Path]) -> list[Finding]:
    """Find folders that containers have mounted and whose files only their owner may read, as under umask 077."""
    closed = {folder: path for folder in folders if (path := first_closed(folder))}
    return [
        Finding(str(path), "containers run as other users, who may not read it", f"chmod -R o+rX {folder}")
        for folder, path in closed.items()
    ]


def show_plan(stack: Stack, names: Sequence[str], *, engine: Engine, console: Console) -> None:
    """Print each service, and whether its image and its container are there."""
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


def show_addresses(result: StartResult, console: Console) -> None:
    """Print where everything is to be found."""
    rows = [(one.service, one.url, one.login, one.description) for one in result.addresses]
    if rows:
        console.table(("service", "address", "login", ""), rows)
