"""`security.secrets --rotate`: in the database, in the store and at the engine; both values valid until --finish."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.errors import DatabaseError, EngineError, RefusedError, UsageError
from cotai_tasks.facts import started_at
from cotai_tasks.security import rotate as module
from cotai_tasks.security.logins import scram_verifier
from cotai_tasks.security.rotate import DATABASES, OVERLAPPING, finish, rotate
from cotai_tasks.security.secrets import Rotation, secret_folders
from cotai_tasks.security.store import Store
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from cotai_tasks.variables import PRODUCTION_SECRETS
from cotai_tasks.volumes import put_folders
from tests.unit.deploy.stacks import service, stack
from tests.unit.security.production import IMAGES, filled_settings, settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cotai_tasks.facts import Project
    from cotai_tasks.stack import Stack

SERVERS = ("postgres", "mongodb", "redis", "redis-cache")
MOUNTS = {
    "backend": "secrets/app",
    "celery-worker": "secrets/app",
    "flower": "secrets/flower",
    "nginx": "secrets/proxy",
    "grafana": "secrets/grafana",
    "redis-exporter": "secrets/exporters",
    **{name: f"secrets/{name}" for name in SERVERS},
}
STACK = stack(
    *(service(name, folders=frozenset({folder, "config/probe"})) for name, folder in MOUNTS.items()),
    service("migrate", folders=frozenset({"secrets/migrate"}), one_shot=True),
    variables=IMAGES | {"POSTGRES_DB": "cotai"},
)


class Databases(FakeEngine):
    """An engine whose databases take every order, but for the one that they are told to die on."""

    dies_at: int = 0
    sessions: str = "0"

    def feed(self, project: Project, service: str, command: Sequence[str], data: bytes) -> str:  # noqa: ARG002
        """Write the order down; end in the middle of one if told to."""
        self.calls.append(("feed", service, *command))
        self.fed.append(data)
        if len(self.fed) == self.dies_at:
            raise KeyboardInterrupt
        return self.sessions if b"count(*)" in data else "OK\n" * data.count(b"\n")


@pytest.fixture(autouse=True)
def locks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down for what the stack was locked."""
    purposes: list[str] = []

    @contextmanager
    def lock(_: Stack, __: FakeEngine, purpose: str) -> Iterator[None]:
        purposes.append(purpose)
        yield

    monkeypatch.setattr(module, "stack_lock", lock)
    monkeypatch.setattr(module, "open_stack", lambda *_: STACK)
    return purposes


def databases(directory: Path) -> Databases:
    return Databases(found_containers=[container(name) for name in SERVERS], folders=deployed(directory))


def deployed(directory: Path) -> dict[str, dict[str, bytes]]:
    folders = secret_folders(settings(directory), IMAGES)
    return {folder: {name: one.content for name, one in files.items()} for folder, files in folders.items()}


def run(name: str, directory: Path, engine: FakeEngine, console: RecordingConsole | None = None) -> Rotation:
    return rotate(name, settings=settings(directory), engine=engine, console=console or RecordingConsole())


def end(name: str, directory: Path, engine: FakeEngine, *, yes: bool = False) -> None:
    finish(name, yes=yes, settings=settings(directory), engine=engine, console=RecordingConsole())


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    filled_settings(tmp_path)
    return Store(tmp_path / "env/secrets")


def test_postgres_gets_a_second_login(tmp_path: Path, store: Store, locks: list[str]) -> None:
    """The other role learns the new value, acts as the owner, and stands in the URL; the first one is not touched."""
    old, engine = store.text("POSTGRES_PASSWORD"), databases(tmp_path)
    result = run("POSTGRES_PASSWORD", tmp_path, engine)
    new = store.text("POSTGRES_PASSWORD")
    assert result == Rotation("POSTGRES_PASSWORD", open=True, restart=("backend", "celery-worker"))
    assert (new != old, store.text("POSTGRES_PASSWORD.old")) == (True, old)
    (order,) = (one.decode() for one in engine.fed)
    assert 'CREATE ROLE "cotai_b" IN ROLE "cotai";' in order
    assert "ALTER ROLE \"cotai_b\" SET role = 'cotai';" in order
    assert 'ALTER ROLE "cotai_b" LOGIN PASSWORD \'SCRAM-SHA-256$4096:' in order
    assert f"postgresql://cotai_b:{new}@postgres".encode() in engine.folders["secrets/app"]["DATABASE_URL"]
    assert engine.folders["secrets/postgres"]["POSTGRES_LOGIN"] == b"cotai_b"
    assert locks == ["rotate POSTGRES_PASSWORD"]


def test_the_logins_take_turns(tmp_path: Path, store: Store) -> None:
    """The next rotation gives the first login a new password, after the old one was made invalid."""
    engine = databases(tmp_path)
    run("POSTGRES_PASSWORD", tmp_path, engine)
    end("POSTGRES_PASSWORD", tmp_path, engine)
    assert b'ALTER ROLE "cotai" PASSWORD NULL;' in engine.fed[-1]
    run("POSTGRES_PASSWORD", tmp_path, engine)
    assert engine.fed[-1].startswith(b'ALTER ROLE "cotai" LOGIN PASSWORD \'SCRAM-SHA-256$')
    assert engine.folders["secrets/postgres"]["POSTGRES_LOGIN"] == b"cotai"
    end("POSTGRES_PASSWORD", tmp_path, engine)
    assert b'ALTER ROLE "cotai_b" NOLOGIN PASSWORD NULL;' in engine.fed[-1]
    assert not (store.folder / "POSTGRES_PASSWORD.old").exists()


@pytest.mark.parametrize(
    ("name", "services"),
    [
        ("ADMIN_PASSWORD", ("flower", "grafana")),
        ("MONITOR_PASSWORD", ("flower", "redis-exporter")),
        ("REDIS_CACHE_PASSWORD", ("backend", "celery-worker")),
        ("POSTGRES_SUPERUSER_PASSWORD", ()),
    ],
)
def test_who_read_it_when_it_started_must_start_again(
    tmp_path: Path, store: Store, name: str, services: tuple[str, ...]
) -> None:
    """Services whose files changed, but for databases, which were told, and Nginx, which reads at each request."""
    console = RecordingConsole()
    assert run(name, tmp_path, databases(tmp_path), console).restart == services
    assert (f"inv deploy.restart --svc {','.join(services)}" in console.text()) == bool(services)
    assert store.text(name) not in console.text()


def test_sessions_with_the_old_password_are_asked_about(tmp_path: Path, store: Store) -> None:
    """Ending them interrupts a service that was not restarted: with --yes only."""
    engine = databases(tmp_path)
    run("POSTGRES_PASSWORD", tmp_path, engine)
    engine.sessions = "3\n"
    with pytest.raises(RefusedError, match="3 sessions are still open with the old POSTGRES_PASSWORD"):
        end("POSTGRES_PASSWORD", tmp_path, engine)
    assert store.text("POSTGRES_PASSWORD.old")
    end("POSTGRES_PASSWORD", tmp_path, engine, yes=True)
    assert not store.text("POSTGRES_PASSWORD.old")


@pytest.mark.parametrize("name", ["MONGODB_PASSWORD", "REDIS_PASSWORD"])
def test_who_was_not_restarted_is_asked_about(tmp_path: Path, store: Store, name: str) -> None:
    """By the engine's own clock: the old value is kept until they are, or until --yes."""
    engine = databases(tmp_path)
    engine.now = started_at(container("backend", started_at="2026-06-01T12:00:00Z"))
    old, new = "2026-06-01T11:59:59.5Z", "2026-06-01T12:00:00.5Z"
    engine.found_containers += [container("backend", started_at=old), container("celery-worker", started_at=new)]
    run(name, tmp_path, engine)
    console = RecordingConsole()
    with pytest.raises(RefusedError, match="They lose their connection"):
        finish(name, settings=settings(tmp_path), engine=engine, console=console)
    assert console.text() == f"! not restarted since {name} was changed: backend\n"
    assert store.text(f"{name}.old")
    engine.found_containers = [*databases(tmp_path).found_containers, container("backend", started_at=new)]
    end(name, tmp_path, engine)
    assert not store.text(f"{name}.old")


def test_mongodb_gets_a_second_user(tmp_path: Path, store: Store) -> None:
    """With the application's role; `finish` removes the first."""
    engine = databases(tmp_path)
    run("MONGODB_PASSWORD", tmp_path, engine)
    root, new = store.text("MONGODB_ROOT_PASSWORD"), store.text("MONGODB_PASSWORD")
    assert json.loads(engine.fed[-1]) == {
        "root": [root, root],
        "user": "cotai_b",
        "password": new,
        "roles": [{"role": "readWrite", "db": "cotai"}],
        "drop": False,
    }
    assert f"mongodb://cotai_b:{new}@mongodb".encode() in engine.folders["secrets/app"]["MONGODB_URL"]
    end("MONGODB_PASSWORD", tmp_path, engine)
    assert json.loads(engine.fed[-1]) == {"root": [root], "user": "cotai", "drop": True}


def test_redis_takes_both_until_the_end(tmp_path: Path, store: Store) -> None:
    """As hashes, without disconnecting anybody; `finish` throws out who is there with the old one."""
    old, engine = store.text("REDIS_PASSWORD"), databases(tmp_path)
    run("REDIS_PASSWORD", tmp_path, engine)
    new, admin = store.text("REDIS_PASSWORD"), store.text("REDIS_ADMIN_PASSWORD")
    both = f"#{digest(new)} #{digest(old)}"
    assert engine.fed == [f"AUTH admin {admin}\nACL SETUSER app resetpass {both}\n".encode()]
    assert both.encode() in engine.folders["secrets/redis"]["users.acl"]
    end("REDIS_PASSWORD", tmp_path, engine)
    assert engine.fed[-1].decode().splitlines()[1:] == [
        f"ACL SETUSER app resetpass #{digest(new)}",
        "CLIENT KILL USER app SKIPME yes",
    ]
    assert digest(old).encode() not in engine.folders["secrets/redis"]["users.acl"]


@pytest.mark.parametrize("name", PRODUCTION_SECRETS)
def test_each_is_told_to_who_knows_it_and_nobody_sees_it(tmp_path: Path, store: Store, name: str) -> None:
    """No value, old or new, in a command line, in what is printed or in what is returned."""
    engine, console = databases(tmp_path), RecordingConsole()
    values = [store.text(one) for one in PRODUCTION_SECRETS]
    result = run(name, tmp_path, engine, console)
    values.append(store.text(name))
    assert tuple(call[1] for call in engine.calls) == DATABASES[name]
    assert result.open == (name in OVERLAPPING)
    seen = f"{engine.calls}{engine.environs}{console.text()}{result}"
    assert [value for value in values if value in seen] == []
    in_clear = [order for order in engine.fed if store.text(name).encode() in order and b"ALTER ROLE" in order]
    assert in_clear == []


@pytest.mark.parametrize("name", OVERLAPPING)
@pytest.mark.parametrize("step", ["order", "commit", "put"])
def test_an_interrupted_one_is_finished_by_repeating_it(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    """Wherever it stopped: then store, databases and engine agree on one new value, and the old one is valid."""
    old, engine = store.text(name), databases(tmp_path)
    with monkeypatch.context() as broken:
        if step == "order":
            engine.dies_at = 1
        elif step == "commit":
            broken.setattr(Store, "rename", _die)
        else:
            real = put_folders
            broken.setattr(module, "put_folders", lambda *args: _die() if len(args[2]) > 1 else real(*args))
        with pytest.raises(KeyboardInterrupt):
            run(name, tmp_path, engine)
    engine.dies_at = 0
    if step != "put":
        assert store.text(name) == old
        with pytest.raises(UsageError, match="interrupted") if store.text(f"{name}.old") else _nothing():
            end(name, tmp_path, engine)
    run(name, tmp_path, engine)
    new = store.text(name)
    assert (new != old, store.text(f"{name}.old"), store.read(f"{name}.next")) == (True, old, None)
    everything = b"".join(content for files in engine.folders.values() for content in files.values())
    assert new.encode() in everything
    again = run(name, tmp_path, engine)
    assert (again.open, store.text(name)) == (True, new)


def test_an_order_that_failed_says_why_and_no_value(tmp_path: Path, store: Store) -> None:
    """The database's words, without what it was given."""
    there = deployed(tmp_path)
    for said, reason in ((["OK", "NOPERM no permission"], "NOPERM no permission"), ([], "no answer over TLS")):
        engine = FakeEngine(found_containers=[container("redis")], answers={"execute": said}, folders=there)
        with pytest.raises(DatabaseError, match=f"redis refused: {reason}"):
            run("REDIS_PASSWORD", tmp_path, engine)
    broken = EngineError("psql in postgres failed", evidence="psql: x\nERROR:  role is unknown\nhint")
    engine = FakeEngine(found_containers=[container("postgres")], errors={"execute": broken}, folders=there)
    with pytest.raises(DatabaseError, match="postgres refused: ERROR:  role is unknown") as caught:
        run("POSTGRES_PASSWORD", tmp_path, engine)
    assert store.text("POSTGRES_PASSWORD.next") not in f"{caught.value}{caught.value.evidence}"


def test_what_cannot_be_changed_is_refused(tmp_path: Path, store: Store) -> None:
    """An unknown name, a stopped server, a value of the environment; a dry run does nothing."""
    with pytest.raises(UsageError, match="no such secret: 'REDIS_PASWORD'") as caught:
        run("REDIS_PASWORD", tmp_path, databases(tmp_path))
    assert caught.value.cure == "Did you mean REDIS_PASSWORD?"
    with pytest.raises(DatabaseError, match="not running in cotai-dev: redis"):
        run("REDIS_PASSWORD", tmp_path, FakeEngine())
    given = settings(tmp_path)
    store.write("REDIS_PASSWORD", b"what-the-file-holds-now")
    with pytest.raises(UsageError, match="the environment gives another"):
        rotate("REDIS_PASSWORD", settings=given, engine=databases(tmp_path), console=RecordingConsole())
    engine, console = databases(tmp_path), RecordingConsole()
    rotate("MONITOR_PASSWORD", dry_run=True, settings=settings(tmp_path), engine=engine, console=console)
    assert "and in: postgres, mongodb, redis, redis-cache" in console.text()
    assert (engine.calls, engine.folders) == ([], deployed(tmp_path))
    end("MONITOR_PASSWORD", tmp_path, engine)
    assert engine.calls == []


def test_a_stack_of_another_folder_is_left_alone(tmp_path: Path, store: Store) -> None:
    """A second checkout with secrets of its own must not push them onto what runs."""
    engine = databases(tmp_path)
    before = store.text("REDIS_PASSWORD")
    engine.folders["secrets/redis"]["ca.pem"] = b"of another checkout"
    with pytest.raises(RefusedError, match="does not run with the secrets of this folder"):
        run("REDIS_PASSWORD", tmp_path, engine)
    assert (engine.calls, store.text("REDIS_PASSWORD"), store.read("REDIS_PASSWORD.next")) == ([], before, None)


def test_the_verifier_is_the_one_that_postgresql_makes() -> None:
    """RFC 7677's example: its client proof verifies against what we would store."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    kind, iterations, keys = scram_verifier("pencil", salt).split("$")
    stored, server = (base64.b64decode(one) for one in keys.split(":"))
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client_key = bytes(a ^ b for a, b in zip(proof, hmac.digest(stored, message, "sha256"), strict=True))
    assert (kind, iterations) == ("SCRAM-SHA-256", "4096:W22ZaJ0SNY7soEsUEjb6gQ==")
    assert hashlib.sha256(client_key).digest() == stored
    assert hmac.digest(server, message, "sha256") == base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def _die(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _nothing() -> Iterator[None]:
    yield
