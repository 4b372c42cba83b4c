"""Backups of a production stack that is used meanwhile: made into S3, killed, proved, restored, on a bare host too."""

from __future__ import annotations

import json
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.service import ACCESS_KEY, SECRET_KEY, Service, service
from tests.stack.conftest import TENDER, deploy, drafted, eventually, post

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from cotai_tasks.engine import Engine
    from tests.stack.conftest import Production

pytestmark = pytest.mark.stack


@dataclass(frozen=True)
class Safe:
    """A deployed stack with a bucket and an identity."""

    stack: Production
    s3: Service
    bucket: str
    identity: Path
    recipient: str

    @property
    def where(self) -> dict[str, str]:
        """Give the variables that say where backups go, as somebody on a bare host exports them."""
        return {
            "BACKUP_STORE": f"s3://{self.bucket}/nightly",
            "BACKUP_S3_ENDPOINT": self.s3.endpoint,
            "BACKUP_S3_PATH_STYLE": "true",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def stored(self) -> bytes:
        """Give every byte in the bucket."""
        client = self.s3.client
        keys = [one["Key"] for one in client.list_objects_v2(Bucket=self.bucket)["Contents"]]
        return b"".join(client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys)

    def backup(self, *flags: str) -> dict[str, Any]:
        """Make an encrypted backup, and give its manifest."""
        told = self.inv("create", "--recipient", self.recipient, "--json", *flags)
        manifest: dict[str, Any] = json.loads(told.stdout)
        return manifest

    def inv(self, task: str, *flags: str, fails: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a task of the namespace, and expect its exit code."""
        done = self.stack.inv(*self.words(task, *flags), **self.where)
        assert done.returncode == fails, f"{task} {flags}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def words(self, task: str, *flags: str) -> list[str]:
        """Give a task's command line, with the identity where it takes one."""
        identity = ("--identity", str(self.identity)) if task in {"restore", "drill", "verify"} else ()
        return [f"backup.{task}", *identity, *flags]

    def begin(self, task: str, *flags: str) -> subprocess.Popen[str]:
        """Begin a task of the namespace."""
        return self.stack.begin(*self.words(task, *flags), **self.where)

    def ids(self) -> list[str]:
        """Give the ids of the backups that are listed, newest first."""
        return [one["id"] for one in json.loads(self.inv("list", "--json").stdout)["backups"]]


@pytest.fixture(scope="module")
def safe(production: Production, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Safe]:
    """Give a bucket to keep backups in, an identity that opens them, and a tender to be kept."""
    deploy(production)  # other tests may have removed all of it
    identity = tmp_path_factory.mktemp("safe") / "identity.txt"
    made = production.inv("backup.keygen", "--output", str(identity))
    assert made.returncode == 0, made.stderr
    recipient = next(word for word in (made.stdout + made.stderr).split() if word.startswith("age1"))
    draft_one(production)
    with service(engine) as s3:
        yield Safe(production, s3, s3.bucket(), identity, recipient)
    production.inv("backup.discard", "--yes")


def test_a_backup_while_the_stack_is_used(safe: Safe) -> None:
    """Every component, encrypted, signed, listed; no request fails meanwhile, no plain text is in the store."""
    with ThreadPoolExecutor() as pool:
        requesting = pool.submit(keep_asking, safe.stack, 20)
        manifest = safe.backup("--tag", "first")
        codes = requesting.result()
    assert set(codes) == {200}
    assert {one["component"] for one in manifest["streams"]} == {"postgres", "mongodb", "redis", "volumes", "config"}
    assert manifest["encrypted"]
    assert manifest["evaluation"]
    stored = safe.stored()
    secrets = [path.read_bytes().strip() for path in safe.stack.secrets.iterdir() if path.name.endswith("_PASSWORD")]
    assert len(secrets) == 9
    assert not [one for one in [*secrets, TENDER["title"].encode()] if one in stored]
    listed = json.loads(safe.inv("list", "--json").stdout)["backups"]
    assert [one["id"] for one in listed] == [manifest["id"]]


def test_it_holds_what_it_says(safe: Safe) -> None:
    """Every level of verification down to a whole restore into scratch containers, which leaves none of them behind."""
    for level in ("quick", "data", "decrypt"):
        safe.inv("verify", "--level", level)
    outcome = json.loads(safe.inv("drill", "--json").stdout)
    assert {one["component"]: one["differences"] for one in outcome["parts"]} == {
        name: [] for name in ("postgres", "mongodb", "redis", "volumes", "config")
    }
    assert scratch(safe) == []
    for task in ("create", "restore"):
        who = ("--recipient", safe.recipient) if task == "create" else ()
        foreseen = json.loads(safe.inv(task, *who, "--dry-run", "--json").stdout)
        assert foreseen["would_dump" if task == "create" else "would_restore"]


def test_prometheus_knows_of_it(safe: Safe) -> None:
    """The age of the last backup and of the last drill are metrics that an alert can be made of."""
    for metric in ("cotai_backup_last_success_timestamp_seconds", "cotai_backup_drill_last_success_timestamp_seconds"):
        eventually(partial(metrics, safe.stack, metric), metric)


def test_everything_comes_back(safe: Safe) -> None:
    """What was changed since is as it was; who uses the data was stopped and runs again, and nobody else was."""
    manifest = safe.backup()
    before = tenders(safe.stack)
    running = set(safe.stack.live())
    sql(safe.stack, "TRUNCATE tenders CASCADE")
    mongo(safe.stack, 'db.command({"delete": "documents", "deletes": [{"q": {}, "limit": 0}]})')
    redis(safe.stack, "FLUSHALL")
    assert tenders(safe.stack) != before
    refused = safe.inv("restore", "--into", "live", fails=10)
    assert "--yes" in refused.stderr
    safe.inv("restore", "--into", "live", "--yes")
    assert tenders(safe.stack) == before
    assert set(safe.stack.live()) == running
    draft_one(safe.stack)
    safe.inv("undo", "--id", manifest["id"], "--yes")
    assert len(tenders(safe.stack)) < len(before)
    safe.inv("restore", "--into", "live", "--yes")
    assert tenders(safe.stack) == before
    safe.inv("discard", "--id", manifest["id"], "--yes")
    assert "nothing that backup" in safe.inv("undo", "--id", manifest["id"], "--yes", fails=2).stderr


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_backup_that_is_killed_is_not_listed(safe: Safe, ending: signal.Signals) -> None:
    """At some step of it; no dump goes on in a container, the next backup is not in the way."""
    before = safe.ids()
    for pause in (0.0, 1.0, 2.5):
        making = safe.begin("create", "--recipient", safe.recipient)
        seen = next(line for line in making.stdout or () if "backup 2" in line)
        time.sleep(pause)
        making.send_signal(ending)
        rest = making.communicate(timeout=90)[0]
        assert making.returncode != 0, seen + rest
    assert safe.ids() == before
    eventually(lambda: not dumping(safe.stack), "the end of the dumps")


def test_a_restore_that_is_killed_leaves_the_live_data(safe: Safe) -> None:
    """SIGKILL while it stages and while it swaps: nothing starts on half of the data, one command puts it back."""
    safe.backup()
    draft_one(safe.stack)
    before, running = tenders(safe.stack), set(safe.stack.live())
    for mark in ("postgres-cotai:", "stopping", "putting mongodb in place"):
        restoring = safe.begin("restore", "--into", "live", "--yes")
        story = []
        for line in restoring.stdout or ():
            story.append(line)
            if mark in line:
                break
        restoring.kill()
        restoring.communicate(timeout=90)
        assert mark in story[-1], "".join(story)
        if mark == "postgres-cotai:":
            assert "had staged" in safe.inv("discard", "--yes").stderr
        else:
            refused = safe.stack.inv("deploy.prod", "--yes")
            assert (refused.returncode, "inv backup.undo" in refused.stderr) == (8, True)
            safe.inv("create", "--recipient", safe.recipient, fails=8)
            safe.inv("undo", "--yes")
        assert tenders(safe.stack) == before
        assert set(safe.stack.live()) == running


def test_a_bare_host(safe: Safe) -> None:
    """All is lost: containers, volumes, env file, secrets. The store and the identity bring the whole stack back."""
    manifest = safe.backup()
    before = tenders(safe.stack)
    signer = fingerprint(safe)
    safe.stack.inv("deploy.clean", "--volumes", "--yes")
    shutil.rmtree(safe.stack.secrets)
    (safe.stack.folder / "env").unlink()
    refused = safe.inv("restore", "--only", "config", "--into", "new", fails=15)
    assert "--signer" in refused.stderr
    safe.inv("restore", "--only", "config", "--into", "new", "--signer", signer)
    certified = safe.stack.inv("security.certs", "--self-signed", "--yes")
    assert certified.returncode == 0, certified.stderr
    started = safe.stack.inv("deploy.prod", "--yes")
    assert started.returncode == 0, started.stderr
    assert tenders(safe.stack) == ["[]"]  # no row, no document
    safe.inv("restore", "--id", manifest["id"], "--into", "new", "--signer", signer)
    assert tenders(safe.stack) == before
    draft_one(safe.stack)


# -- asking ----------------------------------------------------------------------------------------------------------


def draft_one(stack: Production) -> None:
    """Post a tender, as soon as that is possible, and wait for its quotation: nothing changes after it."""
    tender = eventually(lambda: post(stack), "a new tender")
    eventually(lambda: drafted(stack, tender), "its quotation", patience=240)


def tenders(stack: Production) -> list[Any]:
    """Give all tenders, as their rows and their documents."""
    rows = sql(stack, "SELECT * FROM tenders ORDER BY id").splitlines()
    return [*rows, *sorted(mongo(stack, 'sorted(str(one) for one in db["documents"].find())').splitlines())]


def sql(stack: Production, statement: str) -> str:
    return stack.inv("db.shell", "postgres", "--command", statement).stdout


def mongo(stack: Production, expression: str) -> str:
    return stack.inv("db.shell", "mongodb", "--command", expression).stdout


def redis(stack: Production, command: str) -> str:
    return stack.inv("db.shell", "redis", "--command", command).stdout


def keep_asking(stack: Production, seconds: float) -> list[int]:
    """Ask for the quotations again and again; give the status codes."""
    end, codes = time.monotonic() + seconds, []
    while time.monotonic() < end:
        codes.append(stack.get("/api/v1/quotations").status_code)
        time.sleep(0.2)  # below the limit of requests
    return codes


def metrics(stack: Production, name: str) -> list[Any]:
    """Ask Prometheus, as the admin does."""
    answer = stack.get(f"/metrics/api/v1/query?query={name}", auth=("admin", stack.secret("ADMIN_PASSWORD")))
    return list(answer.json()["data"]["result"])


def scratch(safe: Safe) -> list[str]:
    return safe.stack.docker("ps", "--all", "--quiet", "--filter", f"label=cotai.scratch={safe.stack.name}").split()


def dumping(stack: Production) -> bool:
    """Tell whether a dump still runs in a container."""
    told = "".join(stack.docker("top", stack.container(name)) for name in ("postgres", "mongodb", "redis"))
    return any(word in told for word in ("pg_dump", "mongodb-dump", "--rdb"))


def fingerprint(safe: Safe) -> str:
    """Give the fingerprint of whoever signs this host's backups, as a person has written it down."""
    return str(json.loads(safe.inv("show", "--json").stdout)["signer"])
