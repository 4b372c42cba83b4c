"""PostgreSQL's databases, each as pg_dump gives it, and its roles."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cotai_tasks.backup.components.base import Dump, Leftovers, Rehearsal
from cotai_tasks.backup.components.postgres_dump import dump_database, dump_roles, read_settings, stream_name
from cotai_tasks.backup.components.postgres_facts import (
    CONTENT,
    HAS_ROWS,
    OVERVIEW,
    differences,
    read_facts,
    rows,
    whole,
)
from cotai_tasks.backup.components.postgres_roles import missing_roles, read_roles, role_differences
from cotai_tasks.backup.components.postgres_server import (
    MAINTENANCE,
    SERVICE,
    STRICT,
    Server,
    identifier,
    live,
    running,
    text,
)
from cotai_tasks.backup.components.postgres_swap import await_renames, beside, name_beside, placing, rename, returning
from cotai_tasks.backup.components.scratch import scratch
from cotai_tasks.console import count
from cotai_tasks.errors import BackupError, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cotai_tasks.backup.components.base import Difference, Feed, Site
    from cotai_tasks.backup.components.postgres_facts import Facts
    from cotai_tasks.backup.manifest import Stream

    Settings = dict[str, list[str]]
    """Statements by the database's name."""

# What is lost when the host crashes is no loss here, and nothing is replicated.
SCRATCH = (
    *("postgres", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"),
    *("-c", "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "max_wal_size=1GB", "-c", "autovacuum=off"),
)
ANSWERS = ("pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres")
"""Over TCP: while the image initialises a database, only its socket answers."""


@dataclass(frozen=True)
class Postgres:
    """Dumps every database but the maintenance one; restores each beside the live one of its name."""

    name: str = "postgres"

    def dumps(self, site: Site) -> list[Dump]:
        """Give one stream of the roles, and one to each database."""
        if SERVICE not in site.stack.services:
            return []
        server = live(site)
        found = server.databases()
        usable = [name for name, state in found.items() if state != "broken" and not beside([name])]
        for name in usable:
            if found[name] == "closed":
                cure = f"inv backup.discard, where a restore was interrupted; else ALTER DATABASE {identifier(name)}"
                raise BackupError(
                    f"database {name} takes no connections: it cannot be dumped", cure=f"{cure} ALLOW_CONNECTIONS true."
                )
            if "\ufffd" in name:
                raise BackupError(f"the name of database {name} is no UTF-8", cure="ALTER DATABASE … RENAME TO ….")
        return [
            Dump(self.name, "postgres-globals", "pg_globals", floor=300, open=partial(dump_roles, server)),
            *(
                Dump(self.name, stream_name(name), "pg_dump", floor=600, open=partial(dump_database, server, name))
                for name in usable
            ),
        ]

    def unfit(self, site: Site, streams: Sequence[Stream]) -> list[Finding]:
        """Find an older server, and extensions that it lacks."""
        if SERVICE not in site.stack.services:
            return [Finding(self.name, f"{site.stack.project.name} has no {SERVICE}", "Restore other parts: --only.")]
        ours = major_here(site)
        theirs = max(one.facts["server_version_num"] // 10_000 for one in streams)
        if theirs > ours:
            cure = "Set POSTGRES_IMAGE to that version or a later one."
            return [Finding(self.name, f"it was dumped by PostgreSQL {theirs}, here is {ours}", cure)]
        server = running(site)
        wanted = {name for one in streams for name in one.facts.get("extensions", ())}
        here = server.ask("SELECT string_agg(name, ',') FROM pg_available_extensions").split(",") if server else wanted
        return [
            Finding(self.name, f"extension {name} is not in the image", "Use an image that has it: POSTGRES_IMAGE.")
            for name in sorted(wanted - set(here))
        ]

    @contextmanager
    def rehearse(
        self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed, *, keep: bool = False
    ) -> Iterator[Rehearsal]:
        """Load roles and databases into a server of the same image, and compare roles, rows and contents."""
        preload = next((one.facts["preload"] for one in streams if "preload" in one.facts), "")
        command = [*SCRATCH, "-c", f"shared_preload_libraries={preload}"]
        trust = {"POSTGRES_HOST_AUTH_METHOD": "trust"}
        with scratch(site, SERVICE, backup, probe=ANSWERS, command=command, environ=trust, keep=keep) as name:
            server = Server(site.engine, name)
            found: list[Difference] = []
            settings: Settings = {}
            for stream in _roles_first(streams):
                if stream.kind == "pg_globals":
                    settings = _load_roles(server, stream, feed)
                    found += role_differences(stream.facts["roles"], read_roles(server))
                else:
                    found += _load(server, stream, stream.facts["database"], settings, feed)
            yield Rehearsal(tuple(found), compared(streams), (name,), (f"docker exec -it {name} psql -U postgres -l",))

    def is_empty(self, site: Site) -> bool:
        """Tell whether no database has a row but those that migrations write: a fresh deploy has made the tables."""
        if SERVICE not in site.stack.services:
            return True
        server = live(site)
        names = [name for name, state in server.databases().items() if state == "open" and not beside([name])]
        return all(server.ask(HAS_ROWS, name) == "f" for name in names)

    def users(self, site: Site, streams: Sequence[Stream]) -> frozenset[str]:  # noqa: ARG002 - of any database
        """Name the services that wait for the server when they start: they use it."""
        return frozenset(name for name, one in site.stack.services.items() if SERVICE in one.depends_on)

    def stage(self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed) -> list[Difference]:
        """Load each database beside the live one, analyze and compare it; make the roles that are missing."""
        server = live(site)
        self.unstage(site, backup)
        found: list[Difference] = []
        settings: Settings = {}
        for stream in _roles_first(streams):
            if stream.kind == "pg_globals":
                settings = _settings(stream, feed)
                made = missing_roles(stream.facts["roles"], read_roles(server))
                server.do(";\n".join([*made, ""]), what="making roles")
                continue
            staged = name_beside(stream.facts["database"], "restore", backup)
            found += _load(server, stream, staged, settings, feed)
            server.do("ANALYZE;", staged, what=f"analyzing {staged}")
        return found

    def swap(self, site: Site, backup: str) -> None:
        """Rename every live database away and every staged one in its place, in one transaction."""
        server = live(site)
        names = server.databases()
        for one in beside(names, backup):
            if one.live not in names:  # an empty one in its place: so there is always something to go back to
                server.ask(f"CREATE DATABASE {identifier(one.live)}")
        rename(server, placing(server.databases(), backup))

    def revert(self, site: Site, backup: str) -> None:
        """Rename back what was renamed, and let everybody in again."""
        server = _there(site)
        if server is None:
            return
        await_renames(server)
        names = server.databases()
        if known := beside(names, backup):
            rename(server, returning(names, backup), also_open=[one.live for one in known])

    def unstage(self, site: Site, backup: str) -> None:
        """Drop the staged databases."""
        _drop(_there(site), backup, "restore")

    def leftovers(self, site: Site) -> Leftovers:
        """Read them off the databases' names; of a server that does not run nothing is known."""
        server = running(site)
        found = beside(server.databases()) if server else []
        staged, replaced = (
            frozenset(one.backup for one in found if one.kind == kind) for kind in ("restore", "before")
        )
        return Leftovers(staged=staged, replaced=replaced)

    def discard(self, site: Site, backup: str) -> None:
        """Drop the databases that this backup replaced."""
        _drop(_there(site), backup, "before")


def major_here(site: Site) -> int:
    """Give the major version of the stack's server, whether it runs or not: `postgresql-17`."""
    return int(site.stack.variables["POSTGRES_FORMAT"].split("-")[1])


def compared(streams: Sequence[Stream]) -> str:
    """Say what a restore is compared by."""
    facts = [one.facts for one in streams if "tables" in one.facts]
    tables, held = sum(len(one["tables"]) for one in facts), sum(map(rows, facts))
    return f"{count(len(facts), 'database')}, {count(tables, 'table')}, {count(held, 'row')}, content hashes, roles"


def _roles_first(streams: Sequence[Stream]) -> list[Stream]:
    return sorted(streams, key=lambda one: one.kind != "pg_globals")


def _settings(stream: Stream, feed: Feed, write: Callable[[bytes], object] = len) -> Settings:
    """Give the settings of the databases, which stand at the end of the dumped roles."""
    pieces: list[bytes] = []

    def keep(piece: bytes) -> None:
        write(piece)
        pieces.append(piece)

    feed(stream, keep)
    return read_settings(b"".join(pieces))


def _load_roles(server: Server, stream: Stream, feed: Feed) -> Settings:
    """Make the roles; the one that is there already is refused, so it is by the result that an error shows."""
    command = server.tool("psql", "--no-psqlrc", "--quiet", "--output=/dev/null", "--file=-")
    with server.pipe(command, "loading the roles") as loading:
        settings = _settings(stream, feed, loading.write)
        loading.finish()
    return settings


def _load(server: Server, stream: Stream, database: str, settings: Settings, feed: Feed) -> list[Difference]:
    """Make a database as the dumped one was, fill it, and compare."""
    made = ";\n".join([*stream.facts["create"], *settings.get(stream.facts["database"], ()), ""])
    server.do(made, MAINTENANCE, f"--set=database={database}", what=f"making database {database}")
    command = server.tool("pg_restore", "--exit-on-error", "--no-tablespaces", database=database)
    with server.pipe(command, f"pg_restore of {database}") as loading:
        feed(stream, loading.write)
        loading.finish()
    return differences(stream.facts, facts_of(server, database))


def facts_of(server: Server, database: str) -> Facts:
    """Read the facts of a database."""
    with server.session(database, STRICT, what=f"reading database {database}") as psql:
        psql.write((OVERVIEW + CONTENT).encode())
        facts = read_facts(map(text, psql.finish().split(b"\n")))
    whole(facts)
    return facts


def _there(site: Site) -> Server | None:
    """Give the live server; None in a stack without one."""
    return live(site) if SERVICE in site.stack.services else None


def _drop(server: Server | None, backup: str, kind: str) -> None:
    if server is None:
        return
    for one in beside(server.databases(), backup):
        if one.kind == kind:
            server.ask(f"DROP DATABASE IF EXISTS {identifier(one.name)} WITH (FORCE)")
