"""docs/recovery.md, followed to the letter: each block, one after the other, by a shell that has nothing of ours."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.age import make_identity
from cotai_tasks.backup.catalogue import Catalogue
from cotai_tasks.backup.components.base import Dump
from cotai_tasks.backup.copy import download
from cotai_tasks.backup.manifest import Manifest, new_id, object_key
from cotai_tasks.backup.pipeline import store_stream
from cotai_tasks.backup.signing import fingerprint, signing_key
from cotai_tasks.backup.store.directory import DirectoryStore
from cotai_tasks.testing import RecordingConsole
from tests.integration.test_monitoring import DOCKER_CLIENT, docker, image
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs/recovery.md"
PATIENCE = 60
"""Seconds for a small server to answer."""
OWN = ("age", "zstd", "jq", "openssl", "ssh-keygen")
"""Programs that the page asks for beside the databases' own."""
LENT = {
    "postgres": ("psql", "pg_restore", "pg_verifybackup"),
    "redis": ("redis-server", "redis-cli", "redis-check-rdb"),
}
"""Programs that this host borrows from containers, under their own names."""
MIB = 2**20


class Given:
    """The bytes of a dump."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._rest.read(size)

    def finish(self) -> dict[str, Any]:
        return {}


def dump(component: str, name: str, kind: str, content: bytes) -> Dump:
    @contextmanager
    def opened() -> Iterator[Given]:
        yield Given(content)

    return Dump(component, name, kind, 1, opened)


def packed(files: dict[str, bytes]) -> bytes:
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o640
            archive.addfile(member, io.BytesIO(content))
    return paper.getvalue()


class Host:
    """A folder, two servers that it borrows programs from, and what is to be backed up."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder, self.work = folder, folder / "work"
        self.names = {name: f"cotai-test-{uuid.uuid4().hex[:6]}" for name in LENT}
        self.upload = os.urandom(20 * MIB)
        self._programs = folder / "bin"
        for one in (self.work, self._programs):
            one.mkdir()
        common = ("run", "--detach", "--network=none", f"--volume={folder}:{folder}")
        trust = "--env=POSTGRES_HOST_AUTH_METHOD=trust"
        docker(*common, f"--name={self.names['postgres']}", trust, image("POSTGRES_IMAGE", engine))
        root = ("--user=0", "--entrypoint=redis-server")  # it writes into our folder
        docker(*common, *root, f"--name={self.names['redis']}", image("REDIS_IMAGE", engine), "--save", "")
        for service, programs in LENT.items():
            for program in programs:
                script = self._programs / program
                inside = f"exec -i --env PGUSER=postgres {self.names[service]} {program}"
                script.write_text(f'#!/bin/sh\nexec {DOCKER_CLIENT} {inside} "$@"\n')
                script.chmod(0o755)

    def run(self, service: str, *command: str, data: bytes = b"") -> bytes:
        argv = [DOCKER_CLIENT, "exec", "-i", self.names[service], *command]
        return subprocess.run(argv, input=data, capture_output=True, check=True).stdout

    def sql(self, text: str, database: str = "postgres") -> str:
        return self.run("postgres", "psql", "-U", "postgres", "-At", "-d", database, data=text.encode()).decode()

    def fill(self) -> list[Dump]:
        """Fill both servers, dump them, and empty them again."""
        end = time.monotonic() + PATIENCE
        ready = ("exec", self.names["postgres"], "psql", "-h", "127.0.0.1", "-U", "postgres", "-c", "select 1")
        while docker(*ready).returncode and time.monotonic() < end:
            time.sleep(0.3)
        self.sql("CREATE ROLE cotai LOGIN; CREATE DATABASE cotai OWNER cotai;")
        self.sql("SET ROLE cotai; CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 1000) n;", "cotai")
        self.run("redis", "redis-cli", "set", "key", "value")
        globals_only = ("pg_dumpall", "-U", "postgres", "--globals-only", "--no-role-passwords")
        database = ("pg_dump", "-U", "postgres", "-Fc", "-Z0", "cotai")
        files = ("pg_basebackup", "-U", "postgres", "-D", "-", "-Ft", "-X", "fetch", "-c", "fast")
        dumps = [
            dump("postgres", "postgres-globals", "pg_globals", self.run("postgres", *globals_only)),
            dump("postgres", "postgres-cotai", "pg_dump", self.run("postgres", *database)),
            dump("postgres-physical", "postgres-physical", "pg_basebackup", self.run("postgres", *files)),
            dump("redis", "redis", "rdb", self.run("redis", "redis-cli", "--rdb", "-")),
            dump("volumes", "volume-uploads", "tar", packed({"a/upload": self.upload})),
            dump("config", "config", "tar", packed({"env/.env.production": b"SERVER_NAME=x\n"})),
        ]
        self.sql("DROP DATABASE cotai;")
        self.sql("DROP ROLE cotai;")
        return dumps

    def start(self, files: Path) -> str:
        """Start a server from its files, as the page says, where its user may go; count the rows there."""
        folder = "/tmp/files"
        self.run("postgres", "cp", "-a", str(files), folder)
        self.run("postgres", "chown", "-R", "postgres", folder)
        as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        self.run("postgres", *as_postgres, "pg_ctl", "-D", folder, "-w", "-o", "-p 5433", "-l", "/dev/null", "start")
        count = ("psql", "-U", "postgres", "-p", "5433", "-At", "-d", "cotai", "-c", "SELECT count(*) FROM t")
        return self.run("postgres", *count).decode().strip()

    def follow(self, backup: Path, identity: Path) -> subprocess.CompletedProcess[str]:
        """Run every block of the page, in one shell."""
        blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        environ = {"BACKUP": str(backup), "IDENTITY": str(identity), "WORK": str(self.work), "HOME": str(self.folder)}
        environ["PATH"] = f"{self._programs}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh"], input="\n".join(blocks), env=environ, cwd=self.folder, capture_output=True, text=True, check=False
        )


@pytest.fixture
def host(tmp_path: Path, engine: Engine) -> Iterator[Host]:
    if missing := [one for one in OWN if not shutil.which(one)]:
        pytest.skip(f"not on this host: {', '.join(missing)}")
    made = Host(tmp_path, engine)
    yield made
    docker("rm", "--force", "--volumes", *made.names.values())


def make_backup(dumps: list[Dump], folder: Path, *, encrypted: bool) -> tuple[Path, Path]:
    """Make a backup of more than one piece, download it into a folder with a blank; give that and the identity."""
    identity, given = (
        make_identity(),
        settings(COTAI_SECRETS=str(folder / "secrets"), BACKUP_STORE=str(folder / "store")),
    )
    (folder / "identity.txt").write_text(f"{identity}\n")
    store = DirectoryStore(folder / "store", "store")
    store.max_parts = 1
    catalogue = Catalogue(store, given.stack_name, given.secrets_folder / "backup")
    now = datetime.now(UTC)
    backup = new_id(now)
    catalogue.begin(backup)
    recipients = [identity.to_public()] if encrypted else []
    streams = [
        store_stream(
            one,
            partial(object_key, given.stack_name, backup, one.name, encrypted=encrypted),
            store=store,
            recipients=recipients,
            level=3,
            progress=lambda *_: None,
        )
        for one in dumps
    ]
    manifest = Manifest(
        id=backup,
        stack=given.stack_name,
        tool="0",
        started_at=now,
        ended_at=now,
        encrypted=encrypted,
        streams=tuple(streams),
    )
    catalogue.commit(manifest)
    download(backup, str(folder / "my backup"), settings=given, console=RecordingConsole())
    return folder / "my backup", folder / "identity.txt"


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "plain"])
def test_everything_comes_back(encrypted: bool, host: Host) -> None:  # noqa: FBT001 - a case
    """Rows, roles, owners, keys, files: with age, zstd and the databases' own programs alone, from several pieces."""
    backup, identity = make_backup(host.fill(), host.folder, encrypted=encrypted)
    assert len(list(backup.glob("volume-uploads.*"))) > 1
    done = host.follow(backup, identity)
    assert done.returncode == 0, done.stderr[-4000:]
    signer = fingerprint(signing_key(host.folder / "secrets/backup"))
    assert f"256 {signer} " in done.stdout
    assert host.sql(
        "SELECT count(*), sum(n) FROM t; SELECT tableowner FROM pg_tables WHERE tablename = 't'", "cotai"
    ) == ("1000|500500\ncotai\n")
    assert "backup successfully verified" in done.stdout
    assert host.start(host.work / "postgres-physical") == "1000"
    assert "db0:keys=1," in done.stdout
    assert {one.name for one in (host.work / "redis").iterdir()} == {"appendonlydir"}
    assert (host.work / "volume-uploads/a/upload").read_bytes() == host.upload
    assert (host.work / "config/env/.env.production").read_bytes() == b"SERVER_NAME=x\n"


@pytest.mark.parametrize("fault", ["a bit", "a piece", "the manifest", "the key"])
def test_nothing_is_loaded_of_a_backup_that_is_not_whole(fault: str, host: Host) -> None:
    """It stops at the check that finds it, before any database was touched."""
    backup, identity = make_backup(host.fill(), host.folder, encrypted=True)
    match fault:
        case "a bit":
            path = backup / "redis.1.zst.age"
            raw = bytearray(path.read_bytes())
            raw[-1] ^= 1
            path.write_bytes(raw)
        case "a piece":
            (backup / "volume-uploads.2.zst.age").unlink()
        case "the manifest":
            path = backup / "manifest.json"
            path.write_text(path.read_text().replace("cotai-dev", "cotai-bad"))
        case _:
            identity.write_text(f"{make_identity()}\n")
    done = host.follow(backup, identity)
    assert done.returncode != 0
    assert host.sql("SELECT count(*) FROM pg_database WHERE datname = 'cotai'") == "0\n"
