"""PostgreSQL's dumps as they come: the roles, and each database with its facts."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.components.postgres_facts import (
    BACKEND,
    CONTENT,
    DUMPER,
    LOCKED,
    LOCKS,
    OVERVIEW,
    SETTINGS,
    SNAPSHOT,
    TABLES,
    read_facts,
    whole,
)
from cotai_tasks.backup.components.postgres_roles import ROLES
from cotai_tasks.backup.components.postgres_server import MAINTENANCE, STRICT, lines
from cotai_tasks.errors import BackupError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.backup.components.postgres_facts import Facts
    from cotai_tasks.backup.components.postgres_server import Server
    from cotai_tasks.process import Piped

_LOCK_PATIENCE = "60s"
"""What holds a table longer, a migration, ends the backup."""

_SETTINGS = "\n-- settings of the databases: "
"""Before them, on a line of its own: no value can hold it, for JSON writes the end of a line otherwise."""

_SERVER = f"""
SELECT json_build_object('server_version_num', current_setting('server_version_num')::int,
    'roles', ({ROLES}), 'settings', ({SETTINGS}), 'tables', ({TABLES}))"""
"""Asks for everything at once: each question starts a process in the server's container, which its users notice."""

_NAMED = 3
"""Of tables that are too many to name."""

_TRIES = 20
"""How often somebody may come between the dump and its facts: he would have to come in the same few milliseconds."""


def stream_name(database: str) -> str:
    """Name the stream of a database; the names of databases may hold anything, and be those of other streams."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", database)
    if plain == database and database not in {"globals", "physical"}:
        return f"postgres-{database}"
    return f"postgres-{plain}-{hashlib.sha256(database.encode()).hexdigest()[:8]}"


@dataclass
class _Roles:
    """The bytes of pg_dumpall, and after them the databases' settings in a remark."""

    dump: Piped
    facts: dict[str, Any]
    last: bytes

    def read(self, size: int = 2**20) -> bytes:
        if given := self.dump.read(size):
            return given
        given, self.last = self.last[:size], self.last[size:]
        return given

    def finish(self) -> dict[str, Any]:
        self.dump.finish()
        return self.facts


@contextmanager
def dump_roles(server: Server) -> Iterator[_Roles]:
    """Begin to dump the roles, without their passwords.

    A restore must not bring one back that was changed because it was known; a stack's own logins have theirs from its
    configuration. Raises `BackupError` where the server's own database holds tables: nobody would dump them.
    """
    facts = json.loads(server.ask(_SERVER))
    if tables := facts.pop("tables"):
        fault = f"database {MAINTENANCE} holds tables ({', '.join(tables[:_NAMED])}), and is never backed up"
        cure = "It is the server's own. Move them into another database (pg_dump -t, psql), or drop them."
        raise BackupError(fault, cure=cure)
    settings = write_settings(facts.pop("settings"))
    command = server.tool("pg_dumpall", "--globals-only", "--no-role-passwords", "--no-tablespaces")
    with server.leashed(command, "pg_dumpall") as dump:
        yield _Roles(dump, facts, settings)


def write_settings(statements: dict[str, list[str]]) -> bytes:
    """Give the statements of each database as a line that psql reads over: the databases are not there yet."""
    return f"{_SETTINGS}{json.dumps(statements)}\n".encode()


def read_settings(dumped: bytes) -> dict[str, list[str]]:
    """Give them back from the end of the dumped roles."""
    told: dict[str, list[str]] = json.loads(dumped.rpartition(_SETTINGS.encode())[2])
    return told


@dataclass
class _Database:
    """The bytes of pg_dump, and beside it a session that reads the facts in the same snapshot."""

    dump: Piped
    session: Piped
    told: Iterator[str]
    facts: Facts
    first: bytes = b""

    def read(self, size: int = 2**20) -> bytes:
        given, self.first = self.first[:size], self.first[size:]
        return given or self.dump.read(size)

    def is_alone(self) -> bool:
        """Wait until both have every table; tell whether nobody came between."""
        self.first = self.dump.read()
        if not self.first:
            self.dump.finish()  # raises, with pg_dump's own words
        self.facts |= read_facts(self.told, LOCKED)
        return LOCKED in self.facts

    def finish(self) -> Facts:
        self.dump.finish()
        facts = self.facts | read_facts(self.told)
        if not whole(facts):
            self.session.finish()  # raises, with psql's own words
        return facts


@contextmanager
def dump_database(server: Server, database: str) -> Iterator[_Database]:
    """Begin to dump a database and, in the same snapshot, to read its facts."""
    for left in reversed(range(_TRIES)):
        with _begin(server, database) as source:
            if source.is_alone():
                yield source
                return
            if not left:
                source.session.finish()  # raises, with psql's own words


@contextmanager
def _begin(server: Server, database: str) -> Iterator[_Database]:
    with server.session(database, STRICT, what=f"reading database {database}") as session:
        session.write(OVERVIEW.encode())
        told = lines(session)
        facts = read_facts(told, SNAPSHOT)
        if SNAPSHOT not in facts:
            session.finish()  # raises, with psql's own words
        session.write((LOCKS + CONTENT).encode())
        try:
            command = server.tool(
                *("pg_dump", "--format=custom", "--compress=0", f"--lock-wait-timeout={_LOCK_PATIENCE}"),
                f"--snapshot={facts[SNAPSHOT]}",
                database=database,
                session=f"{DUMPER}{facts[BACKEND]}",
            )
            with server.leashed(command, f"pg_dump of {database}") as dump:
                yield _Database(dump, session, told, facts)
        except BaseException:  # else it has come to its end
            with suppress(EngineError, BackupError):  # it may have gone with its server
                server.ask(f"SELECT pg_terminate_backend({facts[BACKEND]})")
            raise
