"""Shells, migrations and the state of the databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.task import open_tools, task

if TYPE_CHECKING:
    from invoke.context import Context


@task(
    positional=["database"],
    help={
        "database": "postgres, mongodb, redis or redis-cache.",
        "command": "Run one command, print the bare result, and leave.",
    },
)
def shell(c: Context, database: str, command: str = "", env: str = "") -> None:
    """Open a database's own client, logged in as the application: psql, mongosh or redis-cli."""
    from cotai_tasks.db.shell import shell as procedure

    procedure(database, command=command, **open_tools(c, env))


@task()
def migrate(c: Context, env: str = "", dry_run: bool = False) -> None:
    """Bring the database schema up to date with the application's migration command."""
    from cotai_tasks.db.migrate import migrate as procedure

    procedure(dry_run=dry_run, **open_tools(c, env))


@task()
def status(c: Context, env: str = "", json: bool = False) -> None:
    """Show how every database stands: connections, persistence, replica set, slow statements, indexes."""
    from cotai_tasks.db.status import database_status, show_status

    tools = open_tools(c, env)
    servers = database_status(settings=tools["settings"], engine=tools["engine"])
    show_status(servers, as_json=json, console=tools["console"])


@task()
def tune(c: Context, env: str = "", json: bool = False) -> None:
    """Compare each database's settings with what fits the container that it runs in."""
    from cotai_tasks.db.tune import show_advice
    from cotai_tasks.db.tune import tune as procedure

    tools = open_tools(c, env)
    advice = procedure(settings=tools["settings"], engine=tools["engine"])
    show_advice(advice, as_json=json, settings=tools["settings"], console=tools["console"])


@task(help={"count": "How many examples (default: 20)."})
def seed(c: Context, count: int = 20, env: str = "", dry_run: bool = False, yes: bool = False) -> None:
    """Fill the application with examples, by its own SEED_COMMAND."""
    from cotai_tasks.db.seed import seed as procedure

    procedure(count=count, dry_run=dry_run, yes=yes, **open_tools(c, env))
