"""Large objects on their way to a bucket and back: several parts at once, in bounded memory."""

from __future__ import annotations

import hashlib
import io
import zlib
from base64 import b64decode, b64encode
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread, local
from typing import TYPE_CHECKING, Any, Self, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from cotai_tasks.backup.store.s3_errors import EXISTS, code_of, told
from cotai_tasks.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

SENT_AT_ONCE = 3
"""Parts: with the one that is being made there are four in memory."""
ASKED_AT_ONCE = 3
RANGE = 8 * 2**20
"""Bytes that are asked for with one request: as fast as 16 MiB, in 50 MiB less of memory."""

_BROKEN_OFF = (ReadTimeoutError, ResponseStreamingError, IncompleteReadError)
"""What boto3 does not try again: an answer that began well."""
_GRACE = 2.0
"""Seconds that a request has to come to its end, once the transfer has ended."""

_own = local()
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Target:
    """One object of a bucket, and how it is to be kept."""

    client: S3Client
    parting: S3Client
    """For what is said to a service that may be dead: it does not wait for long."""
    bucket: str
    key: str
    """The whole one, with the store's prefix."""
    url: str
    """The store's."""
    name: str
    """The key as the store's users know it."""
    manner: Mapping[str, Any]
    """Storage class, encryption, lock: parameters of whatever makes an object."""
    checksums: bool
    """Whether the service knows more than MD5."""
    max_parts: int

    @property
    def at(self) -> dict[str, Any]:
        """Name the object to boto3."""
        return {"Bucket": self.bucket, "Key": self.key}

    def proof(self, data: bytes) -> dict[str, Any]:
        """Give what goes with data, so that the service refuses it if it arrives damaged."""
        if self.checksums:
            return {"ChecksumCRC32": _crc32(data)}
        return {"ContentMD5": b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()}


def put(target: Target, data: bytes, *, replace: bool) -> None:
    """Make an object with one request."""
    condition: dict[str, Any] = {} if replace else {"IfNoneMatch": "*"}
    target.client.put_object(**target.at, Body=data, **condition, **target.proof(data), **target.manner)


def stop_when_ended(client: S3Client) -> None:
    """Let the threads of a transfer that has ended send nothing more: they would try again for minutes."""
    client.meta.events.register("before-send.s3", _refuse_ended)


def _refuse_ended(**_: object) -> None:
    if (ended := getattr(_own, "ended", None)) and ended.is_set():
        raise StoreError("the transfer has ended")


class _Crew:
    """The threads of one transfer. Ended, they have a moment to finish the request that they are at.

    Nobody waits for them after it, not even the interpreter at its end: a service that is silent would keep it.
    """

    def __init__(self) -> None:
        self._ended = Event()
        self._under_way: set[Future[Any]] = set()

    def begin(self, task: Callable[..., _Value], *arguments: object) -> Future[_Value]:
        """Give a task to a thread of its own; whoever gives them bounds their number."""
        future: Future[_Value] = Future()
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        Thread(target=self._run, args=(future, task, *arguments), daemon=True).start()
        return future

    def end(self) -> None:
        """Let nothing more be sent, and whoever waits for what is under way go on."""
        self._ended.set()
        wait(tuple(self._under_way), _GRACE)
        for future in tuple(self._under_way):
            with suppress(InvalidStateError):  # it has come to its end just now
                future.set_exception(StoreError("the transfer has ended"))

    def _run(self, future: Future[_Value], task: Callable[..., _Value], *arguments: object) -> None:
        _own.ended = self._ended
        with suppress(InvalidStateError):  # nobody waits any more
            try:
                result = task(*arguments)
            except BaseException as error:  # noqa: BLE001 - it is raised by whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)


class S3Upload:
    """An object that is there once it is complete; one part alone is sent as it is."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._crew = _Crew()
        self._id = ""
        self._first = b""
        self._count = 0
        self._size = 0
        self._under_way: set[Future[None]] = set()
        self._parts: dict[int, CompletedPartTypeDef] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._crew.end()
        if self._id:
            wait([_Crew().begin(self._abort, self._id)], _GRACE)
            self._id = ""

    def write(self, part: bytes) -> None:
        """Take the next part; waits while as many are under way as may be."""
        self._count += 1
        self._size += len(part)
        if self._count > self._target.max_parts:
            raise StoreError(f"{self._target.url}: {self._target.name} has more than {self._target.max_parts} parts")
        with told(self._target.url, self._target.name):
            match self._count:
                case 1:
                    self._first = part
                case 2:
                    self._id = self._crew.begin(self._begin).result()
                    self._submit(1, self._first)
                    self._submit(2, part)
                    self._first = b""
                case number:
                    self._submit(number, part)

    def complete(self) -> None:
        """Make the object, and compare what the service has with what was sent."""
        with told(self._target.url, self._target.name):
            with self._lost_answers():
                if self._id:
                    self._finish()
                else:
                    put(self._target, self._first, replace=False)
            self._id = ""
            self._read_back()

    def _abort(self, upload: str) -> None:
        with suppress(ClientError, BotoCoreError):  # the sweep gets what cannot be removed now
            self._target.parting.abort_multipart_upload(**self._target.at, UploadId=upload)

    def _begin(self) -> str:
        algorithm: dict[str, Any] = {"ChecksumAlgorithm": "CRC32"} if self._target.checksums else {}
        begun = self._target.client.create_multipart_upload(**self._target.at, **algorithm, **self._target.manner)
        return begun["UploadId"]

    def _submit(self, number: int, part: bytes) -> None:
        if len(self._under_way) >= SENT_AT_ONCE:
            self._await_one()
        self._under_way.add(self._crew.begin(self._send, number, part))

    def _await_one(self) -> None:
        done, self._under_way = wait(self._under_way, return_when=FIRST_COMPLETED)
        for one in done:
            one.result()

    def _send(self, number: int, part: bytes) -> None:
        proof = self._target.proof(part)
        # a file, not bytes: boto3 would copy those into its request once more (10 to 20 MiB of the peak)
        sent = self._target.client.upload_part(
            **self._target.at, UploadId=self._id, PartNumber=number, Body=io.BytesIO(part), **proof
        )
        self._parts[number] = {"PartNumber": number, "ETag": sent["ETag"]}
        if self._target.checksums:
            self._parts[number]["ChecksumCRC32"] = proof["ChecksumCRC32"]

    def _finish(self) -> None:
        while self._under_way:
            self._await_one()
        parts = [self._parts[number] for number in sorted(self._parts)]
        self._target.client.complete_multipart_upload(
            **self._target.at, UploadId=self._id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )

    @contextmanager
    def _lost_answers(self) -> Iterator[None]:
        """Accept that the object is there, where that was our own doing and only the answer did not arrive."""
        try:
            yield
        except ClientError as error:
            again = error.response["ResponseMetadata"].get("RetryAttempts", 0)
            if not (again and code_of(error) in {*EXISTS, "NoSuchUpload"}):
                raise

    def _read_back(self) -> None:
        mode: dict[str, Any] = {"ChecksumMode": "ENABLED"} if self._target.checksums else {}
        found = self._target.client.head_object(**self._target.at, **mode)
        told_sum = found.get("ChecksumCRC32", "").partition("-")[0]
        comparable = told_sum and (not self._parts or found.get("ChecksumType") == "COMPOSITE")
        if found["ContentLength"] != self._size or (comparable and told_sum != self._checksum()):
            cure = "Do not trust this service before you know why."
            raise StoreError(f"{self._target.url}: {self._target.name} is not there as it was sent", cure=cure)

    def _checksum(self) -> str:
        """Give the CRC-32 of what was sent: of several parts, that of their CRC-32s."""
        if not self._parts:
            return _crc32(self._first)
        return _crc32(b"".join(b64decode(self._parts[number]["ChecksumCRC32"]) for number in sorted(self._parts)))


class S3Reader:
    """An object from its beginning, asked for in ranges ahead of whoever reads."""

    def __init__(self, target: Target, *, size: int, etag: str, piece: int, attempts: int) -> None:
        self._target = target
        self._etag = etag
        self._piece = piece
        self._attempts = attempts
        self._crew = _Crew()
        self._ranges = iter([(start, min(start + piece, size) - 1) for start in range(0, size, piece)])
        self._asked: deque[Future[bytes]] = deque()
        self._rest = memoryview(b"")
        for _ in range(ASKED_AT_ONCE):
            self._ask()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._crew.end()

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes, at most `size`; none at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(self._piece), b""))
        if not self._rest and self._asked:
            with told(self._target.url, self._target.name):
                self._rest = memoryview(self._asked.popleft().result())
            self._ask()
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)

    def _ask(self) -> None:
        if next_range := next(self._ranges, None):
            self._asked.append(self._crew.begin(self._fetch, *next_range))

    def _fetch(self, first: int, last: int) -> bytes:
        for _ in range(self._attempts - 1):
            with suppress(*_BROKEN_OFF):
                return self._get(first, last)
        return self._get(first, last)

    def _get(self, first: int, last: int) -> bytes:
        wanted = f"bytes={first}-{last}"
        try:
            found = self._target.client.get_object(**self._target.at, Range=wanted, IfMatch=self._etag)
        except ClientError as error:
            if code_of(error) not in EXISTS:
                raise
            cure = "Somebody else writes there: repeat it, and find out who."
            raise StoreError(f"{self._target.url}: {self._target.name} was replaced meanwhile", cure=cure) from error
        return found["Body"].read()


def _crc32(data: bytes) -> str:
    return b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
