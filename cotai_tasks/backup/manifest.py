"""What a backup is: its manifest, as plain data.

A backup exists from the moment that its manifest is in the store, and not before.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1
"""Of the layout and the manifest. A newer one is refused, an older one is read for ever."""

COMPONENTS = ("postgres", "postgres-physical", "mongodb", "redis", "volumes", "config")
DEFAULT_COMPONENTS = tuple(name for name in COMPONENTS if name != "postgres-physical")
"""What a backup holds where nothing else is asked for: the physical copy of PostgreSQL is as large again."""

Component = Literal["postgres", "postgres-physical", "mongodb", "redis", "volumes", "config"]
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class StoredObject(_Record):
    """One object of the store: a piece of a stream's compressed, perhaps encrypted bytes."""

    key: str
    bytes: int
    sha256: str
    """Of the bytes as they are stored."""


class Stream(_Record):
    """What one dump gave. Its objects in their order are one zstd frame, within one age file where it is encrypted."""

    component: Component
    name: str
    """Unique in the backup, and the name of its objects: `postgres-cotai`."""
    kind: str
    """What wrote it, and so what reads it: pg_dump, pg_globals, pg_basebackup, mongodump, bson, rdb, tar."""
    started_at: datetime
    ended_at: datetime
    plain_bytes: int
    plain_sha256: str
    objects: tuple[StoredObject, ...]
    facts: dict[str, Any] = Field(default_factory=dict)
    """What a restore needs or compares: the server's version, rows and content hashes by table, the volume's name."""

    @property
    def stored_bytes(self) -> int:
        """Its size in the store."""
        return sum(one.bytes for one in self.objects)


class Manifest(_Record):
    """One backup of one stack."""

    format: int = FORMAT
    id: str
    stack: str
    """The Compose project: `cotai-prod`."""
    tool: str
    """Our version."""
    started_at: datetime
    ended_at: datetime
    encrypted: bool
    recipients: tuple[str, ...] = ()
    """For whom: the ids of their keys, never the keys."""
    tag: str = ""
    complete: bool = False
    """Whether it holds every component that a backup holds where nothing else is asked for, as far as the stack has it.

    Only such a one counts where a backup of the stack is wanted."""
    evaluation: bool = False
    """Whether it holds data of the stand-in for MongoDB."""
    images: dict[str, str] = Field(default_factory=dict)
    """The image of each database, with its id."""
    streams: tuple[Stream, ...]

    @property
    def components(self) -> tuple[str, ...]:
        """What it holds, in the usual order."""
        held = {one.component for one in self.streams}
        return tuple(name for name in COMPONENTS if name in held)

    @property
    def plain_bytes(self) -> int:
        """The size of what was dumped."""
        return sum(one.plain_bytes for one in self.streams)

    @property
    def stored_bytes(self) -> int:
        """The size in the store."""
        return sum(one.stored_bytes for one in self.streams)

    def of(self, component: str) -> tuple[Stream, ...]:
        """Give the streams of one component."""
        return tuple(one for one in self.streams if one.component == component)


def new_id(now: datetime) -> str:
    """Make the id of a backup: when it began, and six random digits."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def is_id(text: str) -> bool:
    """Tell whether a text is the id of a backup."""
    return bool(_ID.fullmatch(text))


def id_time(backup: str) -> datetime:
    """Tell when a backup began, from its id."""
    return datetime.strptime(backup[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def object_key(stack: str, backup: str, stream: str, piece: int, *, encrypted: bool) -> str:
    """Give the key of a stream's piece, counted from 1: `cotai-prod/data/<id>/postgres-cotai.1.zst.age`."""
    return f"{stack}/data/{backup}/{stream}.{piece}.zst{'.age' if encrypted else ''}"
