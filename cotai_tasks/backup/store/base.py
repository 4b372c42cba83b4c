"""What every store does, whatever it is made of: the same guarantees for a directory and for S3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from cotai_tasks.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

PART = 16 * 2**20
"""Bytes of a part: of 8, 16 and 32 MiB the fastest, and 10,000 of them are 160 GB."""

MAX_PARTS = 10_000
"""S3's limit for one object; the pipeline goes on in a next one."""


class ExistsError(StoreError):
    """The object is there already, and is not to be replaced."""


class MissingError(StoreError):
    """There is no such object."""


@dataclass(frozen=True)
class Stat:
    """One object, as a listing tells it."""

    key: str
    size: int
    """Bytes."""
    modified: datetime


class Reader(Protocol):
    """Bytes to be read once, from the beginning."""

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes, at most `size`; none at the end."""
        ...


class Upload(Protocol):
    """An object on its way: nobody sees it before `complete`; leaving its block without that aborts it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, part: bytes) -> None:
        """Take the next part, all of `PART` bytes but the last; several may be under way at once."""
        ...

    def complete(self) -> None:
        """Make the object, whole and on disk, then read back its size and checksum; `StoreError` where they differ."""
        ...


class Store(Protocol):
    """Keys and bytes. Keys are paths with `/`; every method raises `StoreError` when the store fails or refuses."""

    url: str
    """As a person names it: `backups`, `s3://bucket/prefix`. No password stands in it."""
    max_parts: int

    def check(self) -> None:
        """Make sure that the store is there and takes our login; raise `StoreError` with the cure."""
        ...

    def upload(self, key: str) -> Upload:
        """Begin a large object; `complete` never replaces one that is there."""
        ...

    def put(self, key: str, data: bytes, *, replace: bool = False) -> None:
        """Make a small object in one step; `ExistsError` (a `StoreError`) where it is there and not to be replaced."""
        ...

    def get(self, key: str) -> bytes:
        """Give a small object; `MissingError` (a `StoreError`) where it is not there."""
        ...

    def open(self, key: str) -> AbstractContextManager[Reader]:
        """Read a large object from its beginning, in constant memory; `MissingError` where it is not there."""
        ...

    def list(self, prefix: str) -> list[Stat]:
        """Give every object whose key begins so, by key; of uploads under way nothing."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there count as deleted. Raises `StoreError` for one that is locked."""
        ...

    def locked_until(self, key: str) -> datetime | None:
        """Tell until when an object may not be deleted; None where it may."""
        ...

    def sweep(self, prefix: str, older_than: datetime) -> int:
        """Remove what interrupted uploads left under a prefix before a moment; tell how many."""
        ...


def require_key(key: str) -> str:
    """Give a key back; `StoreError` for one that would leave the store or hide in it."""
    if any(not part or part.startswith(".") or "\0" in part for part in key.split("/")):
        raise StoreError(f"{key!r} is no key of a store", cure="Whoever gave it has made it up: do not trust the rest.")
    return key


def require_prefix(prefix: str) -> str:
    """Give the beginning of keys back; `StoreError` for one that would leave the store."""
    folder, slash, _ = prefix.rpartition("/")
    if slash:
        require_key(folder)
    return prefix
