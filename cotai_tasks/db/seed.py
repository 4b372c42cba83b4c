"""Filling an application with examples, by its own command: it alone knows how its data comes about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.db.shell import DATABASES, require_running, run_in_application
from cotai_tasks.errors import UsageError
from cotai_tasks.lock import stack_lock
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

SERVICE = "backend"
"""Its image, settings and networks are the command's, in a container of its own."""
MOST = 100_000

# The command is the user's own line of shell; the number comes after it, as its last argument.
_RUN = '{command} "$@"'


def seed(
    *,
    count: int = 20,
    dry_run: bool = False,
    yes: bool = False,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> bool:
    """Run SEED_COMMAND with the number of examples as its last argument; tell whether there was one to run.

    Raises `UsageError` for a number that makes no sense, `RefusedError` in production without a yes, `DatabaseError`
    with the last lines of the command when it fails.
    """
    if not 1 <= count <= MOST:
        raise UsageError(f"--count {count}: must be from 1 to {MOST}")
    command = settings.variables.SEED_COMMAND
    if not command:
        console.say("no seed command: nothing to do (SEED_COMMAND is empty)")
        return False
    stack = open_stack(settings, engine)
    if dry_run:
        console.say(f"would run in {stack.project.name}: {command} {count}")
        return True
    needed = sorted(stack.services[SERVICE].depends_on & set(DATABASES))
    require_running(stack, needed, settings=settings, engine=engine)
    if settings.environment == "prod":
        console.confirm(f"Put {count} examples among the real data of {stack.project.name}?", yes=yes)
    with stack_lock(stack, engine, "db.seed"):
        script = ["sh", "-c", _RUN.format(command=command), SERVICE, str(count)]
        run_in_application(stack, SERVICE, script, engine, console, fault="the seed command failed")
    console.done(f"{command} {count} has ended well")
    return True
