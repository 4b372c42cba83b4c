"""The way of a dump into the store and back, and every way in which it may end badly."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyrage  # type: ignore[import-untyped]
import pytest
import zstandard

from cotai_tasks.backup import pipeline
from cotai_tasks.backup.line import PIECE
from cotai_tasks.backup.manifest import StoredObject
from cotai_tasks.backup.pipeline import hash_stream, load_stream
from cotai_tasks.backup.store.directory import DirectoryStore
from cotai_tasks.errors import BackupError, EngineError, IdentityError, IntegrityError, StoreError
from tests.unit.backup.pipes import IDENTITY, RECIPIENT, Disturbed, Pieces, Script, noise, put, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MB = 10**6
PART = 2**16
AGE_CHUNK = 2**16 + 16
"""Bytes of a chunk of the age format as it is stored: 64 KiB and their tag."""


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PART", PART)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.fixture
def store() -> Disturbed:
    return Disturbed(max_parts=10)


def refused(
    source: Script | Pieces, store: Disturbed, error: type[BaseException], match: str | None, floor: int = 1
) -> None:
    """Make sure that a dump ends with this error and leaves nothing: no object, no upload, no process."""
    with pytest.raises(error, match=match):
        put(source, store, floor=floor)
    assert (store.objects, store.open_uploads, source.ended) == ({}, 0, True)


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("size", [0, 1, PART, 3 * MB])
def test_what_was_stored_comes_back(size: int, encrypted: bool, store: Disturbed) -> None:  # noqa: FBT001
    """Whatever its size, encrypted or not; the stream tells its sizes, its hashes, its moments and its facts."""
    data, before = noise(size), datetime.now(UTC)
    stream = put(Pieces([data]), store, recipients=[RECIPIENT] if encrypted else [], floor=0)
    assert before <= stream.started_at <= stream.ended_at <= datetime.now(UTC)
    assert stream.model_dump(exclude={"started_at", "ended_at", "objects"}) == {
        "component": "redis",
        "name": "redis",
        "kind": "rdb",
        "plain_bytes": size,
        "plain_sha256": hashlib.sha256(data).hexdigest(),
        "facts": {"rows": 7},
    }
    assert stream.objects == tuple(
        StoredObject(key=key, bytes=len(stored), sha256=hashlib.sha256(stored).hexdigest())
        for key, stored in store.objects.items()
    )
    assert take(stream, store) == data
    hash_stream(stream, store=store, progress=lambda _plain, _stored: None)


def test_it_is_age_around_zstd(store: Disturbed) -> None:
    """Its objects, one after the other, are a file that `age -d | zstd -d` reads without us."""
    data = noise(2 * MB)
    stream = put(Pieces([data]), store)
    whole = b"".join(store.objects[one.key] for one in stream.objects)
    frame = pyrage.decrypt(whole, [IDENTITY])
    assert zstandard.get_frame_parameters(frame).has_checksum
    assert zstandard.ZstdDecompressor().stream_reader(frame).read() == data


def test_a_next_object_is_begun_where_the_store_takes_no_more_parts(store: Disturbed) -> None:
    """All parts but the last are of the same size, all objects but the last are full."""
    stream = put(Pieces([noise(25 * PART)]), store, recipients=[])
    assert [one.key for one in stream.objects] == ["one/redis.1.zst", "one/redis.2.zst", "one/redis.3.zst"]
    first, second, last = (one.bytes for one in stream.objects)
    assert (first, second, store.parts) == (10 * PART, 10 * PART, 26)
    assert 5 * PART < last < 6 * PART
    assert take(stream, store) == noise(25 * PART)


def test_ten_thousand_parts_are_an_object_and_one_more_is_a_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a real store, with its own limit: what does not fit begins another object, and all of it comes back."""
    monkeypatch.setattr(pipeline, "PART", 32)
    data = noise(10_000 * 32)  # and a few bytes more, once it is packed
    store = DirectoryStore(tmp_path / "backups", "backups")
    stream = put(Pieces([data]), store, recipients=[])
    assert [one.bytes for one in stream.objects] == [10_000 * 32, stream.stored_bytes - 10_000 * 32]
    assert take(stream, store) == data


def test_every_recipient_can_open_it(store: Disturbed) -> None:
    """The recovery key and the drill's key, each alone; a key that was taken off the list cannot."""
    others = [pyrage.x25519.Identity.generate() for _ in range(2)]
    stream = put(Pieces([b"rows"]), store, recipients=[RECIPIENT, others[0].to_public()])
    assert take(stream, store, [IDENTITY]) == take(stream, store, [others[0]]) == b"rows"
    for wrong in ([others[1]], []):
        with pytest.raises(IdentityError, match="redis: it was not encrypted for this identity"):
            take(stream, store, wrong)


def test_progress_tells_both_sizes(store: Disturbed) -> None:
    """Plain and stored bytes so far, and at the end all of them."""
    told: list[tuple[int, int]] = []
    stream = put(Pieces([noise(MB)] * 3), store)
    load_stream(stream, len, store=store, identities=[IDENTITY], progress=lambda *sizes: told.append(sizes))
    assert told[-1] == (3 * MB, stream.stored_bytes)
    told.clear()
    hash_stream(stream, store=store, progress=lambda *sizes: told.append(sizes))
    assert told[-1] == (stream.stored_bytes, 0)


# --- sources that fail ---


def test_a_dump_that_fails_after_some_megabytes_is_none(store: Disturbed) -> None:
    """Its exit code counts, however much it gave; its last words are the error's."""
    source = Script("head -c 30000000 /dev/urandom; echo 'pg_dump: error: connection lost' >&2; exit 1")
    refused(source, store, EngineError, "pg_dump: error: connection lost")
    assert store.parts > 1


def test_a_dump_that_gives_nothing_is_none(store: Disturbed) -> None:
    """Although its command ends well."""
    refused(Script("exit 0"), store, BackupError, "redis: the dump gave 0 bytes, and an empty one has 1")


def test_a_dump_below_its_floor_is_none(store: Disturbed) -> None:
    """An empty database gives more than that."""
    refused(Script("echo too little"), store, BackupError, "gave 11 bytes, and an empty one has 512", floor=512)


def test_a_dump_that_hangs_is_given_up(store: Disturbed) -> None:
    """After its patience, and its command is ended."""
    source = Script("head -c 2000000 /dev/urandom; exec sleep 600", patience=0.3)
    refused(source, store, EngineError, "docker exec has given nothing")


def test_a_dump_that_complains_a_lot_goes_on(store: Disturbed) -> None:
    """What it says on its standard error is read meanwhile: it never waits for us."""
    source = Script("head -c 3000000 /dev/zero >&2; echo rows; head -c 3000000 /dev/zero >&2")
    assert take(put(source, store), store) == b"rows\n"


def test_an_interruption_of_the_dump_ends_it(store: Disturbed) -> None:
    """Ctrl-C while its bytes come."""
    refused(Pieces([noise(MB), KeyboardInterrupt()]), store, KeyboardInterrupt, None)


def test_what_age_refuses_is_told(store: Disturbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an error of ours, with its own words."""

    def refuse(*_: object) -> None:
        raise pyrage.EncryptError("incompatible recipients")

    monkeypatch.setattr("pyrage.encrypt_io", refuse)
    refused(Pieces([noise(MB)]), store, BackupError, "age cannot encrypt: incompatible recipients")


# --- stores that fail ---


def test_a_store_that_fails_ends_the_dump(store: Disturbed) -> None:
    """The source would go on for ever; what the store said is raised, nothing else."""

    def fail(number: int) -> None:
        if number == 3:
            raise StoreError("the disk is full")

    store.before_part = fail
    refused(Script("exec cat /dev/urandom"), store, StoreError, "the disk is full")


def test_a_store_that_fails_at_the_last_part_is_noticed(store: Disturbed) -> None:
    """By then the dump has ended well."""

    def fail(_: int) -> None:
        time.sleep(0.2)
        raise StoreError("503 Slow Down")

    store.before_part = fail
    refused(Pieces([b"rows"]), store, StoreError, "503 Slow Down")


def test_an_object_that_cannot_be_completed_is_none(store: Disturbed) -> None:
    """Those after it are aborted."""

    def fail(what: str, key: str) -> None:
        if key == "one/redis.2.zst.age":
            raise StoreError(f"{what} {key} is refused")

    store.before = fail
    with pytest.raises(StoreError, match=r"redis\.2\.zst\.age is refused"):
        put(Pieces([noise(25 * PART)]), store)
    assert (list(store.objects), store.open_uploads) == (["one/redis.1.zst.age"], 0)


def test_an_interruption_ends_a_store_that_is_slow(store: Disturbed) -> None:
    """Ctrl-C while the dump waits for the store."""

    def interrupt(number: int) -> None:
        if number == 3:
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)

    store.before_part = interrupt
    source = Script("exec cat /dev/urandom")
    refused(source, store, KeyboardInterrupt, None)


def test_a_slow_store_slows_the_dump_down(store: Disturbed) -> None:
    """What waits between them is bounded, whatever the size of the dump."""
    source = Pieces([noise(PIECE)] * 200)

    def look(number: int) -> None:
        if number == 2:
            time.sleep(1)
            raise StoreError("seen enough")

    store.before_part = look
    refused(source, store, StoreError, "seen enough")
    assert source.given < 100 * PIECE


# --- damage ---


def cut_at_a_chunk(data: bytes) -> bytes:
    payload = data.index(b"\n---") + 1
    payload = data.index(b"\n", payload) + 1 + 16
    return data[: payload + 5 * AGE_CHUNK]


def flip(place: Callable[[bytes], int]) -> Callable[[bytes], bytes]:
    def flipped(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[place(data)] ^= 1
        return bytes(changed)

    return flipped


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut by a byte": lambda data: data[:-1],
    "empty": lambda _: b"",
    "longer": lambda data: data + b"\0",
    "a bit at the beginning": flip(lambda _: 3),
    "a bit in the middle": flip(lambda data: len(data) // 2),
    "the last bit": flip(lambda data: len(data) - 1),
}
DAMAGED_AGE: dict[str, Callable[[bytes], bytes]] = DAMAGE | {
    "cut at the edge of a chunk": cut_at_a_chunk,
    "a bit of the header's end": flip(lambda data: data.index(b"\n--- ") + 8),
    "a bit of the first chunk": flip(lambda data: data.index(b"\n--- ") + 100),
}


@pytest.mark.parametrize(
    ("kind", "encrypted"), [*((one, True) for one in DAMAGED_AGE), *((one, False) for one in DAMAGE)]
)
def test_damage_is_found(kind: str, encrypted: bool, store: Disturbed) -> None:  # noqa: FBT001
    """With the key and without it, wherever it is."""
    stream = put(Pieces([noise(MB)]), store, recipients=[RECIPIENT] if encrypted else [])
    key = stream.objects[0].key
    store.objects[key] = DAMAGED_AGE[kind](store.objects[key])
    with pytest.raises(IntegrityError, match="redis is damaged"):
        take(stream, store)
    with pytest.raises(IntegrityError, match=f"redis is damaged: {key} has not the bytes that were stored"):
        hash_stream(stream, store=store, progress=lambda _plain, _stored: None)


def another_share(data: bytes) -> bytes:
    place = data.index(b"-> X25519 ") + 20
    return data[:place] + (b"B" if data[place : place + 1] != b"B" else b"C") + data[place + 1 :]


def test_damage_where_the_recipients_stand_is_found_without_a_key(store: Disturbed) -> None:
    """It looks like a wrong identity: the error says what to do if it is not."""
    store.max_parts = 10_000
    stream = put(Pieces([noise(20 * PIECE)]), store)
    key = stream.objects[0].key
    store.objects[key] = another_share(store.objects[key])
    with pytest.raises(IdentityError) as caught:
        take(stream, store)
    assert "backup.verify --level data" in caught.value.cure
    with pytest.raises(IntegrityError):
        hash_stream(stream, store=store, progress=lambda _plain, _stored: None)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_object_that_is_gone_is_named(number: int, store: Disturbed) -> None:
    """The first, one in the middle, the last."""
    stream = put(Pieces([noise(25 * PART)]), store)
    key = stream.objects[number].key
    del store.objects[key]
    with pytest.raises(IntegrityError, match=f"{key} is not in the store"):
        take(stream, store)
    with pytest.raises(IntegrityError, match=f"{key} is not in the store"):
        hash_stream(stream, store=store, progress=lambda _plain, _stored: None)


def test_an_object_of_another_backup_is_found(store: Disturbed) -> None:
    """Both can be opened by the same key, and are whole in themselves."""
    mine, other = (put(Pieces([data * 1000]), store, folder=data.decode()) for data in (b"monday", b"sunday"))
    store.objects[mine.objects[0].key] = store.objects[other.objects[0].key]
    with pytest.raises(IntegrityError, match=r"monday/redis\.1\.zst\.age has not the bytes that were stored"):
        take(mine, store)


def test_objects_in_another_order_are_found(store: Disturbed) -> None:
    """Each is one of the backup's own."""
    stream = put(Pieces([noise(25 * PART)]), store, recipients=[])
    one, two = (piece.key for piece in stream.objects[:2])
    store.objects[one], store.objects[two] = store.objects[two], store.objects[one]
    with pytest.raises(IntegrityError, match="redis is damaged"):
        take(stream, store)


@pytest.mark.parametrize("lie", [{"plain_sha256": "0" * 64}, {"plain_bytes": 5}])
def test_what_comes_out_is_compared_with_what_went_in(lie: dict[str, Any], store: Disturbed) -> None:
    """The stored bytes are as they were: only the dump's own size and hash tell."""
    stream = put(Pieces([b"rows"]), store).model_copy(update=lie)
    with pytest.raises(IntegrityError, match=r"4 bytes that are not the [45] that were dumped"):
        take(stream, store)


def test_what_follows_the_end_is_found(store: Disturbed) -> None:
    """Another frame behind the first one."""
    stream = put(Pieces([b"rows"]), store, recipients=[])
    (one,) = stream.objects
    data = store.objects[one.key] * 2
    store.objects[one.key] = data
    longer = StoredObject(key=one.key, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(IntegrityError, match="8 bytes that are not the 4 that were dumped"):
        take(stream.model_copy(update={"objects": (longer,)}), store)


# --- whoever takes the bytes ---


@pytest.mark.parametrize("error", [EngineError("pg_restore failed"), KeyboardInterrupt()])
def test_whoever_takes_no_more_ends_it(error: BaseException, store: Disturbed) -> None:
    """The database refuses in the middle, or somebody presses Ctrl-C: that is what is raised."""
    stream = put(Pieces([noise(20 * MB)]), store)
    taken: list[int] = []

    def write(piece: bytes) -> None:
        taken.append(len(piece))
        if len(taken) == 3:
            raise error

    with pytest.raises(type(error)) as caught:
        load_stream(stream, write, store=store, identities=[IDENTITY], progress=lambda _plain, _stored: None)
    assert caught.value is error


def test_a_store_that_fails_ends_a_restore(store: Disturbed) -> None:
    """What it said is raised."""
    stream = put(Pieces([noise(25 * PART)]), store)
    get = store.get

    def fail(key: str) -> bytes:
        if key == stream.objects[1].key:
            raise StoreError("no route to host")
        return get(key)

    store.get = fail  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="no route to host"):
        take(stream, store)


def test_few_bytes_that_stand_for_many_come_in_pieces(store: Disturbed) -> None:
    """A gigabyte of zeros is stored in some kilobytes: it is never in memory at once."""
    sizes: list[int] = []
    stream = put(Pieces([bytes(PIECE)] * 64), store)
    assert stream.stored_bytes < PIECE / 10

    def write(piece: bytes) -> None:
        sizes.append(len(piece))

    load_stream(stream, write, store=store, identities=[IDENTITY], progress=lambda _plain, _stored: None)
    assert (sum(sizes), max(sizes)) == (64 * PIECE, PIECE)
