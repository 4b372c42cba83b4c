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
    """Show version, size, connections and persistence of every database."""
    from cotai_tasks.db.status import database_status, show_status

    tools = open_tools(c, env)
    servers = database_status(settings=tools["settings"], engine=tools["engine"])
    show_status(servers, as_json=json, console=tools["console"])
