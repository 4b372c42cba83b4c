"""`db.status`: one line for each server, down ones too."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from cotai_tasks.db.answers import (
    TITLES,
    ServerStatus,
    cells,
    read_mongodb,
    read_postgres,
    read_redis,
)
from cotai_tasks.db.questions import in_time
from cotai_tasks.db.shell import DATABASES
from cotai_tasks.db.status import database_status, row, show_status
from cotai_tasks.errors import DatabaseError, EngineError
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings

POSTGRES: dict[str, Any] = {
    "version": "17.6",
    "size": 8_000_000,
    "connections": 3,
    "max_connections": 100,
    "wal": "replica",
    "fsync": "on",
    "archive": "off",
    "tls": True,
    "checksums": "on",
    "statements": True,
    "revision": "0002",
    "slowest": [],
    "scanned": [],
    "unused": [],
    "receivers": [],
    "archiver": {"last": None, "failed": 0},
}
MONGODB = {
    "version": "8.0.1",
    "size": 5_000,
    "connections": 4,
    "max_connections": 800,
    "collections": 2,
    "tls": True,
    "set": "rs0",
    "primary": True,
}
REDIS = """\
# Server
redis_version:8.0.2
server_time_usec:1800000060000000
# Clients
connected_clients:5
maxclients:10000
# Memory
used_memory:762000
maxmemory:256000000
maxmemory_policy:noeviction
# Persistence
aof_enabled:1
rdb_last_save_time:1800000000
rdb_last_bgsave_status:ok
aof_last_write_status:ok
aof_last_bgrewrite_status:ok
# Keyspace
db0:keys=3,expires=0,avg_ttl=0
db1:keys=4,expires=4,avg_ttl=9
dbfilename_like:not a keyspace
save:3600 1 300 100
tls_port:6379
"""

UP = {
    "postgres": ServerStatus(
        "postgres",
        up=True,
        version="17.6",
        size=8_000_000,
        connections=3,
        max_connections=100,
        tls=True,
        persistence="WAL replica, fsync on, archive off",
        facts={"revision": "0002", "pg_stat_statements": "on", "checksums": "on"},
    ),
    "mongodb": ServerStatus(
        "mongodb",
        up=True,
        version="8.0.1",
        size=5_000,
        connections=4,
        max_connections=800,
        tls=True,
        persistence="journal",
        facts={"collections": "2", "replica set": "rs0 (primary)"},
    ),
    "redis": ServerStatus(
        "redis",
        up=True,
        version="8.0.2",
        size=762_000,
        connections=5,
        max_connections=10_000,
        tls=True,
        persistence="append-only file and snapshots",
        facts={"keys": "7", "memory limit": "256 MB", "policy": "noeviction", "last snapshot": "1 min ago"},
    ),
}
ANSWERS = {
    "execute postgres": [json.dumps(POSTGRES)],
    "execute mongodb": json.dumps(MONGODB, indent=2).splitlines(),
    "execute redis": REDIS.splitlines(),
    "execute redis-cache": REDIS.splitlines(),
}


def status(*running: str, **fields: Any) -> list[ServerStatus]:  # noqa: ANN401 - any field of the engine
    engine = FakeEngine(
        rendered={"services": {name: {"image": f"{name}:1"} for name in ("backend", *DATABASES)}},
        found_containers=[container(name) for name in running],
        answers=ANSWERS,
        **fields,
    )
    return database_status(settings=settings(), engine=engine)


def test_every_database_is_asked() -> None:
    """All four servers of the stack, in their own order."""
    cache = ServerStatus(**vars(UP["redis"]) | {"service": "redis-cache"})
    assert status(*DATABASES) == [*UP.values(), cache]


def test_a_server_that_is_down_hides_nobody() -> None:
    """A stopped one is not asked; one that does not answer says why."""
    error = EngineError("x", evidence="ERROR: too many connections")
    found = status("postgres", "redis", errors={"execute postgres": error})
    assert found == [
        ServerStatus("postgres", up=False, fault="postgres refused: ERROR: too many connections"),
        ServerStatus("mongodb", up=False, fault="not running"),
        UP["redis"],
        ServerStatus("redis-cache", up=False, fault="not running"),
    ]


def test_trouble_with_docker_is_not_a_database_down() -> None:
    """An engine that goes away is told as that."""
    with pytest.raises(EngineError, match="gone"):
        status("postgres", errors={"execute": EngineError("gone")})


def test_postgres_without_alembic_has_no_revision() -> None:
    """What the application does not use is not shown."""
    told = POSTGRES | {"revision": "", "statements": False, "archive": "on"}
    found = read_postgres("postgres", json.dumps(told))
    assert found.facts == {"pg_stat_statements": "off", "checksums": "on"}
    assert found.persistence == "WAL replica, fsync on, archive on"


@pytest.mark.parametrize(
    ("told", "archive"),
    [
        ({"archive": "off"}, "archive off"),
        ({"archive": "on"}, "archive on"),
        ({"archive": "on", "archiver": {"last": None, "failed": 3}}, "archive on, 3 failures"),
        ({"receivers": [{"slot": "cotai", "active": True}]}, "archive streaming"),
        ({"receivers": [{"slot": "cotai", "active": False}]}, "archive off"),
    ],
)
def test_how_the_log_leaves_the_server(told: dict[str, Any], archive: str) -> None:
    """By streaming, by archiving with what failed of it, or not at all: a receiver that has left does not count."""
    assert read_postgres("postgres", json.dumps(POSTGRES | told)).persistence == f"WAL replica, fsync on, {archive}"


def test_longer_lists_are_kept_by_their_titles() -> None:
    """Only those with something in them."""
    told = POSTGRES | {
        "slowest": [{"calls": 1200, "mean_ms": 3.5, "total_ms": 4200, "statement": "SELECT $1"}],
        "scanned": [{"table": "tenders", "rows": 20000, "scans": 60, "rows_per_scan": 20000, "by_index": 0}],
        "unused": [{"index": "tenders_title", "table": "tenders", "size": 2_000_000}],
        "receivers": [{"slot": "cotai", "active": True, "state": "reserved", "kept": 16_000_000}],
    }
    found = read_postgres("postgres", json.dumps(told)).details
    assert [*found, "members"] == list(TITLES)
    assert [cells(rows[0]) for rows in found.values()] == [
        ["1,200", "3.5", "4,200", "SELECT $1"],
        ["tenders", "20,000", "60", "20,000", "0"],
        ["tenders_title", "tenders", "2 MB"],
        ["cotai", "yes", "reserved", "16 MB"],
    ]
    assert cells({"statement": "x" * 101}) == ["x" * 99 + "…"]


def test_the_members_of_a_replica_set_are_listed_where_there_are_several() -> None:
    """One is said in the line already."""
    members = [{"member": "mongodb:27017", "state": "PRIMARY", "health": 1}]
    assert read_mongodb("mongodb", json.dumps(MONGODB | {"members": members})).details == {}
    both = [*members, {"member": "other:27017", "state": "RECOVERING", "health": 1}]
    assert read_mongodb("mongodb", json.dumps(MONGODB | {"members": both})).details == {"members": both}


def test_what_redis_could_not_write_is_loud() -> None:
    """Its append-only file, its snapshot and its rewrite."""
    answer = REDIS.replace("status:ok", "status:err")
    facts = read_redis("redis", answer).facts
    failed = {"SNAPSHOT": "FAILED", "APPEND-ONLY FILE": "FAILED", "REWRITE": "FAILED"}
    assert {name: facts.get(name) for name in failed} == failed


def test_a_mongodb_that_takes_no_writes_is_loud() -> None:
    """Not the primary, no replica set, and the image for evaluation: each is said."""
    told = MONGODB | {"set": "", "primary": False, "evaluation": True, "max_connections": 0}
    assert read_mongodb("mongodb", json.dumps(told)).facts == {
        "collections": "2",
        "replica set": "none (NOT primary)",
        "image": "for evaluation only",
    }


@pytest.mark.parametrize(
    ("aof", "save", "persistence"),
    [
        ("1", "3600 1", "append-only file and snapshots"),
        ("1", "", "append-only file"),
        ("0", "3600 1", "snapshots"),
        ("0", "", "none"),
    ],
)
def test_how_redis_keeps_its_data(aof: str, save: str, persistence: str) -> None:
    """A broker without persistence is seen at a glance."""
    answer = REDIS.replace("aof_enabled:1", f"aof_enabled:{aof}").replace("save:3600 1 300 100", f"save:{save}")
    assert read_redis("redis", answer).persistence == persistence


def test_an_unlimited_redis_says_so() -> None:
    """0 is no limit."""
    assert read_redis("redis", REDIS.replace("maxmemory:256000000", "maxmemory:0")).facts["memory limit"] == "none"


def test_a_row_of_the_table() -> None:
    """Connections against their limit, `?` where the server does not tell it; a fault in the last column."""
    down = ServerStatus("mongodb", up=False, fault="[gone]")
    assert row(down) == ("mongodb", "[red]down[/]", "", "", "", "", "", r"\[gone]")
    assert row(UP["postgres"]) == (
        "postgres",
        "[green]up[/]",
        "17.6",
        "8 MB",
        "3/100",
        "on",
        "WAL replica, fsync on, archive off",
        "revision 0002, pg_stat_statements on, checksums on",
    )
    assert row(ServerStatus("x", up=True, connections=2))[4] == "2/?"


def test_all_up_is_success() -> None:
    """A table, and no error."""
    console = RecordingConsole()
    show_status(list(UP.values()), as_json=False, console=console)
    assert [line.split()[:2] for line in console.text().splitlines()] == [
        ["server", "state"],
        *([name, "up"] for name in UP),
    ]


def test_a_longer_list_is_a_table_of_its_own() -> None:
    """Under the overview, named after its server."""
    console = RecordingConsole()
    server = ServerStatus(
        "postgres", up=True, details={"unused_indexes": [{"index": "a[0]", "table": "tenders", "size": 2e6}]}
    )
    show_status([server], as_json=False, console=console)
    lines = console.text().splitlines()
    assert lines[3] == "postgres: indexes that nothing has used"
    assert [line.split() for line in lines[4:]] == [["index", "table", "size"], ["a[0]", "tenders", "2", "MB"]]


def test_one_down_is_exit_code_11() -> None:
    """For a program: the same facts as JSON, and an error that names who is down."""
    console = RecordingConsole()
    servers = [UP["postgres"], ServerStatus("redis", up=False, fault="not running")]
    with pytest.raises(DatabaseError, match=r"^down: redis$") as caught:
        show_status(servers, as_json=True, console=console)
    assert caught.value.code == 11
    told = json.loads(console.text())
    assert told[0] == vars(UP["postgres"])
    assert (told[1]["service"], told[1]["up"], told[1]["fault"]) == ("redis", False, "not running")


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        (["echo", "fine"], 0, "fine\n", ""),
        (["sh", "-c", "echo bad >&2; exit 3"], 3, "", "bad\n"),
        (["sleep", "60"], 124, "", "no answer within 1 s\n"),
    ],
)
def test_a_server_that_hangs_is_down(command: list[str], code: int, out: str, err: str) -> None:
    """The question ends by itself, and says why; an answer or a refusal passes through."""
    done = subprocess.run(in_time(command, 1), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)
