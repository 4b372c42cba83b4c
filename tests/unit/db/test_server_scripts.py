"""The scripts that start and ask the servers, run with stand-ins: MongoDB's own cannot be had everywhere."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

DOCKER = Path(__file__).parents[3] / "docker"
TLS = [
    *("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", "{}/tls.pem", "--tlsCAFile", "{}/ca.pem"),
    *("--tlsAllowConnectionsWithoutCertificates", "--tlsDisabledProtocols", "TLS1_0,TLS1_1"),
]


def start(script: str, folder: Path, *arguments: str, **environ: str) -> list[str]:
    """Run a server's start script with an entry point that says what it was given; paths lie below `folder`."""
    entrypoint = folder / "docker-entrypoint.sh"
    entrypoint.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    entrypoint.chmod(0o755)
    text = (DOCKER / script).read_text()
    own = str((DOCKER / script).parent)
    places = {"/tmp/": f"{folder}/tmp-", "/run/secrets": f"{folder}/secrets", "/etc/cotai": own}
    for path, place in places.items():
        text = text.replace(path, place)
    done = subprocess.run(
        ["sh", "-c", text, script, *arguments],
        env={"PATH": f"{folder}:/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_mongodb_in_production_wants_tls(tmp_path: Path) -> None:
    """Its own key, certificates, and the cache of its size."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "tls.pem").touch()
    words = start("mongodb/start.sh", tmp_path, MONGODB_CACHE_GB="0.5")
    begin = ["mongod", "--bind_ip_all", "--replSet", "rs0", "--wiredTigerCacheSizeGB", "0.5"]
    assert words == [*begin, "--keyFile", f"{secrets}/replica.key", *(word.format(secrets) for word in TLS)]


def test_mongodb_in_development_makes_its_own_key(tmp_path: Path) -> None:
    """Readable by nobody else, as MongoDB demands; no TLS."""
    words = start("mongodb/start.sh", tmp_path)
    assert words[-4:] == ["--wiredTigerCacheSizeGB", "0.25", "--keyFile", f"{tmp_path}/tmp-replica.key"]
    key = Path(words[-1])
    assert key.stat().st_mode & 0o777 == 0o400
    assert 6 <= len(key.read_text()) <= 1024


@pytest.mark.parametrize("server", ["redis", "redis-cache"])
def test_redis_listens_with_tls_alone_in_production(server: str, tmp_path: Path) -> None:
    """Users from a file, and the memory of its size, which comes after the default and wins."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/users.acl").touch()
    configuration = Path(start("redis/start.sh", tmp_path, server, REDIS_MAXMEMORY="1000")[1]).read_text().splitlines()
    assert {"port 0", "tls-port 6379", f"aclfile {tmp_path}/secrets/users.acl"} <= set(configuration)
    assert [line for line in configuration if line.startswith("maxmemory ")][-1] == "maxmemory 1000"
    assert not any(line.startswith("user ") for line in configuration)


def test_redis_in_development_keeps_a_hash(tmp_path: Path) -> None:
    """Of the password in its environment; no TLS."""
    configuration = Path(start("redis/start.sh", tmp_path, "redis", REDIS_PASSWORD="canary")[1]).read_text()
    assert "canary" not in configuration
    assert "user default on #" in configuration
    assert "tls" not in configuration


# -- MongoDB's health check, on a database that only writes down what it is told ---------------------------------------

_STAND_IN = """
const told = [], state = JSON.parse(process.env.STATE), written = {};
const database = (name) => ({
  getSiblingDB: database,
  auth: (user, password) => told.push(["auth", user, password]),
  hello: () => ({ isWritablePrimary: state.primary, topologyVersion: 1 }),
  getUser: (user) => state.users.includes(`${name}.${user}`) ? { user } : null,
  createUser: (user) => told.push(["create", name, user]),
  updateUser: (user, change) => told.push(["update", name, user, change]),
});
const files = {
  readFileSync: (path) => state.files[path] + "\\n",
  existsSync: (path) => path in state.files,
  writeFileSync: (path) => told.push(["write", path]),
};
const rs = {
  status: () => { if (!state.initiated) throw { codeName: "NotYetInitialized" }; },
  initiate: (set) => told.push(["initiate", set]),
};
const scope = {
  db: database("admin"), rs, process, print: (text) => told.push(["print", text]),
  quit: (code) => told.push(["quit", code]), require: () => files,
};
const script = require("fs").readFileSync(process.argv[1], "utf8");
new Function(...Object.keys(scope), script)(...Object.values(scope));
console.log(JSON.stringify(told));
"""
SECRETS = {
    "/run/secrets/MONGODB_ROOT_PASSWORD": "root-password",
    "/run/secrets/MONGODB_PASSWORD": "app-password",
    "/run/secrets/MONITOR_PASSWORD": "monitor-password",
    "/run/secrets/MONGODB_LOGIN": "cotai_b",
}
PRODUCTION = {
    "MONGO_INITDB_ROOT_USERNAME": "root",
    "MONGO_INITDB_ROOT_PASSWORD_FILE": "/run/secrets/MONGODB_ROOT_PASSWORD",
    "MONGODB_USER": "cotai",
    "MONGODB_PASSWORD_FILE": "/run/secrets/MONGODB_PASSWORD",
    "MONITOR_PASSWORD_FILE": "/run/secrets/MONITOR_PASSWORD",
}
READING = [{"role": "clusterMonitor", "db": "admin"}, {"role": "read", "db": "local"}]
WRITING = [{"role": "readWrite", "db": "cotai"}]
HEALTHY = [["print", "writable primary"], ["quit", 0]]


def health(environ: dict[str, str], **state: Any) -> list[Any]:  # noqa: ANN401 - any part of the server's state
    """Run health.js, and give everything that it did."""
    node = shutil.which("node")
    if not node:
        pytest.skip("needs node to run MongoDB's health check")
    found = {"primary": True, "initiated": True, "users": [], "files": SECRETS} | state
    done = subprocess.run(
        [node, "--eval", _STAND_IN, str(DOCKER / "mongodb/health.js")],
        env=environ | {"STATE": json.dumps(found)},
        capture_output=True,
        text=True,
        check=True,
    )
    told: list[Any] = json.loads(done.stdout)
    return told


def test_the_first_question_makes_the_replica_set_and_the_users() -> None:
    """The application's login is the one whose password it is; the exporter is its certificate."""
    told = health(PRODUCTION, initiated=False)
    assert told == [
        ["auth", "root", "root-password"],
        ["initiate", {"_id": "rs0", "members": [{"_id": 0, "host": "mongodb:27017"}]}],
        ["create", "admin", {"user": "cotai_b", "roles": WRITING, "pwd": "app-password"}],
        ["create", "admin", {"user": "monitor", "roles": READING, "pwd": "monitor-password"}],
        ["create", "$external", {"user": "CN=mongodb-exporter", "roles": READING}],
        ["write", "/tmp/cotai-users"],
        *HEALTHY,
    ]


def test_users_that_are_there_get_their_present_passwords() -> None:
    """As after a restart with other secrets."""
    told = health(PRODUCTION, users=["admin.cotai_b", "admin.monitor", "$external.CN=mongodb-exporter"])
    assert [words[:3] for words in told[1:4]] == [
        ["update", "admin", "cotai_b"],
        ["update", "admin", "monitor"],
        ["update", "$external", "CN=mongodb-exporter"],
    ]
    assert told[1][3] == {"roles": WRITING, "pwd": "app-password"}


def test_later_questions_only_ask() -> None:
    """Once the users are right, nothing is written."""
    told = health(PRODUCTION, files=SECRETS | {"/tmp/cotai-users": ""})
    assert told == [["auth", "root", "root-password"], *HEALTHY]


def test_development_has_the_root_user_alone() -> None:
    """Its password comes from the environment."""
    told = health({"MONGO_INITDB_ROOT_USERNAME": "cotai", "MONGO_INITDB_ROOT_PASSWORD": "dev"}, files={})
    assert told == [["auth", "cotai", "dev"], *HEALTHY]


def test_who_takes_no_writes_is_unhealthy() -> None:
    """And gets no users yet."""
    assert health(PRODUCTION, primary=False)[1:] == [["print", "not writable: 1"], ["quit", 1]]
