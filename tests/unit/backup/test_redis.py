"""Redis' part of a backup, as far as it is decided without a server; scripts run with stand-ins."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.backup.components.base import Leftovers, Site
from cotai_tasks.backup.components.redis import Redis
from cotai_tasks.backup.components.redis_server import Files, Info, Server, differences, dump_facts, read_info
from cotai_tasks.backup.manifest import Stream
from cotai_tasks.errors import BackupError, EngineError, IntegrityError
from cotai_tasks.testing import FakeEngine, container
from tests.unit.deploy.stacks import service, settings, stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BACKUP = "20261123T073840Z-a1b2c3"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
INFO = """\
# Server
redis_version:8.0.2
run_id:a1\r
rdb_changes_since_last_save:7
expired_keys:3
evicted_keys:0
# Keyspace
db0:keys=9,expires=2,avg_ttl=0,subexpiry=1\r
db12:keys=1,expires=1,avg_ttl=5
"""
KEYS = {"0": {"keys": 9, "expiring": 3}, "12": {"keys": 1, "expiring": 1}}
DUMP = b"REDIS0012" + bytes(range(256)) * 3 + b"\xff12345678"
MARK = b"0123456789abcdef0123456789abcdef01234567"


def site(engine: FakeEngine | None = None, *, state: str = "running", label: str = "redis-8") -> Site:
    engine = engine or FakeEngine()
    engine.found_containers = [container("redis", state=state)] if state else []
    engine.found_volumes = {"cotai-dev_redis": {}}
    made = stack(
        service("redis", volumes=frozenset({"cotai-dev_redis"})),
        service("celery-worker", depends_on=frozenset({"redis"})),
        service("migrate", depends_on=frozenset({"redis"}), one_shot=True),
        service("backend"),
        formats={"cotai-dev_redis": label},
    )
    return Site(made, settings(), engine)


def stream(version: str = "8.0.2", **facts: Any) -> Stream:  # noqa: ANN401 - any fact
    return Stream(
        component="redis",
        name="redis",
        kind="rdb",
        started_at=NOW,
        ended_at=NOW,
        plain_bytes=len(DUMP),
        plain_sha256="",
        objects=(),
        facts={"server": version, **facts},
    )


def feed(_: Stream, write: Callable[[bytes], object]) -> None:
    write(DUMP)


def info(keys: dict[str, dict[str, int]] | None = None, *writes: str) -> Info:
    return Info("8.0.2", keys or {}, writes)


def test_a_server_says_how_many_keys_it_has() -> None:
    """By database, with those that may go by themselves, whole or in part; and what shows that somebody wrote."""
    assert read_info(INFO) == Info("8.0.2", KEYS, ("a1", "7", "3", "0"))
    assert read_info(INFO.partition("# Keyspace")[0]).keys == {}


def test_a_dump_is_quiet_where_nobody_wrote() -> None:
    """Then, and only then, its keys are known to be those of both moments."""
    assert dump_facts(info(KEYS, "1"), info(KEYS, "1"))["quiet"]
    assert not dump_facts(info(KEYS, "1"), info(KEYS, "2"))["quiet"]
    assert dump_facts(info(KEYS, "1"), info({}, "2")) == {
        "server": "8.0.2",
        "quiet": False,
        "before": KEYS,
        "after": {},
    }


@pytest.mark.parametrize(
    ("quiet", "found", "fault"),
    [
        (True, {"0": 9, "12": 1}, []),
        (True, {"0": 6}, []),
        (True, {"0": 5, "12": 1}, ["redis database 0: 5 keys instead of 6 to 9 keys"]),
        (True, {"0": 10}, ["redis database 0: 10 keys instead of 6 to 9 keys"]),
        (True, {"0": 9, "3": 1}, ["redis database 3: 1 keys instead of 0 to 0 keys"]),
        (False, {"0": 1}, []),
        (False, {"0": 99, "3": 1}, []),
        (False, {"12": 1}, ["redis database 0: 0 keys instead of some keys"]),
    ],
)
def test_keys_are_compared_as_far_as_they_can_be(*, quiet: bool, found: dict[str, int], fault: list[str]) -> None:
    """Exactly where nobody wrote, but for those that expire; else a database that had keys must not be empty."""
    facts = {"quiet": quiet, "before": KEYS, "after": KEYS}
    loaded = {number: {"keys": keys, "expiring": 0} for number, keys in found.items()}
    assert [str(one) for one in differences(facts, loaded)] == fault


@pytest.mark.parametrize("size", [1, 7, 39, 40, 41, 1000])
@pytest.mark.parametrize("mark", [MARK, b""])
def test_a_dump_ends_where_it_ends(size: int, mark: bytes) -> None:
    """Without the digits by which redis-cli knew its end, however they are cut; without them nothing is lost."""
    engine = FakeEngine(streams={"exec --interactive": DUMP + mark}, answers={"exec": INFO.splitlines()})
    (dump,) = Redis().dumps(site(engine))
    with dump.open() as source:
        data = b"".join(iter(lambda: source.read(size), b""))
        facts = source.finish()
    assert data == DUMP
    assert facts == {"server": "8.0.2", "quiet": True, "before": KEYS, "after": KEYS}


def test_a_dump_that_fails_is_none() -> None:
    """The client's own words are the error's."""
    engine = FakeEngine(answers={"exec": INFO.splitlines()}, errors={"exec --interactive": EngineError("I/O error")})
    (dump,) = Redis().dumps(site(engine))
    with dump.open() as source, pytest.raises(EngineError, match="I/O error"):
        source.finish()


@pytest.mark.parametrize(
    ("version", "label", "fault"),
    [("8.0.2", "redis-8", ""), ("7.4.1", "redis-8", ""), ("8.0.2", "redis-7", "dumped by Redis 8, here is 7")],
)
def test_an_older_server_reads_no_newer_dump(version: str, label: str, fault: str) -> None:
    """The other way round it does."""
    found = Redis().unfit(site(label=label), [stream(version)])
    assert [fault in one.fault for one in found] == ([True] if fault else [])


def test_those_that_wait_for_it_are_stopped() -> None:
    """Every service that depends on it and runs on."""
    assert Redis().users(site(), ()) == {"celery-worker"}


def test_a_stack_without_redis_has_none_of_it() -> None:
    """Nothing to dump, nothing left of a restore, and nothing to restore into."""
    without = Site(stack(service("backend")), settings(), FakeEngine())
    assert Redis().dumps(without) == []
    assert Redis().is_empty(without)
    assert Redis().leftovers(without) == Leftovers()
    assert "has no redis" in Redis().unfit(without, [stream()])[0].fault


def test_a_server_that_does_not_run_is_named() -> None:
    """With how to start it."""
    with pytest.raises(BackupError, match="redis is not running in cotai-dev") as caught:
        Redis().dumps(site(state="exited"))
    assert caught.value.cure == "Start it: inv deploy.dev."


def test_a_swap_stops_and_starts_the_server() -> None:
    """Its files change places while nobody has them open."""
    engine = FakeEngine()
    Redis().swap(site(engine), BACKUP)
    stop, place, start = engine.calls
    assert (stop, start) == (("stop", "redis"), ("start", "redis"))
    assert place[-3:] == ("place", BACKUP, "/volumes/redis")


def test_a_swap_that_fails_leaves_it_stopped_until_it_is_taken_back() -> None:
    """On half of its files it would begin anew, with nothing."""
    engine = FakeEngine(errors={"run": EngineError("no")})
    with pytest.raises(EngineError):
        Redis().swap(site(engine), BACKUP)
    assert [call[0] for call in engine.calls] == ["stop", "run"]


@pytest.mark.parametrize(
    ("left", "state", "calls"),
    [
        ("", "running", ["run"]),
        ("redis .cotai-restore-20261122T073840Z-d4e5f6", "running", ["run"]),
        (f"redis .cotai-before-{BACKUP}", "running", ["run", "stop", "run", "start"]),
        ("", "", ["run", "stop", "run"]),
    ],
)
def test_taking_back_disturbs_only_what_there_is_to_take_back(left: str, state: str, calls: list[str]) -> None:
    """A server that runs and was never touched runs on; one that has no container gets none."""
    engine = FakeEngine(answers={"run": [left]})
    Redis().revert(site(engine, state=state), BACKUP)
    assert [call[0] for call in engine.calls] == calls


def test_a_server_that_a_swap_left_stopped_does_not_start() -> None:
    """That is an error, with where to look, and not waited for."""
    with pytest.raises(BackupError, match="redis does not start"):
        Redis().revert(site(FakeEngine(), state="exited"), BACKUP)


@pytest.mark.parametrize(("queued", "dropped"), [(False, ["0", "12"]), (True, [])])
def test_queued_tasks_are_dropped_unless_they_are_asked_for(*, queued: bool, dropped: list[str]) -> None:
    """In each database that has keys, before the files are written."""
    config = [word for pair in zip(Files.__dataclass_fields__, ("yes", "d", "f", "x"), strict=True) for word in pair]
    engine = FakeEngine()
    there = site(engine)

    def command(*arguments: str) -> str:
        engine.calls.append(arguments)
        return {"config": "\n".join(config), "info": INFO}.get(arguments[6], "3") if "-c" in arguments else "running"

    engine.command = command  # type: ignore[method-assign]
    facts: dict[str, Any] = {"quiet": True, "before": KEYS, "after": KEYS}
    assert Redis(queued_tasks=queued).stage(there, BACKUP, [stream(**facts)], feed) == []
    told = [call[6:] for call in engine.calls if call[0] == "exec" and "eval" in call]
    assert [one[1] for one in told] == dropped
    written = next(call for call in engine.calls if "write-out" in call)
    assert written[-4:] == ("write-out", "yes", "d", "x")
    ran = next(call for call in engine.calls if "--appenddirname" in call)
    assert ran[ran.index("--appenddirname") :][:4] == ("--appenddirname", "d", "--appendfilename", "f")


def test_what_differs_is_not_staged() -> None:
    """It is told, and the volume is not touched."""
    engine = FakeEngine(answers={"exec": INFO.splitlines()})
    there = site(engine)
    engine.answers["exec id-redis"] = [
        "appendonly",
        "yes",
        "appenddirname",
        "d",
        "appendfilename",
        "f",
        "dbfilename",
        "x",
    ]
    facts: dict[str, Any] = {"quiet": True, "before": {}, "after": {}}
    found = Redis().stage(there, BACKUP, [stream(**facts)], feed)
    assert [one.where for one in found] == ["redis database 0", "redis database 12"]
    assert not [call for call in engine.calls if call[0] == "run" and "--rm" in call]


def test_a_dump_that_its_own_check_refuses_is_damaged() -> None:
    """With the check's own words."""
    check = "exec cotai-dev-drill-redis-a1b2c3 sh"
    said = "--- RDB ERROR DETECTED ---\nredis-check-rdb refuses it"
    engine = FakeEngine(errors={check: EngineError("no", evidence=said)})
    with (
        pytest.raises(IntegrityError, match="redis is no whole dump") as caught,
        Redis().rehearse(site(engine), BACKUP, [stream()], feed),
    ):
        pass
    assert "RDB ERROR" in caught.value.evidence
    assert engine.calls[-1] == ("container", "rm", "--force", "--volumes", "cotai-dev-drill-redis-a1b2c3")


def test_a_check_that_could_not_be_made_says_nothing_of_the_dump() -> None:
    """It was killed for its memory, or its container is gone: no whole dump is called damaged for that."""
    check = "exec cotai-dev-drill-redis-a1b2c3 sh"
    engine = FakeEngine(errors={check: EngineError("no", evidence="sh: line 2: 9 Killed redis-check-rdb")})
    with (
        pytest.raises(BackupError, match="redis could not be checked"),
        Redis().rehearse(site(engine), BACKUP, [stream()], feed),
    ):
        pass


@pytest.mark.parametrize(("code", "damaged"), [(0, False), (1, True), (137, False)])
def test_only_the_verdict_of_the_check_is_damage(tmp_path: Path, code: int, damaged: bool) -> None:  # noqa: FBT001
    """The exit code of anything else is passed on, and is no verdict."""
    engine = FakeEngine(answers={"exec": INFO.splitlines()})
    with Redis().rehearse(site(engine), BACKUP, [stream(quiet=False, before={}, after={})], feed):
        pass
    script = next(call[4] for call in engine.calls if "check" in call)
    tool = tmp_path / "redis-check-rdb"
    tool.write_text(f"#!/bin/sh\nexit {code}\n")
    tool.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "redis-check-rdb refuses it" in done.stderr) == (code, damaged)


@pytest.mark.parametrize(
    ("secrets", "environ", "expected"),
    [
        ({}, {}, "-e dbsize|"),
        ({}, {"REDIS_PASSWORD": "canary-1"}, "-e dbsize|canary-1"),
        (
            {"users.acl": "", "REDIS_ADMIN_PASSWORD": "canary-2"},
            {},
            "-e --tls --cacert /run/secrets/ca.pem --user admin dbsize|canary-2",
        ),
    ],
)
def test_a_password_is_in_no_command_line(
    tmp_path: Path, secrets: dict[str, str], environ: dict[str, str], expected: str
) -> None:
    """It comes from where the container has it, and goes by the client's environment; a scratch server has none."""
    for name, text in secrets.items():
        (tmp_path / name).write_text(text)
    tool = tmp_path / "redis-cli"
    tool.write_text('#!/bin/sh\nprintf "%s|%s" "$*" "${REDISCLI_AUTH:-}"\n')
    tool.chmod(0o755)
    engine = FakeEngine()
    Server(engine, "x").ask("dbsize")
    ((*_, shell, flag, script, name, word),) = engine.calls
    command = [shell, flag, script.replace("/run/secrets", str(tmp_path)), name, word]
    done = subprocess.run(
        command, env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environ}, capture_output=True, text=True, check=True
    )
    assert done.stdout == expected.replace("/run/secrets", str(tmp_path))
