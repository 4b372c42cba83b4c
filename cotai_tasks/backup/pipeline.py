"""One dump's way into the store and back: hashed, compressed, encrypted and stored at once, in constant memory.

source → SHA-256 → zstd → age → parts of objects; and the same backwards. Whatever fails on the way ends all of it.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Self, cast

import pyrage  # type: ignore[import-untyped]
import zstandard

from cotai_tasks.backup.line import PIECE, Line, at_work, give_back_large_blocks
from cotai_tasks.backup.manifest import StoredObject, Stream
from cotai_tasks.backup.store.base import PART, MissingError
from cotai_tasks.errors import BackupError, IdentityError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cotai_tasks.age import Identity, Recipient
    from cotai_tasks.backup.components.base import Dump
    from cotai_tasks.backup.store.base import Store, Upload

    Progress = Callable[[int, int], None]
    """Told the plain bytes and the stored bytes so far."""

_THREADS = 2
"""That compress: more of them want more memory, and the store is not faster."""

_JOB = 2 * 2**20
"""Bytes that such a thread takes at once. zstd's own choice for level 3 is 8 MiB: 45 MiB more memory, for 0.1 % less to
store (measured with zstd 1.5 and a gigabyte of rows)."""


def store_stream(
    dump: Dump,
    key: Callable[[int], str],
    *,
    store: Store,
    recipients: Sequence[Recipient],
    level: int,
    progress: Progress,
) -> Stream:
    """Stream a dump into the objects `key(1)`, `key(2)` …; plain where there are no recipients.

    No object exists before the dump has ended well and is above its floor. Raises whatever failed: `EngineError` of the
    dump's command, `StoreError`, `BackupError` for a dump that gave too little.
    """
    give_back_large_blocks()
    compressed, stored = Line(), Line()
    started = datetime.now(UTC)
    with _Objects(key, store) as objects:
        with at_work(
            (compressed, stored),
            partial(_encrypt, compressed, stored, recipients),
            partial(objects.fill, stored),
            free=objects.abort,
        ):
            size, digest, facts = _dump(dump, compressed, level, lambda plain: progress(plain, stored.passed))
            ended = datetime.now(UTC)
        progress(size, stored.passed)
        made = objects.complete()
    return Stream(
        component=dump.component,  # type: ignore[arg-type]
        name=dump.name,
        kind=dump.kind,
        started_at=started,
        ended_at=ended,
        plain_bytes=size,
        plain_sha256=digest,
        objects=made,
        facts=dict(facts),
    )


def load_stream(
    stream: Stream,
    write: Callable[[bytes], object],
    *,
    store: Store,
    identities: Sequence[Identity],
    progress: Progress,
) -> None:
    """Give a stream's plain bytes to `write`, piece by piece; what it was given counts only once this returns.

    Raises `IntegrityError` where something is not as the manifest says, `IdentityError` where no identity opens it.
    """
    stored, compressed, plain = Line(), Line(), Line()
    total = _Sum()
    opened = ExitStack()
    with at_work(
        (stored, compressed, plain),
        partial(_fetch, stream, store, stored, opened),
        partial(_decrypt, stored, compressed, stream, identities),
        partial(_decompress, compressed, plain, stream),
        free=opened.close,
    ):
        while piece := plain.read():
            total.add(piece)
            write(piece)
            progress(total.size, stored.passed)
    if (total.size, total.digest) != (stream.plain_bytes, stream.plain_sha256):
        raise _damaged(stream, f"{total.size} bytes that are not the {stream.plain_bytes} that were dumped")


def hash_stream(stream: Stream, *, store: Store, progress: Progress) -> None:
    """Compare a stream's stored bytes with the manifest, without a key; `IntegrityError` where they differ."""
    done = 0
    for one in stream.objects:
        total = _Sum()
        for piece in _stored(stream, one, store, ExitStack()):
            total.add(piece)
            progress(done + total.size, 0)
        done += total.size
        if total.digest != one.sha256:
            raise _altered(stream, one)


class _Objects:
    """The objects of one stream on their way: their parts are in the store, and nobody sees them yet."""

    def __init__(self, key: Callable[[int], str], store: Store) -> None:
        self._key = key
        self._store = store
        self._begun = ExitStack()
        self._made: list[tuple[str, Upload, _Sum]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401, PYI036 - as the exit stack takes it
        """Abort what was not completed."""
        self._begun.__exit__(*error)

    def abort(self) -> None:
        """Abort what was begun so far: whoever waits for the store there goes on."""
        self._begun.close()

    def fill(self, line: Line) -> None:
        """Cut the bytes of a line into parts, and begin a next object where the store takes no more of them."""
        number = 0
        while part := _part(line):
            if number % self._store.max_parts == 0:
                key = self._key(len(self._made) + 1)
                self._made.append((key, self._begun.enter_context(self._store.upload(key)), _Sum()))
            _, upload, total = self._made[-1]
            upload.write(part)
            total.add(part)
            number += 1
            del part  # it need not be in memory while the next one is gathered

    def complete(self) -> tuple[StoredObject, ...]:
        """Make the objects, in their order."""
        for _, upload, _ in self._made:
            upload.complete()
        return tuple(StoredObject(key=key, bytes=total.size, sha256=total.digest) for key, _, total in self._made)


class _Sum:
    """Size and SHA-256 of bytes that pass by."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._hash.update(data)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _dump(dump: Dump, line: Line, level: int, told: Callable[[int], None]) -> tuple[int, str, Mapping[str, Any]]:
    """Read a dump to its end and pass it on compressed; give its size, its hash, and its facts."""
    total = _Sum()
    how = zstandard.ZstdCompressionParameters.from_level(level, threads=_THREADS, job_size=_JOB, write_checksum=True)
    packer = zstandard.ZstdCompressor(compression_params=how).compressobj()
    with dump.open() as source:
        while piece := source.read(PIECE):
            total.add(piece)
            line.write(packer.compress(piece))
            told(total.size)
        facts = source.finish()
    if total.size < dump.floor:
        raise BackupError(
            f"{dump.name}: the dump gave {total.size} bytes, and an empty one has {dump.floor}",
            cure="Its server said that all was well: look at its log.",
        )
    line.write(packer.flush())
    line.close()
    return total.size, total.digest, facts


def _encrypt(plain: Line, stored: Line, recipients: Sequence[Recipient]) -> None:
    if not recipients:
        _pass(plain, stored)
        return
    try:
        pyrage.encrypt_io(plain, stored, recipients)
    except pyrage.EncryptError as error:  # where it is because a line was cut, that came first and counts
        cure = "Try each --recipient alone: one of them may be of a kind that goes with no other."
        raise BackupError(f"age cannot encrypt: {error}", cure=cure) from error
    stored.close()


def _decrypt(stored: Line, plain: Line, stream: Stream, identities: Sequence[Identity]) -> None:
    if not stream.objects[0].key.endswith(".age"):
        _pass(stored, plain)
        return
    try:
        pyrage.decrypt_io(stored, plain, identities)
    except (pyrage.DecryptError, OSError) as error:  # where it is because a line was cut, that came first and counts
        if str(error) == "No matching keys found":
            raise IdentityError(
                f"{stream.name}: it was not encrypted for this identity",
                cure="Name the --identity of one of its recipients. If it is: backup.verify --level data finds damage.",
            ) from error
        raise _damaged(stream, str(error)) from error
    plain.close()


def _pass(one: Line, other: Line) -> None:
    while piece := one.read():
        other.write(piece)
    other.close()


def _part(line: Line) -> bytes:
    """Give the next part of a line's bytes, all of the same size but the last; nothing at the end."""
    part = io.BytesIO()  # which gives its bytes away without a copy
    while (missing := PART - part.tell()) and (piece := line.read(missing)):
        part.write(piece)
    return part.getvalue()


def _fetch(stream: Stream, store: Store, line: Line, opened: ExitStack) -> None:
    """Pass on what is stored. Nothing is hashed here: whatever is altered has other plain bytes, and those are."""
    for one in stream.objects:
        for piece in _stored(stream, one, store, opened):
            line.write(piece)
    line.close()


def _stored(stream: Stream, stored: StoredObject, store: Store, opened: ExitStack) -> Iterator[bytes]:
    """Give the bytes of an object; raise `IntegrityError` where it has fewer or more than it should.

    `opened` has the object: whoever closes it ends the reading.
    """
    size = 0
    try:
        with opened:
            reader = opened.enter_context(store.open(stored.key))
            while size <= stored.bytes and (piece := reader.read(PIECE)):
                size += len(piece)
                yield piece
    except MissingError as error:
        raise _damaged(stream, f"{stored.key} is not in the store") from error
    if size != stored.bytes:
        raise _altered(stream, stored)


def _decompress(compressed: Line, plain: Line, stream: Stream) -> None:
    """Pass on what zstd packed, piece by piece: a few bytes of it may stand for a gigabyte."""
    unpacker = zstandard.ZstdDecompressor()
    try:
        with unpacker.stream_reader(cast("IO[bytes]", compressed), read_size=PIECE, read_across_frames=True) as reader:
            while piece := reader.read(PIECE):
                plain.write(piece)
    except zstandard.ZstdError as error:
        raise _damaged(stream, str(error)) from error
    plain.close()


def _altered(stream: Stream, stored: StoredObject) -> IntegrityError:
    return _damaged(stream, f"{stored.key} has not the bytes that were stored")


def _damaged(stream: Stream, fault: str) -> IntegrityError:
    return IntegrityError(f"{stream.name} is damaged: {fault}", cure="Take another backup: inv backup.list.")
