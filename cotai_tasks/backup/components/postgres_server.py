"""A PostgreSQL server in a container, asked from within it as its superuser: the live one, or a scratch one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.engine import leashed
from cotai_tasks.errors import BackupError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cotai_tasks.backup.components.base import Site
    from cotai_tasks.engine import Engine
    from cotai_tasks.process import Piped

SERVICE = "postgres"

MAINTENANCE = "postgres"
"""The database that every server has for its administration; it is neither dumped nor replaced."""

LONG = 6 * 3600.0
"""Seconds of silence that are no fault: a large table is read, or an index made, without a word."""

_SOON = 120.0
"""Seconds in which a question is answered, if the server is not stopped or without a disk."""

_CONNECT = "30"
"""Seconds for a connection."""

# Through the socket the superuser comes in by what the operating system says of him: development trusts everybody
# there, production asks whether he is the server's own user. Production also ends long statements; these may be long.
_LOGIN = ["--username=postgres", "--no-password"]
_OPTIONS = (
    "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off"
    " -c client_min_messages=warning"
)
_PSQL = ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=VERBOSITY=terse", *_LOGIN]
STRICT = "--set=ON_ERROR_STOP=1"
_TIMED_OUT = ("timeout: sending signal", "failed: timeout expired")
"""What timeout says when it ends psql, and psql where it cannot connect in time."""


@dataclass(frozen=True)
class Server:
    """One running server."""

    engine: Engine
    container: str

    def ask(self, statement: str, database: str = MAINTENANCE) -> str:
        """Give what one statement answers, bare; raise `BackupError` where the server is silent."""
        # What changes something may wait for a checkpoint.
        patience = _SOON if statement.lstrip().startswith(("SELECT", "SHOW")) else LONG
        limit = ["timeout", "--verbose", "--kill-after=10", f"{patience:.0f}"]
        psql = [*limit, *_PSQL, STRICT, conninfo(database), "--command", statement]
        try:
            return self.engine.command("exec", *self._inside(psql)).strip()
        except EngineError as error:
            if not any(words in error.evidence for words in _TIMED_OUT):
                raise
            cure = "It runs and says nothing: look at its processes, its disk, and its log."
            fault = f"{SERVICE} does not answer ({self.container})"
            raise BackupError(fault, cure=cure, evidence=error.evidence) from error

    def session(self, database: str, *flags: str, what: str) -> Piped:
        """Begin psql: it runs what it is written, one statement after the other, and ends with its input."""
        return self.pipe([*_PSQL, *flags, conninfo(database)], what)

    def do(self, script: str, database: str = MAINTENANCE, *flags: str, what: str) -> None:
        """Run a script to its end; raise at its first error."""
        with self.session(database, STRICT, *flags, what=what) as psql:
            psql.write(script.encode())
            psql.finish()

    def tool(self, name: str, *arguments: str, database: str = MAINTENANCE, session: str = "") -> list[str]:
        """Give the command line of one of PostgreSQL's own tools; `session` names it to the server."""
        return [name, *_LOGIN, conninfo(database, session), *arguments]

    def pipe(self, command: Sequence[str], what: str) -> Piped:
        """Begin a command with bytes on its standard input and output."""
        return self.engine.pipe("exec", "--interactive", *self._inside(command), what=what, patience=LONG)

    def leashed(self, command: Sequence[str], what: str) -> Piped:
        """Begin a command that gives bytes, and ends in its container when whoever reads them has gone."""
        return self.pipe(leashed(command), what)

    def databases(self) -> dict[str, str]:
        """Give every database that is no template by its name: `open`, `closed` to connections, or `broken`."""
        told = self.ask("""
            SELECT coalesce(json_object_agg(datname, CASE WHEN datconnlimit = -2 THEN 'broken'
                WHEN datallowconn THEN 'open' ELSE 'closed' END ORDER BY datname), '{}')
            FROM pg_database WHERE NOT datistemplate""")
        return {name: state for name, state in json.loads(told).items() if name != MAINTENANCE}

    def _inside(self, command: Sequence[str]) -> list[str]:
        said = {"PGOPTIONS": _OPTIONS, "PGAPPNAME": "cotai-backup", "LC_ALL": "C", "PGCONNECT_TIMEOUT": _CONNECT}
        return [
            *(part for key, value in said.items() for part in ("--env", f"{key}={value}")),
            self.container,
            *command,
        ]


def live(site: Site) -> Server:
    """Give the stack's own server; raise `BackupError` where it does not run."""
    return Server(site.engine, site.live(SERVICE).id)


def running(site: Site) -> Server | None:
    """Give the stack's own server, where it runs."""
    found = site.running(SERVICE)
    return Server(site.engine, found.id) if found else None


def lines(printed: Piped) -> Iterator[str]:
    """Give what a command prints line by line, as it comes."""
    rest = b""
    while piece := printed.read():
        *whole, rest = (rest + piece).split(b"\n")
        yield from map(text, whole)


def text(line: bytes) -> str:
    """Read what a database gave; one without an encoding may give any bytes, which are read one by one, as Latin-1."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def conninfo(database: str, session: str = "") -> str:
    """Name a database to one of PostgreSQL's tools, whatever is in its name."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"--dbname=dbname='{escaped}'{f' application_name={session}' if session else ''}"


def identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"{}"'.format(name.replace('"', '""'))


def literal(value: str) -> str:
    """Quote a text for SQL."""
    return "'{}'".format(value.replace("'", "''"))
