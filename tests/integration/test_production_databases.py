"""The database servers as production starts them: TLS alone, a role to each user, and data that survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.build import ensure_images
from cotai_tasks.db.migrate import migrate
from cotai_tasks.db.seed import seed
from cotai_tasks.db.shell import client, one_command
from cotai_tasks.db.status import database_status
from cotai_tasks.db.tune import tune
from cotai_tasks.deploy.production import fill_volumes
from cotai_tasks.errors import EngineError
from cotai_tasks.security import make_secrets
from cotai_tasks.settings import Settings, load_settings
from cotai_tasks.stack import Stack, open_stack
from cotai_tasks.testing import RecordingConsole
from cotai_tasks.variables import PRODUCTION_SECRETS
from tests.integration.alone import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

DATABASES = ("postgres", "mongodb", "redis", "redis-cache")
EXPORTERS = ("postgres-exporter", "redis-exporter", "redis-cache-exporter", "mongodb-exporter", "celery-exporter")
CANARY = "canary-8d1f4c"
ENV_FILE = """\
COTAI_SIZE=small
COTAI_EVALUATION=true
SERVER_NAME=localhost
PROBE_SUBNET=10.254.78.0/28
"""


@dataclass(frozen=True)
class Servers:
    """The running servers, and how they are asked."""

    settings: Settings
    engine: Engine
    stack: Stack

    def secret(self, name: str) -> str:
        """Read one of the secrets."""
        return (self.settings.secrets_folder / name).read_text().strip()

    def ask(self, service: str, *command: str) -> str:
        """Run a command in a server's container."""
        return self.engine.execute(self.stack.project, service, command).strip()

    def say(self, service: str, text: str) -> str:
        """Run one command of the server's own client, as `db.shell` does."""
        return self.ask(service, *one_command(service, text))

    def try_password(self, service: str, script: str, password: str) -> str:
        """Run a script that finds a password in $PASSWORD; give what it says, refused or not."""
        try:
            command = ("sh", "-c", f'PASSWORD="$(cat)"; {script}')
            return self.engine.feed(self.stack.project, service, command, password.encode()).strip()
        except EngineError as error:
            return f"refused: {error.evidence}"

    def psql(self, options: str, password: str, statement: str = "SELECT 'in'") -> str:
        """Log in to PostgreSQL with these connection options."""
        script = f'PGPASSWORD="$PASSWORD" psql -XAt "dbname=cotai {options}" -c "{statement}"'
        return self.try_password("postgres", script, password)

    def redis(self, service: str, user: str, password: str, command: str, tls: str = "--tls") -> str:
        """Send Redis a command as one of its users."""
        client = f"redis-cli --user {user} {tls} {'--cacert /run/secrets/ca.pem' if tls else ''}"
        return self.try_password(service, f'REDISCLI_AUTH="$PASSWORD" {client} {command}', password)

    def superuser(self, statement: str) -> str:
        """Ask PostgreSQL as its superuser, from within its container."""
        return self.ask("postgres", "psql", "-XqAt", "--username=postgres", "--dbname=cotai", f"--command={statement}")

    def crash(self, service: str) -> None:
        """Kill a server as the kernel does, and wait until it is healthy again by itself."""
        before = self.container(service)
        pid = int(self.engine.command("container", "inspect", "--format", "{{.State.Pid}}", before))
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.restarts(service) > 0 and self.healthy(service), f"{service} comes back")

    def container(self, service: str) -> str:
        """Give the id of a service's container."""
        return next(one.id for one in self.engine.containers(self.stack.project.name) if one.service == service)

    def restarts(self, service: str) -> int:
        """Count how often the engine has started a container again."""
        found = self.container(service)
        return int(self.engine.command("container", "inspect", "--format", "{{.RestartCount}}", found))

    def healthy(self, *services: str) -> bool:
        """Tell whether all of these are healthy."""
        found = {one.service: one.health for one in self.engine.containers(self.stack.project.name)}
        return all(found.get(name) == "healthy" for name in services)


@pytest.fixture(scope="module")
def servers(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Give production's databases and their exporters, in a project of their own, with secrets of their own."""
    folder = tmp_path_factory.mktemp("production")
    (folder / "env").mkdir()
    (folder / "env/.env.production").write_text(ENV_FILE)
    project = f"cotai-test-{uuid.uuid4().hex[:6]}"
    console = RecordingConsole()

    def load() -> Settings:
        return load_settings(folder, "prod", environ={**os.environ, "COTAI_TAG": "test"}, project=project)

    make_secrets(settings=load(), console=console)
    settings = load()
    stack = open_stack(settings, engine)
    needed = {name: stack.services[name] for name in ("backend", *DATABASES, *EXPORTERS)}
    ensure_images(replace(stack, services=needed), rebuild=True, settings=settings, engine=engine, console=console)
    found = Servers(settings, engine, stack)
    try:
        fill_volumes(stack, [], [], settings=settings, engine=engine)
        with engine.up(stack.project, [*DATABASES, *EXPORTERS]) as start:
            eventually(lambda: start.ended, "the start")
            assert start.error is None
        eventually(lambda: found.healthy(*DATABASES), "health")
        yield found
    finally:
        for line in engine.down(stack.project, volumes=True):
            console.line(line)


# -- who gets in, and who does not -------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "postgres"])
def test_postgres_wants_tls_and_the_password(servers: Servers, host: str) -> None:
    """On loopback as over the network: no plain connection, no wrong password, and both right is the way in."""
    right, verified = servers.secret("POSTGRES_PASSWORD"), "sslmode=verify-full sslrootcert=/run/secrets/ca.pem"
    login = f"host={host} user=cotai"
    assert servers.psql(f"{login} {verified}", right) == "in"
    assert "no encryption" in servers.psql(f"{login} sslmode=disable", right)
    assert "password authentication failed" in servers.psql(f"{login} {verified}", "wrong")
    assert "password authentication failed" in servers.psql("user=cotai", "wrong")  # over the socket


def test_the_superuser_does_not_come_over_the_network(servers: Servers) -> None:
    """With the right password neither; from its own container it does."""
    password, tls = servers.secret("POSTGRES_SUPERUSER_PASSWORD"), "user=postgres sslmode=require"
    assert "pg_hba.conf rejects connection" in servers.psql(f"host=postgres {tls}", password)
    assert servers.psql(f"host=127.0.0.1 {tls}", password) == "in"
    assert "password authentication failed" in servers.psql(f"host=127.0.0.1 {tls}", "wrong")


def test_old_tls_is_refused(servers: Servers) -> None:
    """Of PostgreSQL, by its own settings; 1.3 is what a client of today gets."""
    right = servers.secret("POSTGRES_PASSWORD")
    used = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert servers.psql("host=postgres user=cotai sslmode=require", right, used) == "TLSv1.3"
    assert servers.superuser("SHOW ssl_min_protocol_version") == "TLSv1.2"


@pytest.mark.parametrize(("service", "name"), [("redis", "REDIS_PASSWORD"), ("redis-cache", "REDIS_CACHE_PASSWORD")])
def test_redis_wants_tls_and_a_user(servers: Servers, service: str, name: str) -> None:
    """No plain connection, no wrong password, nobody without a name; and the users have only their own commands."""
    app, admin, monitor = (servers.secret(one) for one in (name, "REDIS_ADMIN_PASSWORD", "MONITOR_PASSWORD"))
    assert servers.redis(service, "app", app, "PING") == "PONG"
    assert "PONG" not in servers.redis(service, "app", app, "PING", tls="")
    assert "NOAUTH" in servers.redis(service, "app", "wrong", "PING")
    assert "NOAUTH" in servers.ask(service, "redis-cli", "--tls", "--cacert", "/run/secrets/ca.pem", "PING")
    assert servers.redis(service, "app", app, "SET greeting hello") == "OK"
    for command in ("FLUSHALL", "CONFIG GET maxmemory", "KEYS '*'", "SHUTDOWN", "ACL LIST"):
        assert "NOPERM" in servers.redis(service, "app", app, command), command
    assert "redis_version" in servers.redis(service, "monitor", monitor, "INFO server")
    for command in ("SET greeting no", "DEL greeting", "FLUSHALL", "CONFIG SET maxmemory 1"):
        assert "NOPERM" in servers.redis(service, "monitor", monitor, command), command
    assert servers.redis(service, "admin", admin, "GET greeting") == "hello"
    assert "DEBUG command not allowed" in servers.redis(service, "admin", admin, "DEBUG SLEEP 0")


_MONGODB = """
import sys
from pymongo import MongoClient
user, password, tls, database = sys.argv[1], sys.stdin.read().strip(), sys.argv[2] == "tls", sys.argv[3]
secure = {"tls": True, "tlsCAFile": "/run/secrets/ca.pem"} if tls else {}
with MongoClient("mongodb", username=user, password=password, serverSelectionTimeoutMS=2000, directConnection=True,
        **secure) as client:
    client[database].greetings.insert_one({"hello": 1})
    print("written")
"""


def test_mongodb_wants_tls_and_the_password(servers: Servers) -> None:
    """The stand-in, which takes the same options as MongoDB: the application writes its own database, and no other."""
    if servers.stack.source != "offline":
        pytest.skip("MongoDB itself has no Python inside")
    right, monitor = servers.secret("MONGODB_PASSWORD"), servers.secret("MONITOR_PASSWORD")

    def write(user: str, password: str, tls: str = "tls", database: str = "cotai") -> str:
        command = ["python3", "-c", _MONGODB, user, tls, database]
        try:
            return servers.engine.feed(servers.stack.project, "mongodb", command, password.encode()).strip()
        except EngineError as error:
            return error.evidence

    assert write("cotai", right) == "written"
    assert "ServerSelectionTimeoutError" in write("cotai", right, tls="plain")
    assert "AuthenticationFailed" in write("cotai", "wrong")
    assert "not authorized" in write("cotai", right, database="admin")
    assert "not authorized" in write("cotai", right, database="other")
    assert "not authorized" in write("monitor", monitor)


# -- what the application's role is, and what is kept ------------------------------------------------------------------


def test_roles_have_what_they_need_and_no_more(servers: Servers) -> None:
    """The application owns its database and is no superuser; the monitor reads statistics and no data."""
    attributes = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
    ours = "rolname IN ('cotai', 'monitor') ORDER BY 1"
    roles = servers.superuser(f"SELECT rolname, {attributes} FROM pg_roles WHERE {ours}")
    assert roles.splitlines() == ["cotai|f|f|f|f|f", "monitor|f|f|f|f|f"]
    assert servers.superuser("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'cotai'") == "cotai"
    servers.say("postgres", "CREATE TABLE mine AS SELECT 1 AS n")
    password = servers.secret("MONITOR_PASSWORD")
    login = "host=postgres user=monitor sslmode=require"
    assert servers.psql(login, password, "SELECT count(*) > 0 FROM pg_stat_activity") == "t"
    assert "permission denied" in servers.psql(login, password, "SELECT * FROM mine")
    assert "permission denied" in servers.psql(login, password, "CREATE TABLE theirs (n int)")
    servers.say("postgres", "DROP TABLE mine")


def test_postgres_is_set_up_for_production(servers: Servers) -> None:
    """Checksums, a log that can be replayed to any moment, statement statistics, and limits on what is forgotten."""
    wanted = {
        "data_checksums": "on",
        "wal_level": "replica",
        "archive_timeout": "5min",
        "max_slot_wal_keep_size": "10GB",
        "wal_compression": "pglz",
        "password_encryption": "scram-sha-256",
        "shared_preload_libraries": "pg_stat_statements",
        "idle_in_transaction_session_timeout": "5min",
        "statement_timeout": "5min",
        "shared_buffers": "128MB",
        "max_connections": "60",
        "log_min_duration_statement": "-1",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
    assert {name: servers.superuser(f"SHOW {name}") for name in wanted} == wanted


def test_the_log_of_postgres_holds_no_data(servers: Servers) -> None:
    """Neither of statements that fail nor of rows that are refused; what went wrong is in it."""
    servers.say("postgres", "CREATE TABLE people (name text PRIMARY KEY)")
    servers.say("postgres", f"INSERT INTO people VALUES ('{CANARY}')")
    for statement in (f"INSERT INTO people VALUES ('{CANARY}')", f"SELECT '{CANARY}' FROM nothing"):
        with pytest.raises(EngineError):
            servers.say("postgres", statement)
    servers.say("postgres", "DROP TABLE people")
    log = "\n".join(servers.engine.logs(servers.stack.project, ["postgres"]))
    assert "duplicate key value violates unique constraint" in log
    assert CANARY not in log


def test_status_tells_of_tls_and_of_statements(servers: Servers) -> None:
    """Every server up, with TLS; what took most time is told with its values taken out."""
    servers.say("postgres", f"SELECT '{CANARY}', pg_sleep(0.2)")
    told = {one.service: one for one in database_status(settings=servers.settings, engine=servers.engine)}
    assert {name: (one.up, one.tls) for name, one in told.items()} == dict.fromkeys(DATABASES, (True, True))
    assert told["postgres"].facts["checksums"] == "on"
    slowest = told["postgres"].details["slowest_statements"]
    assert slowest[0]["statement"] == "SELECT $1, pg_sleep($2)"
    assert slowest[0]["mean_ms"] >= 200
    assert told["redis"].persistence == "append-only file and snapshots"


def test_what_runs_fits_its_containers(servers: Servers) -> None:
    """Sizes, containers and tuning agree: nothing to do."""
    advice = tune(settings=servers.settings, engine=servers.engine)
    assert [one for one in advice if not one.fits] == []
    assert {one.service for one in advice} >= {"postgres", "redis", "redis-cache"}


def test_the_application_migrates_and_seeds(servers: Servers) -> None:
    """Both commands take their passwords from files, and verify the servers' certificates."""
    console = RecordingConsole()
    done = migrate(settings=servers.settings, engine=servers.engine, console=console)
    assert done
    assert (done.before, done.after) == ("", "0001")
    for _ in range(2):
        seed(count=3, yes=True, settings=servers.settings, engine=servers.engine, console=console)
    assert "3 new, 0 were there" in console.text()
    assert "0 new, 3 were there" in console.text()
    assert servers.say("postgres", "SELECT count(*) FROM quotations") == "3"


# -- exporters ---------------------------------------------------------------------------------------------------------

_SCRAPE = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=8).read().decode())
"""


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("postgres-exporter:9187", "pg_up 1"),
        ("redis-exporter:9121", "redis_up 1"),
        ("redis-cache-exporter:9121", "redis_up 1"),
        ("mongodb-exporter:9216", "mongodb_up"),
        ("celery-exporter:9808", "# TYPE celery_queue_length gauge"),
    ],
)
def test_exporters_log_in_with_their_files(servers: Servers, address: str, line: str) -> None:
    """Each with a login of its own, over TLS."""

    def scraped() -> bool:
        text = servers.ask("celery-exporter", "python", "-c", _SCRAPE, f"http://{address}/metrics")
        return any(one.startswith(line) and not one.endswith((" 0", " 0.0")) for one in text.splitlines())

    eventually(scraped, address)


def test_no_secret_is_in_the_definition_of_a_container(servers: Servers) -> None:
    """Whoever may inspect the containers, or list the processes, sees none."""
    ids = [one.id for one in servers.engine.containers(servers.stack.project.name)]
    seen = servers.engine.command("container", "inspect", *ids)
    seen += "".join(servers.engine.command("container", "top", one) for one in ids)
    assert [name for name in PRODUCTION_SECRETS if servers.secret(name) in seen] == []


# -- what happens when a server dies -----------------------------------------------------------------------------------


def test_postgres_keeps_what_was_committed(servers: Servers) -> None:
    """Killed in the middle of a transaction: what was committed is there, what was not is not."""
    servers.say("postgres", "CREATE TABLE kept (n int)")
    servers.say("postgres", "INSERT INTO kept SELECT generate_series(1, 1000)")
    endless = client("postgres", "--command", "BEGIN; INSERT INTO kept VALUES (0); SELECT pg_sleep(60)")
    docker = os.environ.get("COTAI_DOCKER", "docker")
    unfinished = subprocess.Popen([docker, "exec", servers.container("postgres"), *endless], stderr=subprocess.DEVNULL)
    locks = "SELECT count(*) FROM pg_locks WHERE relation = 'kept'::regclass"
    eventually(lambda: servers.superuser(locks) != "0", "the lock of a transaction")
    servers.crash("postgres")
    unfinished.wait()
    assert servers.say("postgres", "SELECT count(*), min(n) FROM kept") == "1000|1"


def test_an_existing_volume_gets_what_it_lacks(servers: Servers) -> None:
    """A role that an earlier version did not make is there after the next start, with its password."""
    servers.superuser("DROP ROLE monitor")
    for line in servers.engine.restart(servers.stack.project, ["postgres"]):
        assert line
    eventually(lambda: servers.healthy("postgres"), "health")
    assert servers.psql("host=postgres user=monitor sslmode=require", servers.secret("MONITOR_PASSWORD")) == "in"


def test_redis_keeps_its_queue(servers: Servers) -> None:
    """Killed two seconds after a push, which is longer than its append-only file waits; the cache comes back empty."""
    password, cache = servers.secret("REDIS_PASSWORD"), servers.secret("REDIS_CACHE_PASSWORD")
    assert servers.redis("redis", "app", password, "RPUSH queue first second") == "2"
    assert servers.redis("redis-cache", "app", cache, "SET cached 1") == "OK"
    time.sleep(2)
    servers.crash("redis")
    servers.crash("redis-cache")
    assert servers.redis("redis", "app", password, "LRANGE queue 0 -1").split() == ["first", "second"]
    assert servers.redis("redis-cache", "app", cache, "EXISTS cached") == "0"


def test_mongodb_keeps_its_documents(servers: Servers) -> None:
    """An acknowledged write is there after a kill."""
    write, read = "db.kept.insert_one({'n': 1}).acknowledged", "db.kept.count_documents({})"
    if servers.stack.source != "offline":
        write, read = "db.kept.insertOne({n: 1}, {writeConcern: {j: true}}).acknowledged", "db.kept.countDocuments()"
    assert servers.say("mongodb", write).lower() == "true"
    servers.crash("mongodb")
    assert servers.say("mongodb", read) == "1"
