"""Deploying production: everything that can be known is known before anything is changed; then nobody notices."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cotai_tasks.build import ensure_images
from cotai_tasks.deploy import production
from cotai_tasks.deploy.changes import REREAD, changes, named, rolled_beside
from cotai_tasks.deploy.hooks import announced
from cotai_tasks.deploy.proxy import PROXY, read_upstreams
from cotai_tasks.deploy.release import Records, Release, commit, new_id, owner, require_finished
from cotai_tasks.deploy.rollout import Rollout
from cotai_tasks.deploy.schema import MIGRATION, checkpoint, require_additive, upcoming
from cotai_tasks.deploy.start import StartResult, check_host, choose, outcome, tell_unawaited
from cotai_tasks.deploy.wait import wait_until_ready
from cotai_tasks.facts import running_services
from cotai_tasks.lock import require_no_restore, stack_lock
from cotai_tasks.stack import placed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.deploy.changes import Change
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

WATCH = 60.0
"""Seconds that both releases are kept, once the new one serves."""
DRAIN = 60.0
"""Seconds that requests in hand have to end: as long as Nginx waits for an answer (nginx/snippets/proxy.conf)."""


def deploy(  # noqa: PLR0913 - a flag each
    *,
    only: str = "",
    without: str = "",
    rebuild: bool = False,
    databases: bool = False,
    destructive: bool = False,
    backup: bool = True,
    watch: float = WATCH,
    drain: float = DRAIN,
    yes: bool = False,
    dry_run: bool = False,
    timeout: float = 600,
    lock_wait: float = 0,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> StartResult | None:
    """Put what the files say now in the place of what runs; `None` after a dry run.

    All times are in seconds. A database that runs is made anew only with `databases`; a migration takes something away
    only with `destructive`, after a `backup`. What runs is changed after a question, or with `yes`. Raises what went
    wrong; the old release then serves as before.
    """
    stack, names = choose(only, without, settings=settings, engine=engine, console=console)
    _tell_unserved_queues(names, settings, console)
    if dry_run:
        check_host(stack, names, settings=settings, engine=engine, console=console)
        show_changes(
            stack, decide(stack, names, engine.containers(stack.project.name), engine, databases=databases), console
        )
        return None
    ensure_images(replace(stack, services={}), rebuild=False, settings=settings, engine=engine, console=console)
    with stack_lock(stack, engine, "deploy", wait=lock_wait) as require_held:
        require_no_restore(stack, engine)
        looked_into = production.can_read_volumes(stack, engine)
        if looked_into:
            require_finished(stack, engine)
        check_host(stack, names, settings=settings, engine=engine, console=console)
        meant = replace(stack, services={name: stack.services[name] for name in names})
        ensure_images(meant, rebuild=rebuild, settings=settings, engine=engine, console=console)
        if not looked_into:
            check_host(stack, names, settings=settings, engine=engine, console=console)
        before = engine.containers(stack.project.name)
        decided = decide(stack, names, before, engine, databases=databases)
        gone = _taken_away(stack, decided, before, settings, engine, console)
        require_additive(gone, allowed=destructive)
        production.require_room(stack, rolled_beside(stack, decided), before, engine)
        asked = bool(named(decided, "run", "roll", "replace", "start"))
        if asked:
            _ask(stack, decided, before, console, yes=yes)
        _stop_left_out(stack, before, engine, console)
        kept = named(decided, "keep")
        with console.step("putting configuration and secrets where the containers read them"):
            written = production.fill_volumes(stack, kept, before, settings=settings, engine=engine)
        reread = production.outdated(stack, written, before)
        decided = decide(stack, names, before, engine, databases=databases, reread=reread)
        if PROXY in named(decided, "start", "replace"):
            production.check_proxy(stack, before, engine)
        _tell_kept(decided, console)
        if active := [one for one in decided if one.how != "keep"]:
            if not asked:
                _ask(stack, active, before, console, yes=yes)
            done = _release(
                stack,
                active,
                before,
                taken_away=gone,
                kept_in=checkpoint(settings, engine, console) if gone and backup else "",
                watch=watch,
                drain=drain,
                timeout=timeout,
                require_held=require_held,
                settings=settings,
                engine=engine,
                console=console,
            )
            console.say(f"  release {done.id}; users saw {done.seen}")
        awaited = [name for name in names if stack.services[name].awaited]
        seconds = wait_until_ready(None, awaited, stack, timeout=timeout, engine=engine, console=console)
        if PROXY in names:
            production.confirm(stack, settings=settings, engine=engine, console=console)
    tell_unawaited(meant.services, engine.containers(stack.project.name), console)
    if active:
        seconds = (datetime.now(UTC) - done.begun).total_seconds()
    changed = sorted(one.service for one in active)
    return outcome(stack, names, changed, seconds, fresh=not before, settings=settings, console=console)


def plan(
    *, rebuild: bool = False, as_json: bool = False, settings: Settings, engine: Engine, console: Console
) -> list[Change]:
    """Show what a deploy would do now. Changed files of configuration are found out by the deploy itself."""
    stack, names = choose("", "", settings=settings, engine=engine, console=console)
    if rebuild:
        ensure_images(stack, rebuild=True, settings=settings, engine=engine, console=console)
    before = engine.containers(stack.project.name)
    decided = decide(stack, names, before, engine)
    gone = _taken_away(stack, decided, before, settings, engine, console)
    show_changes(stack, decided, console, gone, as_json=as_json)
    return decided


def update(*, yes: bool, dry_run: bool, settings: Settings, engine: Engine, console: Console) -> StartResult | None:
    """Pull and build what the files say now, and replace what changed of the services that run."""
    from cotai_tasks.deploy.start import start

    running = running_services(engine.containers(settings.stack_name))
    if not running:
        console.say(f"{settings.stack_name} is not running. inv deploy.{settings.environment} starts it.")
        return None
    tools = {"settings": settings, "engine": engine, "console": console}
    only = ",".join(sorted(running))
    if settings.environment == "dev":
        result = start(only=only, rebuild=True, dry_run=dry_run, **tools)  # type: ignore[arg-type]
    else:
        result = deploy(only=only, rebuild=True, yes=yes, dry_run=dry_run, **tools)  # type: ignore[arg-type]
    if result and result.changed:
        console.done(f"updated: {', '.join(result.changed)}")
    return result


def decide(
    stack: Stack,
    names: Sequence[str],
    containers: Collection[Container],
    engine: Engine,
    *,
    databases: bool = False,
    reread: Collection[str] = (),
) -> list[Change]:
    """Compare what runs with what is wanted now."""
    images = engine.images(*dict.fromkeys(stack.services[name].image for name in names))
    return changes(stack, names, images=images, containers=containers, reread=reread, databases=databases)


def show_changes(
    stack: Stack, decided: Sequence[Change], console: Console, taken_away: Sequence[str] = (), *, as_json: bool = False
) -> None:
    """Print what a deploy would do to each service, why, and who would notice; and what its migration takes away."""
    if as_json:
        shown = [one.model_dump() for one in decided]
        console.json({"stack": stack.project.name, "changes": shown, "taken_away": [*taken_away]})
    elif decided:
        rows = [(one.service, one.how, ", ".join(one.reasons), one.noticed) for one in decided]
        console.table(("service", "what", "why", "who notices"), rows, f"{stack.project.name}: what would be done")
    else:
        console.done(f"{stack.project.name}: nothing to do")
    for one in () if as_json else taken_away:
        console.warn(f"the migration takes away what the release that serves may use: {one}")


def _taken_away(
    stack: Stack,
    decided: Sequence[Change],
    before: Sequence[Container],
    settings: Settings,
    engine: Engine,
    console: Console,
) -> list[str]:
    """Give what the migration would take away from a release that serves."""
    if MIGRATION not in named(decided, "run") or "postgres" not in running_services(before):
        return []
    return upcoming(stack, settings.variables.MIGRATE_COMMAND, engine, console)


def _release(  # noqa: PLR0913 - a fact each
    stack: Stack,
    decided: Sequence[Change],
    before: Sequence[Container],
    *,
    taken_away: Sequence[str],
    kept_in: str,
    watch: float,
    drain: float,
    timeout: float,
    require_held: Callable[[], None],
    settings: Settings,
    engine: Engine,
    console: Console,
) -> Release:
    """Write down what is to be done, and do it."""
    now = datetime.now(UTC)
    release = new_id(now)
    moved = {name: stack.places[name].next(release) for name in named(decided, "roll")}
    moved |= {
        name: replace(stack.places[name], release=release) for name in named(decided, "start") if name in stack.rolls
    }
    records = Records.read(stack, engine)
    names = {one.service for one in decided}
    images = engine.images(*dict.fromkeys(one.image for one in stack.services.values()))
    planned = Release(
        id=release,
        stack=stack.project.name,
        begun=now,
        by=owner(),
        commit=commit(settings.directory),
        changes=tuple(decided),
        before=stack.places,
        after=stack.places | moved,
        old=old_containers(before, names & stack.rolls.keys()),
        images={name: images[one.image].id for name, one in stack.services.items() if one.image in images},
        taken_away=tuple(taken_away),
        backup=kept_in,
    )
    with announced(planned, settings, console):
        frozen = json.dumps(engine.config(placed(stack, moved))).encode()
        records.begin(planned, frozen, read_upstreams(stack, engine))
        return Rollout(
            stack,
            planned,
            records,
            settings.server_names[0],
            timeout,
            watch,
            drain,
            engine,
            console,
            require_held,
        ).run()


def old_containers(containers: Collection[Container], services: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Name the containers of services that run now."""
    found: dict[str, tuple[str, ...]] = {}
    for one in containers:
        if one.service in services:
            found[one.service] = (*found.get(one.service, ()), one.id)
    return found


def _ask(stack: Stack, decided: Sequence[Change], before: Sequence[Container], console: Console, *, yes: bool) -> None:
    """Show what would be done before anything that runs is changed, and ask."""
    if not running_services(before):
        return
    show_changes(stack, decided, console)
    console.confirm(f"Change this of {stack.project.name}?", yes=yes)


def _stop_left_out(stack: Stack, before: Sequence[Container], engine: Engine, console: Console) -> None:
    """Stop what runs and has no place in the stack any more: with its old limits it would take the others' memory."""
    running = sorted(running_services(before) & stack.left_out.keys())
    if running:
        with console.step(f"stopping what is left out now: {', '.join(running)}"):
            for _ in engine.stop(stack.project, running):
                pass


def _tell_kept(decided: Sequence[Change], console: Console) -> None:
    for one in decided:
        if one.how == "keep" and one.reasons == (REREAD,):
            console.warn(
                f"{one.service}: new configuration, read at the next restart: inv deploy.restart --svc {one.service}"
            )
        elif one.how == "keep":
            reasons = " and ".join(one.reasons)
            console.warn(f"{one.service}: {reasons}; left as it runs. --with-databases makes it anew (users notice)")


def _tell_unserved_queues(names: Sequence[str], settings: Settings, console: Console) -> None:
    queues = settings.variables.CELERY_AI_QUEUES
    if queues and "celery-worker-ai" not in names:
        console.warn(
            f"nobody serves the queues {queues} (CELERY_AI_QUEUES): celery-worker-ai is not among the services"
        )
