"""Bringing the database schema up to date, with the application's own migration command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.db.shell import ask, client, require_running, run_in_application
from cotai_tasks.lock import stack_lock
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

SERVICE = "migrate"

# An application without Alembic has no such table; psql's \if keeps that from being an error.
_REVISION = """
SELECT to_regclass('alembic_version') IS NOT NULL AS alembic \\gset
\\if :alembic
SELECT string_agg(version_num, ' ' ORDER BY version_num) FROM alembic_version;
\\endif
"""


@dataclass(frozen=True)
class Migration:
    """What a migration did: Alembic's revisions, empty where the application does not use it."""

    before: str
    after: str


def migrate(*, dry_run: bool = False, settings: Settings, engine: Engine, console: Console) -> Migration | None:
    """Run the stack's one-shot `migrate` service; `None` where there was nothing to run.

    Raises `DatabaseError` with the last lines of the migration that failed.
    """
    command = settings.variables.MIGRATE_COMMAND
    if not command:
        console.say("no migration command: nothing to do (MIGRATE_COMMAND is empty)")
        return None
    stack = open_stack(settings, engine)
    if dry_run:
        console.say(f"would run in {stack.project.name}: {command}")
        return None
    require_running(stack, sorted(stack.services[SERVICE].depends_on), settings=settings, engine=engine)
    with stack_lock(stack, engine, "db.migrate"):
        before = revision(stack, engine)
        cure = "The schema is as its last finished step left it."
        run_in_application(stack, SERVICE, (), engine, console, fault="the migration failed", cure=cure)
        result = Migration(before, revision(stack, engine))
    console.done(summary(result))
    return result


def summary(result: Migration) -> str:
    """Say in one line what a migration did."""
    if not result.after:
        return "migrated"
    if result.before == result.after:
        return f"nothing to do: the schema is at revision {result.after}"
    return f"migrated from revision {result.before or 'none'} to {result.after}"


def sql(script: str) -> list[str]:
    """Give the command that makes psql read a script, of which only the bare results are printed."""
    psql = shlex.join(client("postgres", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"))
    return ["sh", "-c", f'printf %s "$1" | {psql}', "postgres", script]


def revision(stack: Stack, engine: Engine) -> str:
    """Give the schema's Alembic revision; empty where there is none."""
    return ask(stack, "postgres", sql(_REVISION), engine).strip()
