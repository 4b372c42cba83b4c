"""What is asked of an S3 service, and what its answers mean, without one."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from cotai_tasks.backup import pipeline
from cotai_tasks.backup.store.base import ExistsError, MissingError
from cotai_tasks.backup.store.s3 import Bucket, S3Store
from cotai_tasks.backup.store.s3_errors import told
from cotai_tasks.errors import StoreError
from tests.unit.backup.catalogues import MemoryStore
from tests.unit.backup.pipes import Pieces, noise, put, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATA, MANIFEST, NOTE = "cotai-prod/data/1/x.1.zst", "cotai-prod/manifests/1.json", "cotai-prod/inflight/1.json"


def answer(code: str, status: int = 400, message: str = "") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutObject")


def test_without_wishes_nothing_is_asked_for() -> None:
    """Services differ in what they know: what is not set is not sent."""
    assert Bucket("b").manner(DATA, NOW) == {}


def test_the_lock_binds_data_and_manifests() -> None:
    """What a restore needs cannot be deleted; the notes of a backup under way can."""
    bucket = Bucket("b", lock_days=30, lock_mode="COMPLIANCE")
    locked = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": NOW + timedelta(days=30)}
    assert bucket.manner(DATA, NOW) == locked
    assert bucket.manner(MANIFEST, NOW) == locked
    for key in (NOTE, "cotai-prod/format.json", "cotai-prod/verify/1/x.json"):
        assert bucket.manner(key, NOW) == {}


def test_the_storage_class_is_that_of_the_data() -> None:
    """Small objects are read at every listing, which an archive's class would make slow, dear or impossible."""
    bucket = Bucket("b", storage_class="STANDARD_IA", encryption="aws:kms", kms_key="k")
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}
    assert bucket.manner(DATA, NOW) == {"StorageClass": "STANDARD_IA", **encrypted}
    assert bucket.manner(MANIFEST, NOW) == encrypted


@pytest.mark.parametrize(
    ("error", "kind", "fault", "cure"),
    [
        (answer("NoSuchKey", 404), MissingError, "s3://b/p has no KEY", ""),
        (answer("404", 404), MissingError, "s3://b/p has no KEY", ""),
        (answer("PreconditionFailed", 412), ExistsError, "s3://b/p has KEY already", ""),
        (answer("ConditionalRequestConflict", 409), ExistsError, "s3://b/p has KEY already", ""),
        (answer("NoSuchBucket", 404), StoreError, "there is no such bucket", "correct BACKUP_STORE"),
        (answer("InvalidAccessKeyId", 403), StoreError, "does not accept the login", "S3_ACCESS_KEY and S3_SECRET_KEY"),
        (answer("SignatureDoesNotMatch", 403), StoreError, "does not accept the login", "S3_SECRET_KEY"),
        (answer("ExpiredToken"), StoreError, "does not accept the login", "S3_SECRET_KEY"),
        (answer("AccessDenied", 403), StoreError, "refuses PutObject of KEY", "lacks the right to PutObject"),
        (answer("403", 403), StoreError, "refuses PutObject of KEY", "lacks the right to PutObject"),
        (answer("RequestTimeTooSkewed", 403), StoreError, "this host's clock is wrong", "timedatectl"),
        (answer("InvalidObjectState", 403), StoreError, "KEY is in an archive", "BACKUP_S3_STORAGE_CLASS"),
        (answer("NotImplemented", 501), StoreError, "does not know a part of PutObject", "If-None-Match"),
        (answer("InternalError", 500), StoreError, r"failed at PutObject \(InternalError\)", "the service's own log"),
        (answer("SlowDown", 503), StoreError, r"failed at PutObject \(SlowDown\)", "the service's own log"),
        (answer("InvalidRequest", 400, "Why."), StoreError, "PutObject: InvalidRequest Why.", "BACKUP_S3_"),
        (NoCredentialsError(), StoreError, "there is no login for it", "S3_SECRET_KEY"),
        (SSLError(endpoint_url="u", error=OSError("x")), StoreError, "its certificate is not trusted", "AWS_CA_BUNDLE"),
        (ReadTimeoutError(endpoint_url="u"), StoreError, "the service is silent", "does not answer"),
        (ConnectTimeoutError(endpoint_url="u"), StoreError, "the service is silent", "does not answer"),
        (EndpointConnectionError(endpoint_url="u"), StoreError, "cannot be reached", "BACKUP_S3_ENDPOINT"),
        (BotoCoreError(), StoreError, "s3://b/p: An unspecified error", "BACKUP_S3_"),
    ],
    ids=str,
)
def test_every_answer_is_told_in_words(error: Exception, kind: type[StoreError], fault: str, cure: str) -> None:
    """A person reads what is wrong and what to do, never a traceback of boto3's."""
    with pytest.raises(StoreError, match=fault) as caught, told("s3://b/p", "KEY"):
        raise error
    assert type(caught.value) is kind
    assert cure in caught.value.cure


def test_an_error_of_somebody_else_stays_its_own() -> None:
    """Only what boto3 raises is the store's."""
    with pytest.raises(KeyError), told("s3://b", "KEY"):
        raise KeyError("x")


@pytest.mark.parametrize("key", ["../x", "a/../b", "/a", ".hidden", ""])
def test_no_key_is_sent_that_a_folder_would_not_take(key: str) -> None:
    """What is in a bucket can be copied into a folder, and no manifest names what is not the store's."""
    store = S3Store(Bucket("b", "p", access_key="k", secret_key="s"))
    with pytest.raises(StoreError, match="is no key"):
        store.put(key, b"x")
    with pytest.raises(StoreError, match="is no key"):
        store.get(key)
    with pytest.raises(StoreError, match="is no key"):
        store.delete([key])


def test_more_parts_than_s3_takes_are_refused_at_once() -> None:
    """Not after the 160th gigabyte: whoever writes begins a next object in time."""
    store = S3Store(Bucket("b", access_key="k", secret_key="s"), max_parts=1)
    with store.upload(DATA) as upload:
        upload.write(b"x")
        with pytest.raises(StoreError, match=f"{DATA} has more than 1 parts"):
            upload.write(b"x")


class Silent:
    """A client of a service that answers what is named, and nothing else before it is given up."""

    def __init__(self, **answers: dict[str, Any]) -> None:
        self.asked, self.given_up = Event(), Event()
        self._answers = answers

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        def ask(**_: object) -> dict[str, Any]:
            if operation in self._answers:
                return self._answers[operation]
            self.asked.set()
            self.given_up.wait(20)
            raise ReadTimeoutError(endpoint_url="u")

        return ask


def silent_store(client: Silent) -> S3Store:
    store = S3Store(Bucket("b", access_key="k", secret_key="s"))
    store.__dict__ |= {"_client": client, "_parting": client}
    return store


def interrupted(client: Silent) -> Iterator[bytes | BaseException]:
    """Give bytes until the service is asked for something that it does not answer."""
    while not client.asked.is_set():
        yield os.urandom(10**6)
        client.asked.wait(0.05)
    yield KeyboardInterrupt()


@pytest.mark.parametrize("answers", [{}, {"create_multipart_upload": {"UploadId": "1"}}], ids=["at once", "begun"])
def test_an_interruption_of_a_backup_does_not_wait_for_a_silent_service(
    answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends it before the service is given up, whether or not an upload was begun."""
    monkeypatch.setattr(pipeline, "PART", 2**16)
    client = Silent(**answers)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        put(Pieces(interrupted(client)), silent_store(client), recipients=[])  # type: ignore[arg-type]
    spent = time.monotonic() - begun
    client.given_up.set()
    assert spent < 20


def test_an_interruption_of_a_restore_does_not_wait_either() -> None:
    """Its object is there, and then the service gives nothing of it."""
    memory = MemoryStore()
    stream = put(Pieces([noise(10**6)]), memory, recipients=[])
    client = Silent(head_object={"ContentLength": stream.stored_bytes, "ETag": "1"})

    def interrupt() -> None:
        assert client.asked.wait(10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        take(stream, silent_store(client))
    spent = time.monotonic() - begun
    client.given_up.set()
    assert spent < 20
