"""How each database's answer reads: what stands in everybody's line, and what only some have to tell."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cotai_tasks.console import duration, size

if TYPE_CHECKING:
    from collections.abc import Callable

Rows = list[dict[str, Any]]

TITLES = {
    "slowest_statements": "statements that took most time",
    "tables_read_whole": "tables read from end to end: is there an index missing?",
    "unused_indexes": "indexes that nothing has used",
    "wal_receivers": "receivers of the write-ahead log",
    "members": "members of the replica set",
}
"""The longer lists, and how a person is told of them."""
_TRUE = {True: "yes", False: "no"}


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
    tls: bool = False
    persistence: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    details: dict[str, Rows] = field(default_factory=dict)
    """Lists of `TITLES`, only those with something in them: sizes in bytes, times in milliseconds."""


def read_postgres(service: str, answer: str) -> ServerStatus:
    """Read what PostgreSQL answers."""
    told = json.loads(answer)
    facts = {"revision": told["revision"]} if told["revision"] else {}
    facts |= {"pg_stat_statements": "on" if told["statements"] else "off", "checksums": told["checksums"]}
    lists = {
        "slowest_statements": told["slowest"],
        "tables_read_whole": told["scanned"],
        "unused_indexes": told["unused"],
        "wal_receivers": told["receivers"],
    }
    return _server(
        service,
        told,
        persistence=f"WAL {told['wal']}, fsync {told['fsync']}, {_archive(told)}",
        facts=facts,
        details=lists,
    )


def _archive(told: dict[str, Any]) -> str:
    """Tell how the log leaves the server: by streaming, by archiving, or not at all."""
    if any(one["active"] for one in told["receivers"]):
        return "archive streaming"
    if told["archive"] == "off":
        return "archive off"
    failed = told["archiver"]["failed"]
    return f"archive {told['archive']}, {failed} failures" if failed else f"archive {told['archive']}"


def read_mongodb(service: str, answer: str) -> ServerStatus:
    """Read what MongoDB or the image for evaluation answers."""
    told = json.loads(answer)
    role = "primary" if told["primary"] else "NOT primary"
    facts = {"collections": str(told["collections"]), "replica set": f"{told['set'] or 'none'} ({role})"}
    members = told.get("members", [])
    return _server(
        service,
        told,
        persistence="journal",
        facts=facts | ({"image": "for evaluation only"} if told.get("evaluation") else {}),
        details={"members": members if len(members) > 1 else []},
    )


def read_redis(service: str, answer: str) -> ServerStatus:
    """Read what INFO and CONFIG GET answer."""
    told = dict(line.split(":", 1) for line in answer.splitlines() if ":" in line)
    keys = sum(int(value.split(",")[0].removeprefix("keys=")) for name, value in told.items() if _is_keyspace(name))
    limit = int(told["maxmemory"])
    kinds = [("append-only file", told["aof_enabled"] == "1"), ("snapshots", bool(told["save"]))]
    facts = {"keys": str(keys), "memory limit": size(limit) if limit else "none", "policy": told["maxmemory_policy"]}
    return _server(
        service,
        {
            "version": told["redis_version"],
            "size": int(told["used_memory"]),
            "connections": int(told["connected_clients"]),
            "max_connections": int(told["maxclients"]),
            "tls": told["tls_port"] != "0",
        },
        persistence=" and ".join(name for name, on in kinds if on) or "none",
        facts=facts | _saved(told),
        details={},
    )


def _saved(told: dict[str, str]) -> dict[str, str]:
    """Tell when data was last written down, and what went wrong with it."""
    found = {}
    if told["save"]:
        age = int(told["server_time_usec"]) / 1e6 - int(told["rdb_last_save_time"])
        found["last snapshot"] = f"{duration(max(age, 0))} ago"
    states = {
        "SNAPSHOT": told["rdb_last_bgsave_status"],
        "APPEND-ONLY FILE": told["aof_last_write_status"],
        "REWRITE": told["aof_last_bgrewrite_status"],
    }
    return found | {name: "FAILED" for name, state in states.items() if state != "ok"}


def _is_keyspace(name: str) -> bool:
    return name.startswith("db") and name[2:].isdecimal()


def _server(
    service: str, told: dict[str, Any], *, persistence: str, facts: dict[str, str], details: dict[str, Rows]
) -> ServerStatus:
    return ServerStatus(
        service,
        up=True,
        version=told["version"],
        size=told["size"],
        connections=told["connections"],
        max_connections=told["max_connections"],
        tls=told["tls"],
        persistence=persistence,
        facts=facts,
        details={name: rows for name, rows in details.items() if rows},
    )


READERS: dict[str, Callable[[str, str], ServerStatus]] = {
    "postgres": read_postgres,
    "mongodb": read_mongodb,
    "redis": read_redis,
    "redis-cache": read_redis,
}
"""By server: what reads its answer."""


def cells(row: dict[str, Any]) -> list[str]:
    """Give one entry of a longer list as a table shows it."""
    return [_cell(name, value) for name, value in row.items()]


_WIDEST = 100
"""Characters of a statement in a table; `--json` has more."""


def _cell(name: str, value: object) -> str:
    if isinstance(value, bool):
        return _TRUE[value]
    if isinstance(value, int | float):
        return size(value) if name in {"size", "kept"} else f"{value:,}"
    text = str(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
