"""How the databases stand: version, size, connections, persistence, and what else tells trouble early."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape

from cotai_tasks.console import size
from cotai_tasks.db.answers import READERS, TITLES, ServerStatus, cells
from cotai_tasks.db.questions import STATUS, in_time
from cotai_tasks.db.shell import DATABASES, ask
from cotai_tasks.errors import DatabaseError
from cotai_tasks.facts import running_services
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack


def database_status(*, settings: Settings, engine: Engine) -> list[ServerStatus]:
    """Ask every database of the stack, all at the same time."""
    stack = open_stack(settings, engine)
    running = running_services(engine.containers(stack.project.name))

    def status(service: str) -> ServerStatus:
        if service not in running:
            return ServerStatus(service, up=False, fault="not running")
        return _status(stack, service, engine)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(status, (name for name in DATABASES if name in stack.services)))


def show_status(servers: Sequence[ServerStatus], *, as_json: bool, console: Console) -> None:
    """Print the status of the databases; raise `DatabaseError` when one is down."""
    if as_json:
        console.json([asdict(one) for one in servers])
    else:
        columns = ("server", "state", "version", "size", "connections", "TLS", "persistence", "more")
        console.table(columns, [row(one) for one in servers])
        for server in servers:
            for name, rows in server.details.items():
                console.out(f"\n{server.service}: {TITLES[name]}")
                names = [one.replace("_", " ") for one in rows[0]]
                console.table(names, [[escape(cell) for cell in cells(one)] for one in rows])
    down = [one.service for one in servers if not one.up]
    if down:
        raise DatabaseError(f"down: {', '.join(down)}", cure="Why: inv deploy.status and inv deploy.logs --svc NAME.")


def row(server: ServerStatus) -> tuple[str, ...]:
    """Give a server's line of the table."""
    if not server.up:
        return (server.service, "[red]down[/]", "", "", "", "", "", escape(server.fault))
    connections = f"{server.connections}/{server.max_connections or '?'}"
    facts = ", ".join(f"{name} {value}" for name, value in server.facts.items())
    return (
        server.service,
        "[green]up[/]",
        server.version,
        size(server.size),
        connections,
        "on" if server.tls else "off",
        server.persistence,
        escape(facts),
    )


def _status(stack: Stack, service: str, engine: Engine) -> ServerStatus:
    try:
        return READERS[service](service, ask(stack, service, in_time(STATUS[service]), engine))
    except DatabaseError as error:
        return ServerStatus(service, up=False, fault=str(error))
