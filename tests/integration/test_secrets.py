"""Secrets on real servers: TLS that is checked, what each Redis user may do, and a rotation that nobody notices."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from cotai_tasks.errors import EngineError, RefusedError
from cotai_tasks.facts import Project
from cotai_tasks.security import rotate as module
from cotai_tasks.security import secret_folders
from cotai_tasks.security.certificates import make_authority
from cotai_tasks.security.logins import postgres_password
from cotai_tasks.security.rotate import finish, rotate
from cotai_tasks.security.store import Store, fill
from cotai_tasks.settings import Settings, load_settings
from cotai_tasks.stack import Stack, known_source, stack_variables
from cotai_tasks.testing import RecordingConsole
from cotai_tasks.variables import PRODUCTION_SECRETS, Variables
from cotai_tasks.volumes import put_folders
from tests.unit.deploy.stacks import service
from tests.unit.deploy.stacks import stack as make_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
REDIS = "redis-server --port 0 --tls-port 6379 --tls-auth-clients no --tls-ca-cert-file /run/secrets/ca.pem"


class House:
    """A PostgreSQL and a Redis with secrets as production has them, and a place to log in from."""

    def __init__(self, directory: Path, engine: Engine) -> None:
        self.directory, self.engine, self.console = directory, engine, RecordingConsole()
        development = load_settings(ROOT, "dev", environ=os.environ)
        images = stack_variables(development, known_source(development, engine))
        self.images = {name: value for name, value in images.items() if name.endswith("_IMAGE")}
        self.store = Store(directory / "env/secrets")
        file, name = directory / "compose.yaml", f"cotai-test-{uuid.uuid4().hex[:6]}"
        file.write_text(yaml.safe_dump(compose(self.images)))
        (directory / "empty.env").touch()
        project = Project(name, directory, (file,), ("*",), directory / "empty.env", frozenset())
        variables = self.images | {
            "COTAI_REPOSITORY": "cotai",
            "POSTGRES_DB": "cotai",
            "MONGODB_OPTIONS": "replicaSet=rs0",
        }
        self.stack: Stack = make_stack(
            *(service(one) for one in ("postgres", "redis")),
            service("client", folders=frozenset({"secrets/app"})),
            project=project,
            variables=variables,
        )

    @property
    def settings(self) -> Settings:
        """Read the store anew, as every command does."""
        passwords = {name: self.store.text(name) for name in PRODUCTION_SECRETS}
        return Settings(
            environment="prod",
            project="cotai",
            directory=self.directory,
            home=self.directory,
            variables=Variables.model_validate(passwords | {"SERVER_NAME": "localhost"}),
            upstream_images={},
            offline_images={},
        )

    def put(self) -> None:
        """Bring the files of the secrets to the engine."""
        put_folders(self.stack, self.engine, secret_folders(self.settings, self.stack.variables))

    def rotate(self, name: str) -> None:
        """Begin as `security.secrets --rotate` does."""
        rotate(name, settings=self.settings, engine=self.engine, console=self.console)

    def finish(self, name: str, *, yes: bool = False) -> None:
        """End as `security.secrets --finish` does."""
        finish(name, yes=yes, settings=self.settings, engine=self.engine, console=self.console)

    def psql(self, statement: str, url: str = "$(cat /run/secrets/DATABASE_URL)") -> str:
        """Log in as the application does, from another container."""
        script = f'psql --no-psqlrc -At "{url}" --command "$1"'
        return self.engine.execute(self.stack.project, "client", ["sh", "-c", script, "psql", statement]).strip()

    def redis(self, user: str, password: str, *command: str) -> str:
        """Run one command as a user; gives the server's words, refusals too."""
        script = 'REDISCLI_AUTH="$1"; export REDISCLI_AUTH; user="$2"; shift 2; '
        script += 'redis-cli --tls --cacert /run/secrets/ca.pem --user "$user" "$@" 2>&1'
        argv = ["sh", "-c", script, "redis", password, user, *command]
        return self.engine.execute(self.stack.project, "redis", argv).strip()


def compose(images: dict[str, str]) -> dict[str, object]:
    def secrets(folder: str) -> list[dict[str, object]]:
        volume = {"type": "volume", "source": "secrets", "target": "/run/secrets", "read_only": True}
        return [volume | {"volume": {"subpath": folder}}]

    tls = "-c ssl=on -c ssl_cert_file=/run/secrets/tls.crt -c ssl_key_file=/run/secrets/tls.key"
    own_tls = "--tls-cert-file /run/secrets/tls.crt --tls-key-file /run/secrets/tls.key"
    return {
        "services": {
            "postgres": {
                "image": images["POSTGRES_IMAGE"],
                "user": "999",
                "command": f"postgres {tls} -c log_statement=all",
                "environment": {
                    "POSTGRES_DB": "cotai",
                    "POSTGRES_PASSWORD_FILE": "/run/secrets/POSTGRES_SUPERUSER_PASSWORD",
                },
                "volumes": secrets("postgres"),
                "networks": {"default": {"aliases": ["stranger"]}},
            },
            "redis": {
                "image": images["REDIS_IMAGE"],
                "user": "999",
                "command": f"{REDIS} {own_tls} --aclfile /run/secrets/users.acl --loglevel verbose",
                "volumes": secrets("redis"),
                "networks": {"default": {"aliases": ["alias"]}},
            },
            "client": {
                "image": images["POSTGRES_IMAGE"],
                "user": "10001",
                "entrypoint": ["sleep", "3600"],
                "volumes": secrets("app"),
                "init": True,
            },
            "files": {
                "image": images["PYTHON_IMAGE"],
                "entrypoint": ["python3", "-m", "cotai_runtime.volumes"],
                "environment": {"PYTHONPATH": "/opt/cotai"},
                "profiles": ["tools"],
                "volumes": ["secrets:/volumes/secrets", f"{ROOT}/docker/runtime:/opt/cotai:ro"],
            },
        },
        "volumes": {"secrets": {}},
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[House]:
    """Start the servers, and give the application's role its first password."""
    made = House(tmp_path_factory.mktemp("secrets"), engine)
    fill(made.store, now=datetime.now(UTC))
    context = pytest.MonkeyPatch()
    context.setattr(module, "open_stack", lambda *_: made.stack)
    try:
        made.put()
        for _ in engine.compose(made.stack.project, "up", "--detach", "postgres", "redis", "client"):
            pass
        superuser = ["psql", "--username=postgres", "--dbname=cotai", "--quiet"]
        _until_it_answers(made, [*superuser, "--command=SELECT 1"])
        script = postgres_password("cotai", made.store.text("POSTGRES_PASSWORD")).decode()
        owner = f"CREATE ROLE cotai; {script} ALTER SCHEMA public OWNER TO cotai;"
        engine.feed(made.stack.project, "postgres", superuser, owner.encode())
        yield made
    finally:
        context.undo()
        for _ in engine.down(made.stack.project, volumes=True):
            pass


def _until_it_answers(house: House, command: list[str]) -> None:
    """Wait for the server over TCP: while it initialises, it answers on its socket alone."""
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    while True:
        try:
            house.engine.execute(house.stack.project, "postgres", [*command, "--host=127.0.0.1"])
        except EngineError:
            if datetime.now(UTC) > deadline:
                raise
        else:
            return


def password_url(login: str, password: str, *, host: str = "postgres", ca: str = "ca.pem") -> str:
    return f"postgresql://{login}:{password}@{host}:5432/cotai?sslmode=verify-full&sslrootcert=/run/secrets/{ca}"


def test_postgres_is_believed_by_its_certificate_alone(house: House) -> None:
    """With the URL that the application gets; another name, or an authority that did not sign it, is refused."""
    told = "SELECT session_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert house.psql(told) == "cotai|t"
    password = house.store.text("POSTGRES_PASSWORD")
    with pytest.raises(EngineError, match='certificate for "postgres"') as caught:
        house.psql(told, password_url("cotai", password, host="stranger"))
    assert password not in str(caught.value)
    folders = secret_folders(house.settings, house.stack.variables)
    other = make_authority("somebody else", now=datetime.now(UTC)).certificate_pem
    ours = folders["secrets/app"]["ca.pem"]
    put_folders(
        house.stack,
        house.engine,
        {"secrets/app": folders["secrets/app"] | {"wrong.pem": type(ours)(other, uid=ours.uid, mode=ours.mode)}},
    )
    with pytest.raises(EngineError, match="certificate verify failed"):
        house.psql(told, password_url("cotai", password, ca="wrong.pem"))


@pytest.mark.parametrize(
    ("user", "command", "answer"),
    [
        ("app", "LPUSH default task", "1"),
        ("app", "XADD progress:1 1-1 status done", "1-1"),
        ("app", "EVAL return(1) 0", "1"),
        ("app", "PUBLISH /0.celery.pidbox hello", "0"),
        ("app", "FLUSHALL", "NOPERM"),
        ("app", "CONFIG SET save x", "NOPERM"),
        ("app", "KEYS *", "NOPERM"),
        ("app", "SHUTDOWN", "NOPERM"),
        ("app", "ACL LIST", "NOPERM"),
        ("monitor", "LLEN default", "1"),
        ("monitor", "CONFIG GET appendfsync", "appendfsync\neverysec"),
        ("monitor", "PUBLISH /0.celeryev hello", "0"),
        ("monitor", "LPUSH x.reply.celery.pidbox hello", "1"),
        ("monitor", "LPUSH default task", "NOPERM"),
        ("monitor", "SET key value", "NOPERM"),
        ("monitor", "CONFIG SET save x", "NOPERM"),
        ("monitor", "FLUSHALL", "NOPERM"),
        ("admin", "ACL WHOAMI", "admin"),
        ("default", "PING", "WRONGPASS"),
    ],
)
def test_each_redis_user_may_do_its_work_and_no_more(house: House, user: str, command: str, answer: str) -> None:
    """The application works, who watches reads, and neither can stop, empty or change the server."""
    names = {"app": "REDIS_PASSWORD", "monitor": "MONITOR_PASSWORD", "admin": "REDIS_ADMIN_PASSWORD"}
    password = house.store.text(names.get(user, "REDIS_PASSWORD"))
    said = house.redis(user, password, *command.split())
    assert answer in said
    assert ("NOPERM" in said) == (answer == "NOPERM")


def test_a_rotation_of_postgres_overlaps(house: House) -> None:
    """Old and new log in and share what they make; after `finish` the old one does not, and its session is over."""
    old = password_url("cotai", house.store.text("POSTGRES_PASSWORD"))
    house.psql("CREATE TABLE before_rotation (id int)")
    house.rotate("POSTGRES_PASSWORD")
    assert house.psql("SELECT session_user, current_user") == "cotai_b|cotai"
    assert house.psql("SELECT session_user, current_user", old) == "cotai|cotai"
    house.psql("CREATE TABLE after_rotation (id int); INSERT INTO before_rotation VALUES (1)")
    assert house.psql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'", old) == "cotai"
    with pytest.raises(RefusedError, match="They lose their connection"):
        house.finish("POSTGRES_PASSWORD")
    assert "not restarted since POSTGRES_PASSWORD was changed: client" in house.console.text()
    list(house.engine.restart(house.stack.project, ["client"]))
    house.engine.execute(
        house.stack.project, "client", ["sh", "-c", f'psql -At "{old}" -c "SELECT pg_sleep(60)" >/dev/null 2>&1 &']
    )
    _until_someone_sleeps(house)
    with pytest.raises(RefusedError, match="one session is still open"):
        house.finish("POSTGRES_PASSWORD")
    house.finish("POSTGRES_PASSWORD", yes=True)
    with pytest.raises(EngineError, match="password authentication failed"):
        house.psql("SELECT 1", old)
    assert house.psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'cotai'") == "0"
    house.rotate("POSTGRES_PASSWORD")
    assert house.psql("SELECT session_user") == "cotai"
    house.finish("POSTGRES_PASSWORD", yes=True)
    assert house.psql("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'cotai_b'") == "f"


def _until_someone_sleeps(house: House) -> None:
    asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    while house.psql(asked) == "0":
        assert datetime.now(UTC) < deadline


@pytest.mark.parametrize(("name", "user"), [("REDIS_PASSWORD", "app"), ("REDIS_ADMIN_PASSWORD", "admin")])
def test_a_rotation_of_redis_overlaps(house: House, monkeypatch: pytest.MonkeyPatch, name: str, user: str) -> None:
    """Old and new log in, after a restart of the server too; after `finish` the old one does not."""
    monkeypatch.setitem(module.REDIS_USERS, name, {"redis": user})  # this house has one Redis
    monkeypatch.setitem(module.DATABASES, name, ("redis",))
    old = house.store.text(name)
    house.rotate(name)
    new = house.store.text(name)
    for _ in range(2):
        assert [house.redis(user, one, "ACL", "WHOAMI") for one in (old, new)] == [user, user]
        list(house.engine.restart(house.stack.project, ["redis"]))
    house.finish(name, yes=True)
    assert house.redis(user, new, "ACL", "WHOAMI") == user
    assert "WRONGPASS" in house.redis(user, old, "PING")
    list(house.engine.restart(house.stack.project, ["redis"]))
    assert "WRONGPASS" in house.redis(user, old, "PING")


def test_no_value_is_anywhere_but_in_its_files(house: House) -> None:
    """Not in the servers' logs, which write every statement, nor in what the engine tells, nor on the console."""
    values = [house.store.text(name) for name in PRODUCTION_SECRETS]
    project = house.stack.project
    logs = "\n".join(house.engine.logs(project, []))
    assert "ALTER ROLE" in logs
    ids = [one.id for one in house.engine.containers(project.name)]
    told = house.engine.command("container", "inspect", *ids)
    seen = logs + told + house.console.text()
    assert [value for value in values if value in seen] == []
