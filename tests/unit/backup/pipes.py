"""Dumps and stores for the tests of the pipeline: sources that fail in every way, a store that can be disturbed."""

from __future__ import annotations

import os
import random
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyrage  # type: ignore[import-untyped]

from cotai_tasks.backup.components.base import Dump
from cotai_tasks.backup.pipeline import load_stream, store_stream
from cotai_tasks.process import PATIENCE, Piped
from tests.unit.backup.catalogues import MemoryStore, MemoryUpload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cotai_tasks.age import Recipient
    from cotai_tasks.backup.manifest import Stream
    from cotai_tasks.backup.store.base import Store

IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = IDENTITY.to_public()


def noise(size: int, seed: int = 1) -> bytes:
    """Give bytes that cannot be compressed, the same each time."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - nothing is secret


class Shell:
    """A dump by a command, as the components have it."""

    def __init__(self, piped: Piped) -> None:
        self.piped = piped

    def read(self, size: int = -1, /) -> bytes:
        return self.piped.read(size)

    def finish(self) -> Mapping[str, Any]:
        self.piped.finish()
        return {"rows": 7}


@dataclass
class Script:
    """A source that a line of shell is; `began` are the processes that it was."""

    line: str
    patience: float = PATIENCE
    began: list[Piped] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[Shell]:
        with Piped(["sh", "-c", self.line], os.environ, "docker exec", self.patience) as piped:
            self.began.append(piped)
            yield Shell(piped)

    @property
    def ended(self) -> bool:
        """Whether its process has ended."""
        return all(one._process.poll() is not None for one in self.began)  # noqa: SLF001


@dataclass
class Pieces:
    """A source that gives these pieces, and raises what is no piece."""

    pieces: Sequence[bytes | BaseException]
    given: int = 0
    """Bytes that were taken from it."""
    ended: bool = False

    @contextmanager
    def open(self) -> Iterator[Pieces]:
        self._rest = iter(self.pieces)
        try:
            yield self
        finally:
            self.ended = True

    def read(self, _: int = -1, /) -> bytes:
        piece = next(self._rest, b"")
        if isinstance(piece, BaseException):
            raise piece
        self.given += len(piece)
        return piece

    def finish(self) -> Mapping[str, Any]:
        return {"rows": 7}


@dataclass
class Disturbed(MemoryStore):
    """A store that does something before it takes a part; `open_uploads` are those that nobody ended."""

    before_part: Callable[[int], None] = lambda _number: None
    parts: int = 0
    open_uploads: int = 0

    def upload(self, key: str) -> MemoryUpload:
        self.open_uploads += 1
        return _DisturbedUpload(self, key)


@dataclass
class _DisturbedUpload(MemoryUpload):
    store: Disturbed

    def __exit__(self, *_: object) -> None:
        self.store.open_uploads -= 1

    def write(self, part: bytes) -> None:
        self.store.parts += 1
        self.store.before_part(self.store.parts)
        super().write(part)


def put(
    source: Script | Pieces,
    store: Store,
    *,
    recipients: Sequence[Recipient] = (RECIPIENT,),
    floor: int = 1,
    folder: str = "one",
    level: int = 1,
) -> Stream:
    """Store a dump."""
    end = ".age" if recipients else ""
    return store_stream(
        Dump("redis", "redis", "rdb", floor, source.open),
        lambda piece: f"{folder}/redis.{piece}.zst{end}",
        store=store,
        recipients=recipients,
        level=level,
        progress=lambda _plain, _stored: None,
    )


def take(stream: Stream, store: Store, identities: Sequence[Any] = (IDENTITY,)) -> bytes:
    """Load a stream."""
    taken: list[bytes] = []
    load_stream(stream, taken.append, store=store, identities=identities, progress=lambda _plain, _stored: None)
    return b"".join(taken)
