"""Redis, really dumped, loaded elsewhere, put in place and taken back, with Celery's queues and without."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup.components.base import Leftovers, Site
from cotai_tasks.backup.components.redis import Redis
from cotai_tasks.backup.components.redis_server import live
from cotai_tasks.backup.components.scratch import drop_scratch
from cotai_tasks.backup.components.swap import Places
from cotai_tasks.errors import BackupError, EngineError, IntegrityError
from tests.integration.alone import alone, eventually, fill_disk, holder
from tests.unit.backup.dumps import Kept, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BACKUP, OTHER = "20261123T073840Z-a1b2c3", "20261124T073840Z-d4e5f6"

# Keys of every type, and a queue as Celery has it: bound, with priorities, with tasks that workers hold.
FILL = r"""
redis.call('SELECT', 0)
redis.call('SET', 'text', 'Größe'); redis.call('SET', 'bytes\0\255', '\0\1\255'); redis.call('HSET', 'hash', 'a', 1)
redis.call('ZADD', 'scores', 1, 'a'); redis.call('XADD', 'log', '*', 'a', 1); redis.call('SADD', 'set', 'a', 'b')
redis.call('SET', 'session', 'x', 'EX', 100000); redis.call('RPUSH', 'list', 'of', 'the', 'application')
redis.call('SADD', '_kombu.binding.ai', 'ai\6\22\6\22ai', 'all\6\22\6\22ai.second'); redis.call('SADD', 'hash.x', 'ai')
for _, queue in ipairs({'ai', 'ai\6\0223', 'ai\6\0229', 'ai.second'}) do redis.call('RPUSH', queue, 'task') end
redis.call('HSET', 'unacked', 'tag', 'held'); redis.call('ZADD', 'unacked_index', 1, 'tag')
redis.call('SET', 'celery-task-meta-1', 'result', 'EX', 100000)
redis.call('SELECT', 1)
redis.call('SADD', 'shop:_kombu.binding.mail', 'mail\6\22\6\22mail'); redis.call('RPUSH', 'shop:mail', 'task')
redis.call('SET', 'mail', 'of the application')
redis.call('SELECT', 7)
redis.call('SET', 'only', 'this')
"""
QUEUED = {"0": {"ai", r"ai\x06\x163", r"ai\x06\x169", "ai.second", "unacked", "unacked_index"}, "1": {"shop:mail"}}


@dataclass(frozen=True)
class Running:
    """The running server of a project of its own."""

    site: Site

    def ask(self, *words: str) -> str:
        """Ask it."""
        return live(self.site).ask(*words)

    def fresh(self, script: str = FILL) -> None:
        """Empty it, and fill it again."""
        left = Redis().leftovers(self.site)
        for backup in left.staged | left.replaced:
            Redis().unstage(self.site, backup)
            Redis().discard(self.site, backup)
        self.ask("flushall")
        self.ask("eval", script, "0")

    def keys(self) -> dict[str, set[str]]:
        """Give the keys of each database."""
        return {
            number: set(self.ask("--no-raw", "-n", number, "keys", "*").replace('"', "").splitlines())
            for number in ("0", "1", "7")
        }

    def pid(self) -> int:
        """Tell which process of the host it is."""
        name = live(self.site).container
        return int(self.site.engine.command("container", "inspect", "--format", "{{.State.Pid}}", name))

    def crash(self) -> Callable[[], bool]:
        """Kill it as the kernel does; give what tells whether it is back."""
        name = live(self.site).container
        restarts = ("container", "inspect", "--format", "{{.RestartCount}} {{.State.Health.Status}}", name)
        before = int(self.site.engine.command(*restarts).split()[0])
        os.kill(self.pid(), 9)

        def back() -> bool:
            count, health = self.site.engine.command(*restarts).split()
            return int(count) > before and health == "healthy"

        return back


def names(keys: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out the numbers that redis-cli puts before each line."""
    return {number: {line.partition(") ")[2] for line in lines} - {""} for number, lines in keys.items()}


@pytest.fixture(scope="module")
def redis(engine: Engine) -> Iterator[Running]:
    """Give development's Redis in a project of its own."""
    with alone(engine, "redis") as site:
        yield Running(site)


@pytest.fixture(scope="module")
def kept(redis: Running) -> Kept:
    """Give a dump of everything."""
    redis.fresh()
    return keep(Redis(), redis.site)


def test_a_dump_loads_elsewhere_with_every_key(redis: Running, kept: Kept) -> None:
    """A server without a network has as many keys as there were, in each database; nobody wrote meanwhile."""
    facts = kept.stream.facts
    assert facts["quiet"]
    assert facts["before"] == {
        "0": {"keys": 17, "expiring": 2},
        "1": {"keys": 3, "expiring": 0},
        "7": {"keys": 1, "expiring": 0},
    }
    with Redis().rehearse(redis.site, BACKUP, [kept.stream], kept.feed) as found:
        (name,) = found.containers
        assert found.differences == ()
        assert found.compared == "checksum of the dump; 21 keys in 3 databases"
        assert redis.site.engine.command("exec", name, "redis-cli", "get", "text").strip() == "Größe"
    assert drop_scratch(redis.site) == []


def test_a_restore_takes_its_place_without_the_queued_tasks(redis: Running, kept: Kept) -> None:
    """The server starts on it with its append-only file; what stood in queues is gone, and nothing else."""
    redis.fresh()
    everything = names(redis.keys())
    redis.fresh("redis.call('SET', 'newer', 'x')")
    component, site = Redis(), redis.site
    assert component.stage(site, BACKUP, [kept.stream], kept.feed) == []
    assert component.leftovers(site) == Leftovers(staged=frozenset({BACKUP}))
    assert redis.ask("get", "newer").strip() == "x"
    component.swap(site, BACKUP)
    assert names(redis.keys()) == {number: keys - QUEUED.get(number, set()) for number, keys in everything.items()}
    assert redis.ask("get", "text").strip() == "Größe"
    assert "aof_enabled:1" in redis.ask("info", "persistence")
    redis.ask("set", "after", "the restore")
    eventually(redis.crash(), "its return")
    assert redis.ask("get", "after").strip() == "the restore"
    assert redis.ask("-n", "7", "get", "only").strip() == "this"
    component.revert(site, BACKUP)
    assert names(redis.keys()) == {"0": {"newer"}, "1": set(), "7": set()}
    component.unstage(site, BACKUP)
    assert component.leftovers(site) == Leftovers()


def test_queued_tasks_come_back_where_that_is_asked_for(redis: Running, kept: Kept) -> None:
    """Then every key is as it was."""
    redis.fresh()
    everything = redis.keys()
    redis.ask("flushall")
    component = Redis(queued_tasks=True)
    assert component.is_empty(redis.site)
    component.stage(redis.site, BACKUP, [kept.stream], kept.feed)
    component.swap(redis.site, BACKUP)
    assert names(redis.keys()) == names(everything)
    assert not component.is_empty(redis.site)
    component.discard(redis.site, BACKUP)
    assert component.leftovers(redis.site) == Leftovers()


def test_keys_that_expire_may_be_gone_and_others_may_not(redis: Running) -> None:
    """A dump is loaded when some of its keys are too old; one that lacks others is found out."""
    redis.fresh("for n = 1, 5 do redis.call('SET', 'soon' .. n, 'x', 'PX', 15000) end redis.call('SET', 'stays', 'x')")
    soon = keep(Redis(), redis.site)
    eventually(lambda: redis.ask("dbsize").strip() == "1", "the end of the keys")
    with Redis().rehearse(redis.site, BACKUP, [soon.stream], soon.feed) as found:
        assert found.differences == ()
    facts = soon.stream.facts | {key: {"0": {"keys": 9, "expiring": 5}} for key in ("before", "after")}
    stream = soon.stream.model_copy(update={"facts": facts})
    with Redis().rehearse(redis.site, BACKUP, [stream], soon.feed) as found:
        assert [str(one) for one in found.differences] == ["redis database 0: 1 keys instead of 4 to 9 keys"]
    assert Redis().stage(redis.site, BACKUP, [stream], soon.feed) == list(found.differences)
    assert Redis().leftovers(redis.site) == Leftovers()


def test_what_is_no_whole_dump_is_found_out(redis: Running, kept: Kept) -> None:
    """A byte that changed, or an end that is missing: told as what it is, and no container stays."""
    flipped = kept.data[:200] + bytes([kept.data[200] ^ 1]) + kept.data[201:]
    for data in (flipped, kept.data[:-20], b""):
        bad = replace(kept, data=data)
        with (
            pytest.raises(IntegrityError, match="no whole dump"),
            Redis().rehearse(redis.site, BACKUP, [bad.stream], bad.feed),
        ):
            pass
    assert drop_scratch(redis.site) == []


def test_an_empty_server_is_a_backup_too(redis: Running) -> None:
    """It is no failed dump, and put in place there is no key; until that is taken back."""
    redis.fresh("return 0")
    empty, component, site = keep(Redis(), redis.site), Redis(queued_tasks=True), redis.site
    with component.rehearse(site, BACKUP, [empty.stream], empty.feed) as found:
        assert (found.differences, found.compared) == ((), "checksum of the dump; 0 keys in 0 databases")
    redis.fresh()
    assert component.stage(site, BACKUP, [empty.stream], empty.feed) == []
    component.swap(site, BACKUP)
    assert component.is_empty(site)
    component.revert(site, BACKUP)
    component.unstage(site, BACKUP)
    assert redis.ask("get", "text").strip() == "Größe"


def test_a_full_disk_ends_the_restore_and_nothing_else(engine: Engine) -> None:
    """What does not fit beside the live data is refused: its server serves on, and takes it all once there is room."""
    with alone(engine, "redis", disk="24m") as site:
        redis, component = Running(site), Redis()
        redis.fresh("for n = 1, 100000 do redis.call('SET', n, redis.sha1hex(n)) end")
        kept = keep(component, site)
        redis.fresh("redis.call('SET', 'live', 'x')")
        fill_disk(site, 2**20)
        with pytest.raises(EngineError, match="disk is full"):
            component.stage(site, BACKUP, [kept.stream], kept.feed)
        component.unstage(site, BACKUP)
        assert component.leftovers(site) == Leftovers()
        assert redis.ask("get", "live").strip() == "x"
        eventually(lambda: redis.ask("set", "live", "y").strip() == "OK", "a write")
        engine.command("exec", holder(site), "rm", "/volume/filler")
        assert component.stage(site, BACKUP, [kept.stream], kept.feed) == []


def test_a_server_that_goes_while_it_is_dumped_is_a_failure(redis: Running) -> None:
    """What it gave until then is not taken for all; it comes back by itself."""
    redis.fresh()
    (dump,) = Redis().dumps(redis.site)
    back = []

    def read() -> None:
        with dump.open() as source:
            back.append(redis.crash())
            while source.read(2**16):
                pass
            source.finish()

    with pytest.raises((EngineError, BackupError)):
        read()
    eventually(back[0], "its return")


def test_a_swap_that_was_killed_half_way_is_taken_back(redis: Running, kept: Kept) -> None:
    """Its files are moved and it does not run, or somebody has started it on nothing: its old keys come back."""
    component, site = Redis(), redis.site
    volume = {"redis": f"{site.stack.project.name}_redis"}
    for started in (False, True):
        redis.fresh("redis.call('SET', 'newer', 'x')")
        component.stage(site, BACKUP, [kept.stream], kept.feed)
        for _ in site.engine.stop(site.stack.project, ["redis"]):
            pass
        half = f"cd /v && mkdir .cotai-before-{BACKUP} && chown 999 .cotai-before-* && mv [a-z]* .cotai-before-{BACKUP}"
        image = site.stack.services["redis"].image
        mount = ("--volume", f"{volume['redis']}:/v")
        site.engine.command("run", "--rm", "--user", "0", *mount, "--entrypoint", "sh", image, "-c", half)
        if started:
            for _ in site.engine.compose(site.stack.project, "start", "redis"):
                pass
            eventually(lambda: site.engine.glance(site.stack.project.name)[0].health == "healthy", "health")
            assert component.is_empty(site)
        assert component.leftovers(site) == Leftovers(staged=frozenset({BACKUP}))
        component.revert(site, BACKUP)
        component.unstage(site, BACKUP)
        assert redis.ask("get", "newer").strip() == "x"
        assert Places(site.engine, image, volume).leftovers() == Leftovers()


def test_taking_back_what_never_began_leaves_the_server_alone(redis: Running) -> None:
    """It is not stopped for nothing."""
    redis.fresh()
    before = redis.pid()
    Redis().revert(redis.site, OTHER)
    Redis().unstage(redis.site, OTHER)
    assert redis.pid() == before


def test_a_dump_that_is_given_up_leaves_nothing_running(redis: Running) -> None:
    """The client ends in the container too, and so does what the server does for it."""
    redis.fresh()
    (dump,) = Redis().dumps(redis.site)

    def leave() -> None:
        with dump.open():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    eventually(lambda: "redis-cli" not in running(redis), "the end of the client")


def running(redis: Running) -> str:
    return redis.site.engine.command("top", live(redis.site).container, "-o", "pid,args")
