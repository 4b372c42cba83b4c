"""PostgreSQL's files as pg_basebackup gives them: the whole server at one moment, for its own major version alone."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.components.base import Dump, Leftovers, Rehearsal
from cotai_tasks.backup.components.postgres import ANSWERS, Postgres, facts_of, major_here
from cotai_tasks.backup.components.postgres_facts import rows
from cotai_tasks.backup.components.postgres_server import SERVICE, Server, live
from cotai_tasks.backup.components.scratch import await_answer, scratch
from cotai_tasks.console import count
from cotai_tasks.errors import BackupError, Finding, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cotai_tasks.backup.components.base import Difference, Feed, Site
    from cotai_tasks.backup.manifest import Stream
    from cotai_tasks.process import Piped

_NAME = "postgres-physical"

# Even an empty server has 20 MB of catalogues, and a segment of its log.
_FLOOR = 20 * 2**20

_FACTS = """
SELECT json_build_object('server_version_num', current_setting('server_version_num')::int,
    'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
    'preload', current_setting('shared_preload_libraries'))
"""
_MOMENT = re.compile(r"write-ahead log (start|end) point: (\S+?)(?: on timeline (\d+))?$", re.MULTILINE)

# The container waits for its files, checks each against the copy's own list, and only then becomes the server.
_WAIT = 'until [ -e /tmp/loaded ]; do sleep 0.1; done; exec "$@"'
_UNPACK = 'chmod 700 "$PGDATA" && exec tar --extract --directory="$PGDATA" --file=-'
_CHECK = 'pg_verifybackup --quiet --no-parse-wal "$PGDATA" && touch /tmp/loaded'
_START = ("postgres", "-c", "fsync=off", "-c", "archive_mode=off", "-c", "autovacuum=off", "-c", "ssl=off")


@dataclass(frozen=True)
class PostgresPhysical:
    """Copies the server's files; what point-in-time recovery begins with. It replaces nothing in a live server."""

    name: str = _NAME

    def dumps(self, site: Site) -> list[Dump]:
        """Give the one stream that there is."""
        if SERVICE not in site.stack.services:
            return []
        return [Dump(self.name, _NAME, "pg_basebackup", _FLOOR, partial(_copy, live(site)))]

    def unfit(self, site: Site, streams: Sequence[Stream]) -> list[Finding]:
        """Find another major version: it cannot read these files."""
        if SERVICE not in site.stack.services:
            return [Finding(self.name, f"{site.stack.project.name} has no {SERVICE}", "Restore other parts: --only.")]
        ours = major_here(site)
        return [
            Finding(
                self.name, f"it was copied from PostgreSQL {theirs}, here is {ours}", "--only postgres restores it."
            )
            for one in streams
            if (theirs := one.facts["server_version_num"] // 10_000) != ours
        ]

    @contextmanager
    def rehearse(
        self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed, *, keep: bool = False
    ) -> Iterator[Rehearsal]:
        """Unpack it, check every file against the list in it, start the server, and read every row."""
        (stream,) = streams
        command = ["sh", "-c", _WAIT, "wait", *_START, "-c", f"shared_preload_libraries={stream.facts['preload']}"]
        with scratch(site, SERVICE, backup, probe=["true"], command=command, role=_NAME, keep=keep) as name:
            server = Server(site.engine, name)
            with server.pipe(["sh", "-c", _UNPACK], "unpacking the copy") as unpacking:
                feed(stream, unpacking.write)
                unpacking.finish()
            site.engine.command("exec", name, "sh", "-c", _CHECK)
            await_answer(site.engine, name, ANSWERS)
            found = [facts_of(server, database) for database in server.databases()]
            tables, held = sum(len(one["tables"]) for one in found), sum(map(rows, found))
            told = f"{count(len(found), 'database')}, {count(tables, 'table')}, {count(held, 'row')}"
            compared = f"checksums of all files; {told} can be read"
            yield Rehearsal((), compared, (name,), (f"docker exec -it {name} psql -U postgres -l",))

    def is_empty(self, site: Site) -> bool:
        """Tell whether no database has a table."""
        return Postgres().is_empty(site)

    def users(self, site: Site, streams: Sequence[Stream]) -> frozenset[str]:  # noqa: ARG002 - it replaces nothing
        """Name none."""
        return frozenset()

    def stage(self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed) -> list[Difference]:  # noqa: ARG002
        """Refuse."""
        raise UsageError(
            "a physical copy replaces nothing in a server that runs",
            cure="--only postgres restores the databases; --into scratch loads the copy.",
        )

    def swap(self, site: Site, backup: str) -> None:
        """Do nothing: nothing can have been staged."""

    def revert(self, site: Site, backup: str) -> None:
        """Do nothing."""

    def unstage(self, site: Site, backup: str) -> None:
        """Do nothing."""

    def leftovers(self, site: Site) -> Leftovers:  # noqa: ARG002 - it leaves none
        """Give none."""
        return Leftovers()

    def discard(self, site: Site, backup: str) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class _Copy:
    """The bytes of pg_basebackup, a tar archive."""

    copying: Piped
    facts: dict[str, Any]

    def read(self, size: int = 2**20) -> bytes:
        return self.copying.read(size)

    def finish(self) -> dict[str, Any]:
        self.copying.finish()
        return self.facts | moment(self.copying.last_words)


@contextmanager
def _copy(server: Server) -> Iterator[_Copy]:
    """Begin to copy the files; the log that makes them whole comes at the end, fetched from the server's own."""
    facts = json.loads(server.ask(_FACTS))
    options = ("--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--verbose")
    with server.leashed(server.tool("pg_basebackup", *options), "pg_basebackup") as copying:
        yield _Copy(copying, facts)


def moment(said: str) -> dict[str, Any]:
    """Read from what pg_basebackup says where in the write-ahead log its copy begins and ends."""
    found = {which: (place, timeline) for which, place, timeline in _MOMENT.findall(said)}
    if found.keys() != {"start", "end"}:
        raise BackupError("pg_basebackup does not say where its copy begins and ends", evidence=said)
    return {"start_lsn": found["start"][0], "end_lsn": found["end"][0], "timeline": int(found["start"][1])}
