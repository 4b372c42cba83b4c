"""What a migration would take away, known before it runs: the SQL is asked of the new image, which has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cotai_tasks.db import revision
from cotai_tasks.errors import EngineError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Collection

    from cotai_tasks.console import Console
    from cotai_tasks.deploy.release import Release
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

MIGRATION = "migrate"

_ALEMBIC = re.compile(r"(?P<alembic>\S*alembic(?: -\S+(?: \S+)?)*) upgrade (?P<target>[\w@+-]+)")
"""The commands whose SQL can be had beforehand."""
_NOTES = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_DESTRUCTIVE = re.compile(
    r"""\bDROP\s+(TABLE|COLUMN|SCHEMA|TYPE|VIEW|MATERIALIZED\s+VIEW|SEQUENCE|FUNCTION)\b
    | ^TRUNCATE\b | ^DELETE\s+FROM\b
    | \bRENAME\s+(COLUMN|TO)\b
    | \bALTER\s+COLUMN\s+\S+\s+(SET\s+DATA\s+)?TYPE\b
    | \bSET\s+NOT\s+NULL\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""What the release that still serves may be using: it reads, or writes, as if this had not happened."""


def destructive(sql: str) -> list[str]:
    """Pick the statements out of a migration that the release before cannot live with."""
    statements = (" ".join(one.split()) for one in _NOTES.sub("", sql).split(";"))
    return [one for one in statements if _DESTRUCTIVE.search(one) and "alembic_version" not in one]


def upcoming(stack: Stack, command: str, engine: Engine, console: Console) -> list[str]:
    """Give the destructive statements of the migration that is to come; nothing is changed for it."""
    if not command:
        return []
    if found := _ALEMBIC.fullmatch(command):
        start = revision(stack, engine) or "base"
        script = f"{found['alembic']} upgrade {start}:{found['target']} --sql 2>/dev/null"
        try:
            return destructive("\n".join(engine.run_once(stack.project, MIGRATION, ["sh", "-c", script])))
        except EngineError:
            pass
    console.warn(f"what {command!r} does to the schema is not known beforehand: let it add, never take away")
    return []


def require_additive(statements: Collection[str], *, allowed: bool) -> None:
    """Raise `RefusedError` with what the migration takes away, unless that is allowed."""
    if statements and not allowed:
        raise RefusedError(
            "the migration takes away what the release that serves may use",
            cure="Add first, take away a release later. To do it all the same, after a backup: "
            "--allow-destructive; no rollback leads behind it.",
            evidence="\n".join(statements),
        )


def checkpoint(settings: Settings, engine: Engine, console: Console) -> str:
    """Make the backup that leads back behind a destructive migration; give its id."""
    from cotai_tasks.backup import Wish, create_backup  # boto3 and all: a tenth of a second of every other deploy

    wish = Wish.of(settings, encrypt=False, plain=False, only="", recipients=(), tag="before-migration")
    made = create_backup(wish, settings=settings, engine=engine, console=console)
    return made.manifest.id if made else ""


def require_way_back(target: Release, releases: Collection[Release]) -> None:
    """Raise `RefusedError` where a release after the target has taken away what that one uses."""
    for one in releases:
        if one.taken_away and one.id > target.id and one.outcome in {"live", "replaced"}:
            before = f"of backup {one.backup}" if one.backup else f"of before {one.begun:%Y-%m-%d %H:%M} UTC"
            raise RefusedError(
                f"release {one.id} took away what release {target.id} uses: {one.taken_away[0]}",
                cure=f"Only with the data {before}: inv backup.restore brings it back.",
            )
