"""The four database servers, really asked: status, one command each, and no password where others can read it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
NAMES = ("POSTGRES", "MONGODB", "REDIS", "REDIS_CACHE")
SERVICES = ["postgres", "mongodb", "redis", "redis-cache"]
CANARY = "canary-2f6b1c-development"


@pytest.fixture(scope="module")
def inv() -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Give `inv` on four databases in a project of their own, every password a canary."""
    with ExitStack() as held:
        sockets = {name: held.enter_context(socket.socket()) for name in NAMES}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        ports = {f"{name}_PORT": str(one.getsockname()[1]) for name, one in sockets.items()}
    passwords = dict.fromkeys((f"{name}_PASSWORD" for name in NAMES), CANARY)
    environ = {**os.environ, **ports, **passwords, "COTAI_ENV": "dev"}
    environ["INVOKE_COTAI_PROJECT"] = f"cotai-test-{uuid.uuid4().hex[:6]}"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "inv"), *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    try:
        started = run("deploy.dev", "--only", ",".join(SERVICES))
        assert started.returncode == 0, started.stdout + started.stderr
        yield run
    finally:
        run("deploy.clean", "--volumes", "--yes")


def test_every_server_is_up(inv: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Version, limits and persistence come from the servers themselves."""
    done = inv("db.status", "--json")
    assert done.returncode == 0, done.stderr
    told = {one["service"]: one for one in json.loads(done.stdout)}
    assert list(told) == SERVICES
    assert all(one["up"] and one["version"][0].isdecimal() and one["connections"] for one in told.values())
    assert {name: one["persistence"].split(",")[0] for name, one in told.items()} == {
        "postgres": "WAL replica",
        "mongodb": "journal",
        "redis": "append-only file and snapshots",
        "redis-cache": "none",
    }
    assert told["postgres"]["facts"] == {"pg_stat_statements": "on", "checksums": "off"}
    assert not any(one["tls"] for one in told.values())
    assert told["mongodb"]["facts"]["replica set"] == "rs0 (primary)"
    assert told["redis"]["facts"]["policy"] == "noeviction"
    assert told["redis-cache"]["facts"]["policy"] == "allkeys-lru"


def test_settings_are_compared_with_the_containers(inv: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Development is small on purpose, and is told so; each setting has its reason."""
    told = json.loads(inv("db.tune", "--json").stdout)
    buffers = next(one for one in told if one["setting"] == "shared_buffers")
    assert (buffers["current"], buffers["recommended"], buffers["fits"]) == ("128MB", "192MB", False)
    policy = next(one for one in told if one["setting"] == "maxmemory-policy")
    assert (policy["service"], policy["fits"]) == ("redis", True)
    done = inv("db.tune")
    assert (done.returncode, "Development is small on purpose" in done.stderr) == (0, True)


def test_an_older_volume_gets_the_monitor(inv: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The exporter's role reads statistics, and is made on a volume that has none."""
    asked = "select rolname, rolsuper from pg_roles where rolname in ('cotai', 'monitor') order by 1"
    assert inv("db.shell", "postgres", "--command", asked).stdout == "cotai|f\nmonitor|f\n"


@pytest.mark.parametrize(
    ("service", "command", "printed"),
    [
        ("postgres", "select current_user, 1 + 1", "cotai|2\n"),
        ("redis", "set greeting 'hello you'", "OK\n"),
        ("redis", "get greeting", "hello you\n"),
        ("redis-cache", "config get maxmemory-policy", "maxmemory-policy\nallkeys-lru\n"),
        ("mongodb", "1 + 1", "2\n"),
    ],
)
def test_one_command_is_run(
    inv: Callable[..., subprocess.CompletedProcess[str]], service: str, command: str, printed: str
) -> None:
    """Logged in, and nothing but the result on standard output."""
    done = inv("db.shell", service, "--command", command)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


@pytest.mark.parametrize(
    ("service", "command", "sentence"),
    [
        ("postgres", "select * from nothing", 'postgres refused: ERROR:  relation "nothing" does not exist'),
        ("redis", "nonsense", "redis refused: ERR unknown command 'nonsense'"),
        ("mongodb", "1 +", "mongodb refused: SyntaxError"),
    ],
)
def test_a_refused_command_says_why(
    inv: Callable[..., subprocess.CompletedProcess[str]], service: str, command: str, sentence: str
) -> None:
    """The database's own words, and exit code 11."""
    done = inv("db.shell", service, "--command", command)
    assert done.returncode == 11
    assert sentence in done.stderr


def test_no_password_is_seen(inv: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Neither in any process's command line while a shell is busy, nor in anything that is printed."""
    busy = threading.Thread(target=inv, args=("db.shell", "postgres", "--command", "select pg_sleep(3)"))
    busy.start()
    seen = ""
    while busy.is_alive():
        seen += "".join(" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"]))
        busy.join(0.2)
    assert "pg_sleep(3)" in seen
    assert CANARY not in seen
    for arguments in (["db.status"], ["db.shell", "postgres", "--command", "nonsense"]):
        done = inv(*arguments)
        assert CANARY not in done.stdout + done.stderr


def test_a_stopped_server_is_exit_code_11(inv: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """It is named; the others are told of as ever."""
    inv("deploy.stop", "--svc", "redis")
    done = inv("db.status", "--json")
    assert done.returncode == 11
    assert {one["service"]: one["up"] for one in json.loads(done.stdout)} == dict.fromkeys(SERVICES, True) | {
        "redis": False
    }
    assert "down: redis" in done.stderr
