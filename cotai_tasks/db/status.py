"""How the databases stand: version, size, connections, persistence, and what else tells trouble early."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from cotai_tasks.console import size
from cotai_tasks.db.migrate import sql
from cotai_tasks.db.shell import DATABASES, ask, client
from cotai_tasks.errors import DatabaseError
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

PATIENCE = 10
"""Seconds that a server has for its answer; a healthy one takes a few milliseconds."""


@dataclass(frozen=True)
class ServerStatus:
    """How one database server stands; a server that is down has a fault and nothing else."""

    service: str
    up: bool
    fault: str = ""
    version: str = ""
    size: int = 0
    """Bytes: of PostgreSQL's and MongoDB's database on disk, of Redis' data in memory."""
    connections: int = 0
    max_connections: int = 0
    """0 where the server does not tell."""
    persistence: str = ""
    facts: dict[str, str] = field(default_factory=dict)


def database_status(*, settings: Settings, engine: Engine) -> list[ServerStatus]:
    """Ask every database of the stack, all at the same time."""
    stack = open_stack(settings, engine)
    running = {one.service for one in engine.containers(stack.project.name) if one.state == "running"}

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
        columns = ("server", "state", "version", "size", "connections", "persistence", "more")
        console.table(columns, [row(one) for one in servers])
    down = [one.service for one in servers if not one.up]
    if down:
        raise DatabaseError(f"down: {', '.join(down)}", cure="Why: inv deploy.status and inv deploy.logs --svc NAME.")


def row(server: ServerStatus) -> tuple[str, ...]:
    """Give a server's line of the table."""
    if not server.up:
        return (server.service, "[red]down[/]", "", "", "", "", escape(server.fault))
    connections = f"{server.connections}/{server.max_connections or '?'}"
    facts = ", ".join(f"{name} {value}" for name, value in server.facts.items())
    return (
        server.service,
        "[green]up[/]",
        server.version,
        size(server.size),
        connections,
        server.persistence,
        escape(facts),
    )


def _status(stack: Stack, service: str, engine: Engine) -> ServerStatus:
    command, read = _QUESTIONS[service]
    try:
        return read(service, ask(stack, service, in_time(command), engine))
    except DatabaseError as error:
        return ServerStatus(service, up=False, fault=str(error))


def in_time(command: Sequence[str], seconds: int = PATIENCE) -> list[str]:
    """Give a command that ends when a server takes the connection but does not answer."""
    return ["sh", "-c", _IN_TIME, "in-time", str(seconds), *command]


_IN_TIME = """
timeout "$@"
code=$?
[ $code != 124 ] || echo "no answer within $1 s" >&2
exit $code
"""


# -- what is asked, and how the answer reads ---------------------------------------------------------------------------

_POSTGRES = """
SELECT to_regclass('alembic_version') IS NOT NULL AS alembic \\gset
\\set revision ''
\\if :alembic
SELECT coalesce(string_agg(version_num, ' ' ORDER BY version_num), '') AS revision FROM alembic_version \\gset
\\endif
SELECT json_build_object(
    'version', split_part(current_setting('server_version'), ' ', 1),
    'size', pg_database_size(current_database()),
    'connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    'max_connections', current_setting('max_connections')::int,
    'wal', current_setting('wal_level'),
    'fsync', current_setting('fsync'),
    'archive', current_setting('archive_mode'),
    'statements', EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements'),
    'revision', :'revision');
"""

_REDIS = """
export REDISCLI_AUTH="$REDIS_PASSWORD"
redis-cli -e INFO
printf 'save:'
redis-cli -e CONFIG GET save | tail -n 1
"""

_MONGOSH = """
const status = db.serverStatus(), stats = db.stats(), hello = db.hello();
JSON.stringify({
    version: status.version,
    size: Number(stats.storageSize) + Number(stats.indexSize),
    connections: status.connections.current,
    max_connections: status.connections.current + status.connections.available,
    collections: Number(stats.collections),
    set: hello.setName || "",
    primary: hello.isWritablePrimary})
"""
# The image for evaluation has a Python prompt in the place of mongosh.
_MONGODB_SHELL = """
(lambda status, stats, hello: {
    "version": status["version"],
    "size": int(stats["storageSize"] + stats["indexSize"]),
    "connections": status["connections"]["current"],
    "max_connections": 0,
    "collections": int(stats["collections"]),
    "set": hello.get("setName", ""),
    "primary": hello["isWritablePrimary"],
    "evaluation": True,
})(db.command("serverStatus"), db.command("dbStats"), db.command("hello"))
"""


def read_postgres(service: str, answer: str) -> ServerStatus:
    """Read what `_POSTGRES` answers."""
    told = json.loads(answer)
    facts = {"revision": told["revision"]} if told["revision"] else {}
    return _server(
        service,
        told,
        persistence=f"WAL {told['wal']}, fsync {told['fsync']}, archive {told['archive']}",
        facts=facts | {"pg_stat_statements": "on" if told["statements"] else "off"},
    )


def read_mongodb(service: str, answer: str) -> ServerStatus:
    """Read what `_MONGOSH` or `_MONGODB_SHELL` answers."""
    told = json.loads(answer)
    role = "primary" if told["primary"] else "NOT primary"
    facts = {"collections": str(told["collections"]), "replica set": f"{told['set'] or 'none'} ({role})"}
    return _server(
        service,
        told,
        persistence="journal",
        facts=facts | ({"image": "for evaluation only"} if told.get("evaluation") else {}),
    )


def read_redis(service: str, answer: str) -> ServerStatus:
    """Read what INFO and CONFIG GET save answer."""
    told = dict(line.split(":", 1) for line in answer.splitlines() if ":" in line)
    keys = sum(int(value.split(",")[0].removeprefix("keys=")) for name, value in told.items() if _is_keyspace(name))
    limit = int(told["maxmemory"])
    kinds = [("append-only file", told["aof_enabled"] == "1"), ("snapshots", bool(told["save"]))]
    return _server(
        service,
        {
            "version": told["redis_version"],
            "size": int(told["used_memory"]),
            "connections": int(told["connected_clients"]),
            "max_connections": int(told["maxclients"]),
        },
        persistence=" and ".join(name for name, on in kinds if on) or "none",
        facts={
            "keys": str(keys),
            "memory limit": size(limit) if limit else "none",
            "policy": told["maxmemory_policy"],
        },
    )


def _is_keyspace(name: str) -> bool:
    return name.startswith("db") and name[2:].isdecimal()


def _server(service: str, told: dict[str, Any], *, persistence: str, facts: dict[str, str]) -> ServerStatus:
    return ServerStatus(
        service,
        up=True,
        version=told["version"],
        size=told["size"],
        connections=told["connections"],
        max_connections=told["max_connections"],
        persistence=persistence,
        facts=facts,
    )


_ASK_MONGODB = f"""
if command -v mongosh >/dev/null; then set -- --eval "$1"; else set -- --eval "$2"; fi
{client("mongodb")[2]}
"""
_QUESTIONS: dict[str, tuple[list[str], Callable[[str, str], ServerStatus]]] = {
    "postgres": (sql(_POSTGRES), read_postgres),
    "mongodb": (["sh", "-c", _ASK_MONGODB, "mongodb", _MONGOSH, _MONGODB_SHELL.strip()], read_mongodb),
    "redis": (["sh", "-c", _REDIS], read_redis),
    "redis-cache": (["sh", "-c", _REDIS], read_redis),
}
