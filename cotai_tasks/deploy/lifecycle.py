"""Restarting, stopping and removing what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.console import duration
from cotai_tasks.deploy.production import can_read_volumes
from cotai_tasks.deploy.release import Records, notes
from cotai_tasks.deploy.wait import restart_in_turn
from cotai_tasks.facts import running_services
from cotai_tasks.lock import restore_note, stack_lock
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings


def restart(
    *,
    names: str,
    dry_run: bool,
    yes: bool = False,
    timeout: float = 180,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> tuple[str, ...]:
    """Restart the running services among those named (all where none is), and wait until they are healthy."""
    stack = open_stack(settings, engine)
    running = running_services(engine.containers(stack.project.name))
    chosen = tuple(name for name in stack.named(names) if name in running)
    if not chosen:
        console.say(f"{stack.project.name}: nothing of that runs. inv deploy.{settings.environment} starts it.")
    elif dry_run:
        console.say(f"would restart {', '.join(chosen)}")
    else:
        _ask(f"Restart {', '.join(chosen)}", settings, console, yes=yes)
        with stack_lock(stack, engine, "restart"):
            seconds = restart_in_turn(stack, chosen, timeout=timeout, engine=engine, console=console)
        console.done(f"healthy again ({duration(seconds)})")
    return chosen


def stop(
    *, names: str, dry_run: bool, yes: bool = False, settings: Settings, engine: Engine, console: Console
) -> tuple[str, ...]:
    """Stop the running services among those named (all where none is) and keep their containers."""
    stack = open_stack(settings, engine)
    known = set(stack.named(names)) if names else stack.services.keys() | stack.left_out.keys()
    running = {one.service for one in engine.containers(stack.project.name) if one.state in {"running", "restarting"}}
    chosen = tuple(sorted(running & known))
    orphans = sorted(running - stack.services.keys() - stack.left_out.keys())
    if orphans and not names:
        cure = "inv deploy.clean removes the whole stack, them too; volumes stay."
        console.warn(f"left running, no longer in the Compose files: {', '.join(orphans)}. {cure}")
    if not chosen:
        console.done(f"{stack.project.name}: nothing to do, nothing of that runs")
    elif dry_run:
        console.say(f"would stop {', '.join(chosen)}")
    else:
        _ask(f"Stop {', '.join(chosen)}", settings, console, yes=yes)
        with stack_lock(stack, engine, "stop"), console.step(f"stopping {', '.join(chosen)}"):
            _finish(engine.stop(stack.project, chosen))
    return chosen


def clean(
    *, volumes: bool, yes: bool, dry_run: bool, settings: Settings, engine: Engine, console: Console
) -> tuple[str, ...]:
    """Remove a stack's containers and networks, and after a question its volumes; give what was removed."""
    stack = open_stack(settings, engine)
    name = stack.project.name
    containers = [one.name for one in engine.containers(name)]
    doomed = engine.volumes(name) if volumes else []
    if not containers and not doomed:
        console.done(f"{name}: nothing to do, nothing is there")
        return ()
    what = f"{len(containers)} containers" + (f" and {len(doomed)} volumes with all their data" if doomed else "")
    if dry_run:
        console.say(f"would remove {what} of {name}: {', '.join([*containers, *doomed])}")
        return ()
    if doomed:
        console.confirm(f"Remove {what} of {name}?", yes=yes)
    else:
        _ask(f"Remove {what}", settings, console, yes=yes)
    with stack_lock(stack, engine, "clean"), console.step(f"removing {what} of {name}"):
        released = settings.environment == "prod" and can_read_volumes(stack, engine)
        records = Records.read(stack, engine) if doomed and released else None
        _finish(engine.down(stack.project, volumes=volumes))
        if records:
            records.forget()
        if doomed:
            engine.command("volume", "rm", "--force", restore_note(stack), *notes(stack))
    return (*containers, *doomed)


def _ask(what: str, settings: Settings, console: Console, *, yes: bool) -> None:
    """In production ask before users notice something; in development nobody is asked."""
    if settings.environment == "prod":
        console.confirm(f"{what} of {settings.stack_name}? Its users will notice.", yes=yes)


def _finish(lines: Iterable[str]) -> None:
    """Let a command run to its end; its own lines say nothing that ours do not."""
    for _ in lines:
        pass
