"""A bucket as a store, of Amazon's S3 or of anything that speaks its language."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from cotai_tasks.backup.store.base import MAX_PARTS, Stat, require_key, require_prefix
from cotai_tasks.backup.store.s3_errors import code_of, told
from cotai_tasks.backup.store.s3_transfer import RANGE, S3Reader, S3Upload, Target, put, stop_when_ended
from cotai_tasks.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Literal

    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

    from cotai_tasks.backup.store.base import Reader, Upload

_AT_ONCE = 8
"""Objects that are deleted at the same time."""
_FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Bucket:
    """Where a bucket is, how to log in, and how objects are to be kept there."""

    name: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    path_style: bool = False
    access_key: str = ""
    """Without one, whatever AWS' own tools would find."""
    secret_key: str = field(default="", repr=False)
    storage_class: str = ""
    """Of the data only: what is small is read often."""
    lock_days: int = 0
    lock_mode: Literal["GOVERNANCE", "COMPLIANCE"] = "GOVERNANCE"
    encryption: Literal["", "AES256", "aws:kms"] = ""
    kms_key: str = ""
    checksums: Literal["when_supported", "when_required"] = "when_supported"

    @property
    def url(self) -> str:
        """What a person calls it."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    def manner(self, key: str, now: datetime) -> Mapping[str, Any]:
        """Say how an object is to be kept, as parameters of whatever makes it; a lock binds data and manifests."""
        folder = key.split("/")[1:2]
        wanted: dict[str, Any] = {
            "StorageClass": self.storage_class if folder == ["data"] else "",
            "ServerSideEncryption": self.encryption,
            "SSEKMSKeyId": self.kms_key,
        }
        given = {name: value for name, value in wanted.items() if value}
        if self.lock_days and folder in (["data"], ["manifests"]):
            until = now + timedelta(days=self.lock_days)
            given |= {"ObjectLockMode": self.lock_mode, "ObjectLockRetainUntilDate": until}
        return given


@dataclass(frozen=True)
class Patience:
    """How long a service is waited for: with these, one that is silent is given up after some six minutes."""

    connect: float = 10.0
    """Seconds."""
    read: float = 60.0
    """Seconds without a byte."""
    attempts: int = 6


class S3Store:
    """Backups in a bucket, an object each.

    `piece` is how many bytes are asked for at a time.
    """

    def __init__(
        self, bucket: Bucket, patience: Patience | None = None, *, piece: int = RANGE, max_parts: int = MAX_PARTS
    ) -> None:
        self.url = bucket.url
        self.max_parts = max_parts
        self._bucket = bucket
        self._piece = piece
        self._patience = patience or Patience()

    def check(self) -> None:
        """Make sure that the bucket is there, that we may list it, and that it locks if it has to."""
        with told(self.url):
            self._client.list_objects_v2(Bucket=self._bucket.name, Prefix=self._key(""), MaxKeys=1)
            if self._bucket.lock_days and not self._locks():
                cure = "Object lock is chosen when a bucket is made: make another, or BACKUP_S3_LOCK_DAYS=0."
                raise StoreError(f"{self.url}: the bucket has no object lock", cure=cure)

    def upload(self, key: str) -> Upload:
        """Begin a large object."""
        return S3Upload(self._target(key))

    def put(self, key: str, data: bytes, *, replace: bool = False) -> None:
        """Make a small object with one request."""
        with told(self.url, key):
            put(self._target(key), data, replace=replace)

    def get(self, key: str) -> bytes:
        """Read a small object."""
        with self.open(key) as reader:
            return reader.read()

    @contextmanager
    def open(self, key: str) -> Iterator[Reader]:
        """Read a large object; all of it is of the version that was there when it was opened."""
        target = self._target(key)
        with told(self.url, key):
            head = self._head(key)
        size, etag, attempts = head["ContentLength"], head["ETag"], self._patience.attempts
        with S3Reader(target, size=size, etag=etag, piece=self._piece, attempts=attempts) as reader:
            yield reader

    def list(self, prefix: str) -> list[Stat]:
        """Give the objects that are complete."""
        with told(self.url):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=self._key(require_prefix(prefix))
            )
            return [
                Stat(one["Key"].removeprefix(self._key("")), one["Size"], one["LastModified"])
                for page in pages
                for one in page.get("Contents", [])
            ]

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects one by one: some services do not know the request for many."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._delete, keys))

    def locked_until(self, key: str) -> datetime | None:
        """Tell what the service says of the object's lock."""
        with told(self.url, key):
            return _locked_until(self._head(key))

    def sweep(self, prefix: str, older_than: datetime) -> int:
        """Abort uploads that were begun before a moment; the services keep, and charge for, their parts."""
        with told(self.url):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket.name, Prefix=self._key(require_prefix(prefix))
            )
            old = [one for page in pages for one in page.get("Uploads", []) if one["Initiated"] < older_than]
            for one in old:
                self._abort(one["Key"], one["UploadId"])
        return len(old)

    @cached_property
    def _client(self) -> S3Client:
        """Make the client when it is needed: it may look for its login at a place that takes seconds to say no."""
        client = _client(self._session, self._bucket, self._patience)
        stop_when_ended(client)
        return client

    @cached_property
    def _parting(self) -> S3Client:
        patience = Patience(min(5.0, self._patience.connect), min(10.0, self._patience.read), attempts=1)
        return _client(self._session, self._bucket, patience)

    @cached_property
    def _session(self) -> boto3.session.Session:
        """Give the session of both clients: it reads how the service is spoken to once."""
        return boto3.session.Session(
            aws_access_key_id=self._bucket.access_key or None,
            aws_secret_access_key=self._bucket.secret_key or None,
            region_name=self._bucket.region or None,
        )

    def _key(self, key: str) -> str:
        return f"{self._bucket.prefix}/{key}" if self._bucket.prefix else key

    def _target(self, key: str) -> Target:
        return Target(
            client=self._client,
            parting=self._parting,
            bucket=self._bucket.name,
            key=self._key(require_key(key)),
            url=self.url,
            name=key,
            manner=self._bucket.manner(key, datetime.now(UTC)),
            checksums=self._bucket.checksums == "when_supported",
            max_parts=self.max_parts,
        )

    def _head(self, key: str) -> HeadObjectOutputTypeDef:
        return self._client.head_object(Bucket=self._bucket.name, Key=self._key(require_key(key)))

    def _delete(self, key: str) -> None:
        with told(self.url, key):
            try:
                head = self._head(key)
            except ClientError as error:
                if code_of(error) != "404":
                    raise
                return
            if until := _locked_until(head):
                cure = "Nobody can delete it before: so BACKUP_S3_LOCK_DAYS, or the bucket's own rule, wants it."
                raise StoreError(f"{self.url}: {key} is locked until {until:%Y-%m-%d %H:%M} UTC", cure=cure)
            self._client.delete_object(Bucket=self._bucket.name, Key=self._key(key), **_version(head))

    def _abort(self, key: str, upload: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket.name, Key=key, UploadId=upload)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":  # another sweep was faster
                raise

    def _locks(self) -> bool:
        try:
            found = self._client.get_object_lock_configuration(Bucket=self._bucket.name)
        except ClientError as error:
            if code_of(error) != "ObjectLockConfigurationNotFoundError":
                raise
            return False
        return found["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled"


def _locked_until(head: HeadObjectOutputTypeDef) -> datetime | None:
    if head.get("ObjectLockLegalHoldStatus") == "ON":
        return _FOR_EVER
    until = head.get("ObjectLockRetainUntilDate", datetime.now(UTC))
    return until if until > datetime.now(UTC) else None


def _version(head: Mapping[str, Any]) -> dict[str, Any]:
    """Say which version a deletion means.

    Where there are versions, deleting without naming one only hides the object. What had a lock has had its time, and
    goes for good; of anything else the owner of the bucket wants the versions kept.
    """
    return {"VersionId": head["VersionId"]} if "ObjectLockMode" in head else {}


def _client(session: boto3.session.Session, bucket: Bucket, patience: Patience) -> S3Client:
    return session.client(
        "s3",
        endpoint_url=bucket.endpoint or None,
        region_name=session.region_name or "us-east-1",
        config=Config(
            connect_timeout=patience.connect,
            read_timeout=patience.read,
            retries={"mode": "standard", "total_max_attempts": patience.attempts},
            max_pool_connections=2 * _AT_ONCE,
            request_checksum_calculation=bucket.checksums,
            response_checksum_validation=bucket.checksums,
            s3={"addressing_style": "path" if bucket.path_style else "auto"},
            tcp_keepalive=True,
        ),
    )
