"""Stores in memory and backups made of plain data, for the tests of the catalogue and its commands."""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from cotai_tasks.age import key_id
from cotai_tasks.backup.catalogue import Catalogue
from cotai_tasks.backup.components.base import Dump
from cotai_tasks.backup.manifest import Manifest, StoredObject, Stream, object_key
from cotai_tasks.backup.pipeline import store_stream
from cotai_tasks.backup.store.base import ExistsError, MissingError, Stat
from cotai_tasks.errors import StoreError
from tests.unit.deploy.stacks import settings as plain_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.age import Recipient
    from cotai_tasks.backup.store.base import Reader
    from cotai_tasks.settings import Settings

STACK = "cotai-dev"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass
class MemoryUpload:
    """An object on its way into a `MemoryStore`."""

    store: MemoryStore
    key: str
    data: bytes = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Forget what was not completed."""

    def write(self, part: bytes) -> None:
        self.data += part

    def complete(self) -> None:
        self.store.put(self.key, self.data)


@dataclass
class MemoryStore:
    """A store that can be looked into, locked, and disturbed between two of its steps."""

    url: str = "memory"
    max_parts: int = 3
    objects: dict[str, bytes] = field(default_factory=dict)
    times: dict[str, datetime] = field(default_factory=dict)
    """When each object was made, where that is not now."""
    locks: dict[str, datetime] = field(default_factory=dict)
    swept: list[tuple[str, datetime]] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    """What was put and deleted, in its order."""
    before: Callable[[str, str], None] = lambda _step, _key: None
    """Called before each of those steps."""

    def check(self) -> None:
        """Find nothing wrong: it is there."""

    def upload(self, key: str) -> MemoryUpload:
        return MemoryUpload(self, key)

    def put(self, key: str, data: bytes, *, replace: bool = False) -> None:
        self._step("put", key)
        if key in self.objects and not replace:
            raise ExistsError(f"{key} is there")
        self.objects[key] = data

    def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise MissingError(f"{key} is not there")
        return self.objects[key]

    @contextmanager
    def open(self, key: str) -> Iterator[Reader]:
        yield io.BytesIO(self.get(key))

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._step("delete", key)
            if key in self.locks:
                raise StoreError(f"{key} is locked")
            self.objects.pop(key, None)

    def locked_until(self, key: str) -> datetime | None:
        return self.locks.get(key)

    def sweep(self, prefix: str, older_than: datetime) -> int:
        self.swept.append((prefix, older_than))
        return 0

    def keys(self, part: str = "") -> list[str]:
        return [key for key in sorted(self.objects) if part in key]

    def list(self, prefix: str) -> list[Stat]:
        found = sorted(key for key in self.objects if key.startswith(prefix))
        return [Stat(key, len(self.objects[key]), self.times.get(key, datetime.now(UTC))) for key in found]

    def _step(self, what: str, key: str) -> None:
        self.before(what, key)
        self.steps.append((what, key))


def catalogue(folder: Path, store: MemoryStore | None = None, stack: str = STACK, **fields: Any) -> Catalogue:  # noqa: ANN401
    """Give the catalogue of a host whose keys are in `folder`."""
    return Catalogue(store or MemoryStore(), stack, folder / "env/secrets/backup", **fields)


def backup_id(time: datetime, digits: str = "0a1b2c") -> str:
    return f"{time:%Y%m%dT%H%M%SZ}-{digits}"


def stream(backup: str, name: str, data: bytes, stack: str = STACK, **changes: Any) -> Stream:  # noqa: ANN401
    """Describe a stream of one object that is `data` as it is stored."""
    key = object_key(stack, backup, name, 1, encrypted=False)
    fields: dict[str, Any] = {
        "component": "postgres",
        "name": name,
        "kind": "pg_dump",
        "started_at": NOW,
        "ended_at": NOW + timedelta(seconds=3),
        "plain_bytes": 3 * len(data),
        "plain_sha256": "0" * 64,
        "objects": (StoredObject(key=key, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()),),
    }
    return Stream(**fields | changes)


def manifest(backup: str, *streams: Stream, stack: str = STACK, time: datetime = NOW, **changes: Any) -> Manifest:  # noqa: ANN401
    fields: dict[str, Any] = {
        "id": backup,
        "stack": stack,
        "tool": "0.1.0",
        "started_at": time,
        "ended_at": time + timedelta(minutes=1),
        "encrypted": False,
        "complete": True,
        "streams": streams,
    }
    return Manifest(**fields | changes)


def make(found: Catalogue, time: datetime = NOW, digits: str = "0a1b2c", **changes: Any) -> str:  # noqa: ANN401
    """Make a backup of two streams as `backup.create` does; give its id."""
    backup = backup_id(time, digits)
    found.begin(backup)
    streams = []
    for name in ("postgres-cotai", "redis"):
        data = f"{backup} {name}".encode()
        streams.append(stream(backup, name, data, found.stack, component=name.split("-")[0]))
        found.store.put(streams[-1].objects[0].key, data)
    found.commit(manifest(backup, *streams, stack=found.stack, time=time, **changes))
    return backup


@dataclass
class Bytes:
    """A dump that is plain data."""

    data: io.BytesIO

    def read(self, size: int = -1, /) -> bytes:
        return self.data.read(size)

    def finish(self) -> Mapping[str, Any]:
        return {}


def make_whole(
    found: Catalogue, dumps: Mapping[str, bytes], time: datetime = NOW, recipients: Sequence[Recipient] = ()
) -> str:
    """Make a backup through the real pipeline, so that it can be read again; give its id."""
    backup = backup_id(time)
    found.begin(backup)

    def key(name: str, piece: int) -> str:
        return object_key(found.stack, backup, name, piece, encrypted=bool(recipients))

    def dump(name: str, data: bytes) -> Dump:
        return Dump("redis", name, "rdb", 0, lambda: nullcontext(Bytes(io.BytesIO(data))))

    streams = [
        store_stream(
            dump(name, data),
            partial(key, name),
            store=found.store,
            recipients=recipients,
            level=1,
            progress=lambda *_: None,
        )
        for name, data in dumps.items()
    ]
    ids = tuple(key_id(str(one)) for one in recipients)
    made = manifest(backup, *streams, stack=found.stack, time=time, encrypted=bool(recipients), recipients=ids)
    found.commit(made)
    return backup


def settings(directory: Path, **variables: Any) -> Settings:  # noqa: ANN401
    """Give the settings of a project in a folder of the test's own."""
    return plain_settings(**variables).model_copy(update={"directory": directory})
