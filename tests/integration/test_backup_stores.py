"""Both kinds of store keep the same promises; S3 also when the service is slow, broken, refusing, or lies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from cotai_tasks.backup import pipeline
from cotai_tasks.backup.components.base import Dump
from cotai_tasks.backup.store.base import ExistsError, MissingError
from cotai_tasks.backup.store.directory import DirectoryStore
from cotai_tasks.errors import StoreError
from tests.integration.s3.meddler import NOTHING, Answer, Meddler, Request, meddler, refusal
from tests.integration.s3.service import FEW, QUICK, Service, service
from tests.unit.backup.pipes import IDENTITY, RECIPIENT, Pieces, noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cotai_tasks.backup.store.base import Store, Upload
    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

PART = 5 * 2**20
"""S3's smallest."""
KEY = "cotai-dev/data/one/postgres.1.zst"
MANIFEST = "cotai-dev/manifests/one.json"
FUTURE = timedelta(days=1)
PARTS = [bytes([number]) * PART for number in range(1, 5)] + [b"the rest"]

WRITER = """
import sys
from pathlib import Path
from tests.integration.test_backup_stores import KEY, PARTS, PART
from cotai_tasks.backup.store.directory import DirectoryStore
from cotai_tasks.backup.store.s3 import Bucket, S3Store
kind, where, bucket = sys.argv[1:]
if kind == "directory":
    store = DirectoryStore(Path(where), "backups")
else:
    store = S3Store(Bucket(bucket, "some/prefix", endpoint=where, access_key="cotai", secret_key="a-key-of-the-test"))
upload = store.upload(KEY)
for part in PARTS[:4]:
    upload.write(part)
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def bucket(s3: Service) -> str:
    """Give an empty bucket."""
    return s3.bucket()


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give an empty store of each kind."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "backups", "backups")
    found: Service = request.getfixturevalue("s3")
    return found.store(request.getfixturevalue("bucket"))


@pytest.fixture
def proxy(s3: Service) -> Iterator[Meddler]:
    """Give a proxy before the service."""
    with meddler(s3.endpoint) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """Whatever went wrong: a transfer that is over has no threads, once a request that hangs has been given up."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 30
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def write(store: Store, key: str = KEY, parts: list[bytes] = PARTS) -> None:
    with store.upload(key) as upload:
        for part in parts:
            upload.write(part)
        upload.complete()


def read(store: Store, key: str = KEY, size: int = 2**20) -> bytes:
    with store.open(key) as reader:
        return b"".join(iter(lambda: reader.read(size), b""))


def write_on(upload: Upload) -> None:
    while True:
        upload.write(PARTS[2])


def once(operation: str, answer: Answer) -> Callable[[Request, Callable[[], Answer]], Answer]:
    """Answer the first request of a kind so, without asking the service."""

    def meddle(request: Request, forward: Callable[[], Answer]) -> Answer:
        return answer if (request.operation, request.number) == (operation, 1) else forward()

    return meddle


def always(operation: str, answer: Answer) -> Callable[[Request, Callable[[], Answer]], Answer]:
    """Answer each request of a kind so, without asking the service."""

    def meddle(request: Request, forward: Callable[[], Answer]) -> Answer:
        return answer if request.operation == operation else forward()

    return meddle


# -- what every store promises ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [PARTS, PARTS[:1], [b"small"], [], PARTS[:2]], ids=["5", "1", "small", "none", "2"])
def test_bytes_come_back_as_they_were_given(store: Store, parts: list[bytes]) -> None:
    """Of any number of parts, read in pieces of any size, and all at once."""
    store.check()
    write(store, parts=parts)
    whole = b"".join(parts)
    assert [(one.key, one.size) for one in store.list("cotai-dev/data/one/")] == [(KEY, len(whole))]
    assert read(store) == whole
    assert read(store, size=999_999) == whole
    assert store.get(KEY) == whole


def test_of_two_uploads_the_first_to_be_complete_stays(store: Store) -> None:
    """Two that write the same key at the same time: the later one is told, and its bytes are nowhere."""
    for other, key in ((PARTS, KEY), ([b"small"], MANIFEST)):
        with store.upload(key) as late:
            late.write(b"x" * PART)
            late.write(b"late")
            write(store, key, other)
            with pytest.raises(ExistsError):
                late.complete()
        assert read(store, key) == b"".join(other)
    assert store.sweep("", datetime.now(UTC) + FUTURE) == 0


def test_what_is_there_is_replaced_only_on_request(store: Store) -> None:
    """A manifest is written once; a note may change."""
    store.put(MANIFEST, b"1")
    with pytest.raises(ExistsError):
        store.put(MANIFEST, b"2")
    assert store.get(MANIFEST) == b"1"
    store.put(MANIFEST, b"3", replace=True)
    assert store.get(MANIFEST) == b"3"


def test_of_many_who_put_the_same_key_one_wins(store: Store) -> None:
    """The commit of a backup happens once, however many try."""

    def attempt(number: int) -> int:
        try:
            store.put(MANIFEST, str(number).encode())
        except ExistsError:
            return -1
        return number

    with ThreadPoolExecutor(8) as pool:
        results = [one for one in pool.map(attempt, range(16)) if one >= 0]
    assert [str(one).encode() for one in results] == [store.get(MANIFEST)]


def test_an_upload_under_way_is_invisible_and_leaves_nothing(store: Store) -> None:
    """Nobody lists or reads it; without `complete`, or with an error, it is gone with its block."""
    with pytest.raises(ZeroDivisionError), store.upload(KEY) as upload:  # noqa: PT012 - what is under way is looked at
        for part in PARTS:
            upload.write(part)
        assert store.list("") == []
        with pytest.raises(MissingError):
            store.get(KEY)
        raise ZeroDivisionError
    assert store.list("") == []
    assert store.sweep("", datetime.now(UTC) + FUTURE) == 0


def test_a_killed_writer_leaves_nothing_visible(store: Store, s3: Service, bucket: str, tmp_path: Path) -> None:
    """After kill -9 nothing is listed; the sweep takes what is left, by age and prefix, and says how much."""
    where = ["directory", str(tmp_path / "backups"), ""]
    if not isinstance(store, DirectoryStore):
        where = ["s3", s3.endpoint, bucket]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", WRITER, *where]
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    assert store.list("") == []
    now = datetime.now(UTC)
    assert store.sweep("cotai-dev/", now - timedelta(hours=1)) == 0
    assert store.sweep("cotai-prod/", now + FUTURE) == 0
    assert store.sweep("cotai-dev/", now + FUTURE) == 1
    assert store.sweep("cotai-dev/", now + FUTURE) == 0


def test_what_is_not_there_is_told_as_that(store: Store) -> None:
    """Reading a missing object fails as missing; deleting it does not fail."""
    for attempt in (store.get, read_with(store)):
        with pytest.raises(MissingError, match=f"has no {KEY}"):
            attempt(KEY)
    store.delete([KEY])


def read_with(store: Store) -> Callable[[str], bytes]:
    return lambda key: read(store, key)


def test_deleting_takes_what_is_named_and_no_more(store: Store) -> None:
    """Of many objects just these, and the list says so at once."""
    keys = [f"cotai-dev/data/one/{number}" for number in range(20)]
    for key in (*keys, MANIFEST):
        store.put(key, b"x")
    store.delete(keys)
    assert [one.key for one in store.list("cotai-dev/")] == [MANIFEST]


def test_a_list_is_by_the_beginning_of_the_key(store: Store) -> None:
    """A prefix need not end with a folder, and a key is a prefix of itself."""
    for key in ("b/manifests/2.json", "b/manifests/10.json", "b/other.json", "bb/x"):
        store.put(key, b"")
    assert [one.key for one in store.list("b/manifests/2")] == ["b/manifests/2.json"]
    assert [one.key for one in store.list("b/manifests/2.json")] == ["b/manifests/2.json"]
    assert [one.key for one in store.list("b/")] == ["b/manifests/10.json", "b/manifests/2.json", "b/other.json"]
    assert [one.key for one in store.list("none/")] == []


# -- what a folder promises ------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """On a real small disk: the error says that it is full, and no file is there afterwards."""
    script = f"""
        mount -t tmpfs -o size=8m none {tmp_path} && exec {sys.executable} - <<'END'
from pathlib import Path
from cotai_tasks.backup.store.directory import DirectoryStore
from cotai_tasks.errors import StoreError
store = DirectoryStore(Path("{tmp_path}/backups"), "backups")
try:
    with store.upload("s/data/x") as upload:
        for _ in range(16):
            upload.write(bytes(2**20))
except StoreError as error:
    print(error, [one for one in Path("{tmp_path}").rglob("*") if one.is_file()])
END
"""
    private = ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*private, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let us mount a disk of our own")
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([*private, "sh", "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("backups: the disk is full []\n", "")


# -- what S3 promises ------------------------------------------------------------------------------------------------


def test_ranges_are_put_together_in_their_order(s3: Service, bucket: str) -> None:
    """Many small ranges asked for ahead, by several threads, come out as one object."""
    whole = os.urandom(3 * 2**20 + 17)
    store = s3.store(bucket, piece=64 * 2**10)
    write(store, parts=[whole])
    assert read(store, size=100_000) == whole


def test_a_dump_of_more_parts_than_an_object_takes_goes_on_in_a_next(
    s3: Service, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 takes 10,000 parts (here: three); what did not fit is in the next object, and the whole comes back."""
    monkeypatch.setattr(pipeline, "PART", PART)
    whole = noise(7 * PART)
    store = s3.store(bucket, max_parts=3)
    dump = Dump("redis", "redis", "rdb", 1, Pieces([whole[at : at + 2**20] for at in range(0, len(whole), 2**20)]).open)
    stream = pipeline.store_stream(
        dump,
        lambda number: f"cotai-dev/data/one/redis.{number}.zst.age",
        store=store,
        recipients=[RECIPIENT],
        level=1,
        progress=lambda _plain, _stored: None,
    )
    assert [(one.key, one.bytes) for one in stream.objects] == [(one.key, one.size) for one in store.list("")]
    assert [one.bytes // PART for one in stream.objects] == [3, 3, 1]
    taken: list[bytes] = []
    pipeline.load_stream(
        stream, taken.append, store=store, identities=[IDENTITY], progress=lambda _plain, _stored: None
    )
    assert b"".join(taken) == whole


def test_a_list_has_no_last_page(s3: Service, bucket: str) -> None:
    """S3 lists a thousand at a time."""
    store = s3.store(bucket)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(f"s/verify/{number:05}", b""), range(1003)))
    assert len(store.list("s/")) == 1003


def test_services_without_new_checksums_are_served(s3: Service, bucket: str, proxy: Meddler) -> None:
    """`when_required` sends MD5 instead; the service checks what arrives all the same."""
    store = s3.store(bucket, endpoint=proxy.endpoint, checksums="when_required")
    write(store)
    store.put(MANIFEST, b"x")
    assert read(store) == b"".join(PARTS)


def test_an_object_replaced_while_it_is_read_is_noticed(s3: Service, bucket: str) -> None:
    """What comes out is all of one version, or an error."""
    store = s3.store(bucket, piece=1000)
    store.put(KEY, b"1" * 100_000)
    with store.open(KEY) as reader:
        reader.read(1000)
        store.put(KEY, b"2" * 100_000, replace=True)
        with pytest.raises(StoreError, match="was replaced meanwhile"):
            reader.read()


def test_the_wrong_bucket_is_named(s3: Service) -> None:
    """Before anything is dumped."""
    with pytest.raises(StoreError, match=r"s3://nobody-has-this/some/prefix: there is no such bucket"):
        s3.store("nobody-has-this").check()


@pytest.mark.parametrize("wrong", [{"access_key": "nobody"}, {"secret_key": "wrong"}], ids=["key", "secret"])
def test_a_wrong_login_is_told_without_the_secret(s3: Service, bucket: str, wrong: dict[str, Any]) -> None:
    """The cure names the files; no secret is in the error."""
    with pytest.raises(StoreError, match="does not accept the login") as caught:
        s3.store(bucket, **wrong).check()
    assert "S3_ACCESS_KEY and S3_SECRET_KEY" in caught.value.cure
    assert "a-key-of-the-test" not in f"{caught.value} {caught.value.evidence}"


def test_no_login_at_all_is_told(s3: Service, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither files of ours nor anything of AWS'."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match="there is no login for it"):
        s3.store(bucket, access_key="", secret_key="").check()


def test_a_service_that_is_not_there_is_told(s3: Service) -> None:
    """Nothing listens on port 1."""
    with pytest.raises(StoreError, match="the service cannot be reached"):
        s3.store("b", endpoint="http://127.0.0.1:1", patience=FEW).check()


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload", "CreateMultipartUpload", "HeadObject"])
@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (refusal("InternalError", 500), r"failed at {} \((InternalError|500)\)"),
        (refusal("AccessDenied", 403), "refuses {} of"),
        (Answer(200, {}, b"", cut=NOTHING), "cannot be reached"),
    ],
    ids=["500", "403", "cut"],
)
def test_a_refusal_at_any_step_is_told_and_leaves_nothing(
    s3: Service, bucket: str, proxy: Meddler, operation: str, answer: Answer, fault: str
) -> None:
    """Each request of an upload may fail for good: an error in words, and nothing that was not completed stays."""
    proxy.meddling = always(operation, answer)
    store = s3.store(bucket, endpoint=proxy.endpoint, patience=FEW)
    with pytest.raises(StoreError, match=fault.format(operation)):
        write(store)
    assert s3.uploads(bucket) == []
    if operation != "HeadObject":
        assert store.list("") == []


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload", "CreateMultipartUpload", "HeadObject"])
@pytest.mark.parametrize(
    "answer",
    [refusal("InternalError", 500), refusal("SlowDown", 503), Answer(200, {}, b"", cut=NOTHING)],
    ids=["500", "503", "cut"],
)
def test_a_hiccup_is_survived(s3: Service, bucket: str, proxy: Meddler, operation: str, answer: Answer) -> None:
    """What fails once is tried again, and nobody notices."""
    proxy.meddling = once(operation, answer)
    store = s3.store(bucket, endpoint=proxy.endpoint, patience=FEW)
    write(store)
    assert proxy.counts[operation] > 1
    assert read(store) == b"".join(PARTS)


@pytest.mark.parametrize("parts", [PARTS, [b"small"]], ids=["large", "small"])
def test_a_lost_answer_to_the_last_request_is_no_failure(
    s3: Service, bucket: str, proxy: Meddler, parts: list[bytes]
) -> None:
    """The service made the object and its answer was lost: the second attempt finds it there, and it is ours."""
    final = {"CompleteMultipartUpload", "PutObject"}

    def lose(request: Request, forward: Callable[[], Answer]) -> Answer:
        answer = forward()
        return replace(answer, cut=NOTHING) if request.operation in final and request.number == 1 else answer

    proxy.meddling = lose
    write(s3.store(bucket, endpoint=proxy.endpoint, patience=FEW), parts=parts)
    assert sum(proxy.counts[one] for one in final) == 2
    assert read(s3.store(bucket)) == b"".join(parts)


@pytest.mark.parametrize("checksums", ["when_supported", "when_required"])
@pytest.mark.parametrize(("operation", "parts"), [("UploadPart", PARTS), ("PutObject", [b"small"])])
def test_a_bit_that_flips_on_the_way_is_refused(
    s3: Service, bucket: str, proxy: Meddler, checksums: str, operation: str, parts: list[bytes]
) -> None:
    """The service compares what arrives with the checksum that goes with it."""

    def flip(request: Request, forward: Callable[[], Answer]) -> Answer:
        if request.operation == operation:
            request.body = request.body[:-1] + bytes([request.body[-1] ^ 1])
        return forward()

    proxy.meddling = flip
    store = s3.store(bucket, endpoint=proxy.endpoint, patience=FEW, checksums=checksums)
    with pytest.raises(StoreError, match=operation):
        write(store, parts=parts)
    assert (store.list(""), s3.uploads(bucket)) == ([], [])


@pytest.mark.parametrize("parts", [PARTS, [b"small"]], ids=["large", "small"])
@pytest.mark.parametrize("lie", [{"Content-Length": "7"}, {"x-amz-checksum-crc32": "AAAAAA=="}], ids=["size", "sum"])
def test_an_object_that_is_not_as_it_was_sent_is_noticed(
    s3: Service, bucket: str, proxy: Meddler, parts: list[bytes], lie: dict[str, str]
) -> None:
    """The size and the checksum that the service keeps are read back."""

    def deny(request: Request, forward: Callable[[], Answer]) -> Answer:
        answer = forward()
        if request.operation != "HeadObject":
            return answer
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in {*map(str.lower, lie)}}
        return replace(answer, headers=kept | lie)

    proxy.meddling = deny
    with pytest.raises(StoreError, match="is not there as it was sent"):
        write(s3.store(bucket, endpoint=proxy.endpoint, patience=FEW), parts=parts)


def test_an_answer_that_breaks_off_is_asked_for_again(s3: Service, bucket: str, proxy: Meddler) -> None:
    """A range that ends too early is never taken for the object's end."""

    def break_off(request: Request, forward: Callable[[], Answer]) -> Answer:
        answer = forward()
        return replace(answer, cut=1000) if request.operation == "GetObject" and request.number % 2 else answer

    proxy.meddling = break_off
    store = s3.store(bucket, endpoint=proxy.endpoint, piece=PART)
    write(store)
    assert read(store) == b"".join(PARTS)
    assert proxy.counts["GetObject"] > len(PARTS)


def test_an_answer_that_always_breaks_off_is_told(s3: Service, bucket: str, proxy: Meddler) -> None:
    """After the last attempt it is an error, not a shorter object."""

    def break_off(request: Request, forward: Callable[[], Answer]) -> Answer:
        return replace(forward(), cut=1000) if request.operation == "GetObject" else forward()

    proxy.meddling = break_off
    store = s3.store(bucket, endpoint=proxy.endpoint, patience=FEW)
    write(store)
    with pytest.raises(StoreError, match="some/prefix"):
        read(store)


def test_a_service_that_falls_silent_is_given_up(s3: Service, bucket: str) -> None:
    """Stopped in the middle of an upload and of a download: both end in an error, and no thread stays."""
    write(s3.store(bucket), MANIFEST)
    store = s3.store(bucket, patience=QUICK, piece=PART)
    with store.upload(KEY) as upload, store.open(MANIFEST) as reader:
        upload.write(PARTS[0])
        upload.write(PARTS[1])
        assert reader.read(1)
        s3.signal("STOP")
        try:
            with pytest.raises(StoreError, match="the service is silent"):
                write_on(upload)
            with pytest.raises(StoreError, match="the service is silent"):
                reader.read()
            with pytest.raises(StoreError, match="the service is silent"):
                store.list("")
        finally:
            s3.signal("CONT")
    assert [one.key for one in s3.store(bucket).list("")] == [MANIFEST]


def test_a_silent_service_delays_the_end_by_one_attempt(s3: Service, bucket: str, proxy: Meddler) -> None:
    """Ctrl-C while the service hangs: what is under way is waited for once, and not tried again."""

    def hang(request: Request, forward: Callable[[], Answer]) -> Answer:
        if request.operation == "UploadPart":
            proxy.over.wait()
            return Answer(200, {}, b"", cut=NOTHING)
        return forward()

    proxy.meddling = hang
    patience = replace(QUICK, attempts=50)
    store = s3.store(bucket, endpoint=proxy.endpoint, patience=patience)
    with pytest.raises(KeyboardInterrupt), store.upload(KEY) as upload:  # noqa: PT012 - it is sent on its way
        upload.write(PARTS[0])
        upload.write(PARTS[1])
        while proxy.counts["UploadPart"] < 2:
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert proxy.counts["UploadPart"] == 2
    assert s3.uploads(bucket) == []


def test_a_service_killed_in_the_middle_is_told(engine: Engine) -> None:
    """Its death is an error in words, and nothing waits for it any longer."""
    with service(engine) as mortal:
        bucket = mortal.bucket()
        store = mortal.store(bucket, patience=QUICK)
        with store.upload(KEY) as upload:
            upload.write(PARTS[0])
            upload.write(PARTS[1])
            mortal.signal("KILL")
            with pytest.raises(StoreError, match=r"the service (cannot be reached|is silent|failed)"):
                write_on(upload)


# -- object lock and versions ----------------------------------------------------------------------------------------


def test_a_locked_backup_cannot_be_deleted_or_replaced(s3: Service) -> None:
    """Data and manifests are locked for so many days; the store refuses in words, and the service by force."""
    bucket = s3.bucket(ObjectLockEnabledForBucket=True)
    store = s3.store(bucket, lock_days=3)
    store.check()
    write(store)
    store.put(MANIFEST, b"x")
    store.put("cotai-dev/inflight/one.json", b"x")
    for key in (KEY, MANIFEST):
        until = store.locked_until(key)
        assert until
        assert timedelta(days=2, hours=23) < until - datetime.now(UTC) <= timedelta(days=3)
        with pytest.raises(StoreError, match=rf"{key} is locked until {until:%Y-%m-%d %H:%M} UTC"):
            store.delete([key])
        name = f"some/prefix/{key}"
        version = s3.client.head_object(Bucket=bucket, Key=name)["VersionId"]
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.client.delete_object(Bucket=bucket, Key=name, VersionId=version)
    assert store.locked_until("cotai-dev/inflight/one.json") is None
    store.delete(["cotai-dev/inflight/one.json"])
    assert [one.key for one in store.list("")] == [KEY, MANIFEST]


def test_deleting_some_says_which_is_locked(s3: Service) -> None:
    """The others of the same call are gone all the same."""
    bucket = s3.bucket(ObjectLockEnabledForBucket=True)
    s3.store(bucket, lock_days=3).put(MANIFEST, b"x")
    store = s3.store(bucket)
    store.put(KEY, b"x")
    with pytest.raises(StoreError, match=f"{MANIFEST} is locked"):
        store.delete([MANIFEST, KEY])
    assert [one.key for one in store.list("")] == [MANIFEST]


def test_a_lock_that_has_ended_leaves_nothing_behind(s3: Service) -> None:
    """Its time over, the very version is deleted, not only hidden: storage is paid for versions, too."""
    bucket = s3.bucket(ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(seconds=2)
    name = f"some/prefix/{KEY}"
    s3.client.put_object(
        Bucket=bucket, Key=name, Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
    )
    store = s3.store(bucket)
    while store.locked_until(KEY):
        time.sleep(0.2)
    store.delete([KEY])
    found = s3.client.list_object_versions(Bucket=bucket)
    assert (found.get("Versions", []), found.get("DeleteMarkers", [])) == ([], [])


def test_a_legal_hold_has_no_end(s3: Service) -> None:
    """Somebody else's order not to delete is kept."""
    bucket = s3.bucket(ObjectLockEnabledForBucket=True)
    store = s3.store(bucket)
    store.put(KEY, b"x")
    s3.client.put_object_legal_hold(Bucket=bucket, Key=f"some/prefix/{KEY}", LegalHold={"Status": "ON"})
    assert store.locked_until(KEY) == datetime.max.replace(tzinfo=UTC)
    with pytest.raises(StoreError, match="is locked"):
        store.delete([KEY])


def test_a_bucket_that_cannot_lock_is_noticed_first(s3: Service, bucket: str) -> None:
    """Whoever asks for immutable backups is not left without them, and learns it before the dump."""
    with pytest.raises(StoreError, match="the bucket has no object lock"):
        s3.store(bucket, lock_days=1).check()


def test_versions_that_the_bucket_keeps_stay(s3: Service, bucket: str) -> None:
    """A bucket with versions and without locks keeps them because its owner wants it so."""
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = s3.store(bucket)
    store.put(KEY, b"x")
    store.delete([KEY])
    assert store.list("") == []
    assert len(s3.client.list_object_versions(Bucket=bucket)["Versions"]) == 1
