"""Databases beside the live ones, known by their names, and how they change places in one transaction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cotai_tasks.backup.components.postgres_server import MAINTENANCE, identifier, literal
from cotai_tasks.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cotai_tasks.backup.components.postgres_server import Server

Kind = Literal["restore", "before"]
"""`restore`: staged, to take the live one's place. `before`: what was live until then."""

Rename = tuple[str, str]

_BESIDE = re.compile(r"(?P<live>.+)__(?P<kind>restore|before)_(?P<backup>\d{8}T\d{6}Z_[0-9a-f]{6})", re.DOTALL)
_LONGEST = 63
"""Bytes of a name; PostgreSQL cuts a longer one off without a word, and two become one."""

_LOCK = 0x636F746169
"""Held by whoever renames, until it is through: nobody looks at the names meanwhile."""

_LEAVE = 10_000
"""Milliseconds that a connection has to end."""


@dataclass(frozen=True)
class Beside:
    """A database that a restore has put beside a live one."""

    name: str
    live: str
    kind: str
    backup: str


def name_beside(live: str, kind: Kind, backup: str) -> str:
    """Name the database that stands beside a live one; raise `BackupError` where that is too long a name."""
    name = f"{live}__{kind}_{backup.replace('-', '_')}"
    if len(name.encode()) > _LONGEST:
        raise BackupError(
            f"the name of database {live} is too long: nothing can be put beside it",
            cure="--into scratch loads it; from there pg_dump and pg_restore bring it wherever it shall be.",
        )
    return name


def beside(names: Iterable[str], backup: str = "") -> list[Beside]:
    """Find the databases that restores put beside the live ones, of one backup or of all."""
    read = [(name, found) for name in names if (found := _BESIDE.fullmatch(name))]
    all_of_them = [Beside(name, one["live"], one["kind"], one["backup"].replace("_", "-")) for name, one in read]
    return [one for one in all_of_them if backup in {"", one.backup}]


def placing(names: Collection[str], backup: str) -> list[Rename]:
    """Say which names change so that what was staged becomes live; the live ones must all be there."""
    staged = [one for one in beside(names, backup) if one.kind == "restore"]
    return [
        rename
        for one in staged
        for rename in ((one.live, name_beside(one.live, "before", backup)), (one.name, one.live))
    ]


def returning(names: Collection[str], backup: str) -> list[Rename]:
    """Say which names change so that what was live before a backup took its place is live again."""
    replaced = [one for one in beside(names, backup) if one.kind == "before"]
    return [
        rename
        for one in replaced
        for rename in ((one.live, name_beside(one.live, "restore", backup)), (one.name, one.live))
        if rename[0] in names
    ]


def await_renames(server: Server) -> None:
    """Wait until nobody renames: a session that was left alone by an interruption comes to its end."""
    server.ask(f"SELECT pg_advisory_lock({_LOCK})")


def rename(server: Server, renames: Sequence[Rename], also_open: Collection[str] = ()) -> None:
    """Rename databases, all or none, and leave each of them, and others, open to connections.

    Whoever is connected is sent away, and kept away meanwhile. Raises `BackupError` where somebody does not go: then
    every name is as before.
    """
    before = server.databases()
    after = set(before)
    for old, new in renames:
        after = after - {old} | {new}
    with server.session(MAINTENANCE, what="renaming databases") as psql:
        psql.write(rename_script(renames, also_open).encode())
        try:
            psql.finish()
        except KeyboardInterrupt:  # once begun it comes to its end, and only then is anything put back
            psql.finish()
            raise
        words = psql.last_words
    if set(server.databases()) != after:
        names = ", ".join(old for old, _ in renames)
        cure = "Every name is as it was. Whoever holds on to them stands in pg_stat_activity and pg_prepared_xacts."
        raise BackupError(f"{names} could not be renamed", cure=cure, evidence=words)


def rename_script(renames: Sequence[Rename], also_open: Collection[str] = ()) -> str:
    """Write the script; it goes on after an error, so that its end is reached, which lets everybody in again."""
    known = ", ".join(literal(name) for name in sorted({*also_open, *(name for pair in renames for name in pair)}))
    return "\n".join(
        [
            f"SELECT pg_advisory_lock({_LOCK});",
            *(f"ALTER DATABASE {identifier(old)} ALLOW_CONNECTIONS false;" for old, _ in renames),
            *([_TERMINATE.format(known)] if renames else []),
            "BEGIN;",
            *(f"ALTER DATABASE {identifier(old)} RENAME TO {identifier(new)};" for old, new in renames),
            "COMMIT;",
            _OPEN.format(known),
        ]
    )


# First all are told, then each is waited for.
_TERMINATE = f"""\
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname IN ({{0}});
SELECT count(pg_terminate_backend(pid, {_LEAVE})) FROM pg_stat_activity WHERE datname IN ({{0}});"""  # noqa: S608
_OPEN = """\
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', datname) FROM pg_database
    WHERE datname IN ({0}) AND NOT datallowconn \\gexec"""
