"""MongoDB's part of a backup on the image that is there: what comes back, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import socket
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup.components.base import Leftovers, Site
from cotai_tasks.backup.components.mongodb import MongoDB
from cotai_tasks.backup.components.mongodb_plan import live, revert_steps, swap_steps
from cotai_tasks.backup.components.mongodb_server import open_server
from cotai_tasks.errors import BackupError, EngineError
from cotai_tasks.settings import load_settings
from cotai_tasks.stack import choose_source, open_stack
from tests.integration.alone import eventually
from tests.unit.backup.dumps import Kept, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cotai_tasks.backup.components.mongodb_plan import Facts
    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BACKUP, OTHER = "20261123T073840Z-a1b2c3", "20261122T073840Z-d4e5f6"

# What is sent to the server's own Python, with `client` at hand.
CONNECTED = """
import datetime, threading, time, uuid
from bson import *
from mongodb_local import connect
client = connect(timeout=30)
shop, second = client["shop"], client["second"]
"""
EMPTY = """
for name in client.list_database_names():
    if name not in ("admin", "config", "local"): client.drop_database(name)
"""
FILL = """
shop.types.insert_one({
    "double": 1.5, "nan": float("nan"), "infinite": float("inf"), "text": "ünï\\x00code", "document": {"b": 1, "a": 2},
    "array": [1, "a", None, []], "binary": Binary(b"\\xff\\x00", 128), "uuid": Binary.from_uuid(uuid.UUID(int=5)),
    "object": ObjectId(), "true": True, "date": datetime.datetime(1, 1, 1), "null": None, "regex": Regex("a.*", "im"),
    "reference": DBRef("x", 1), "code": Code("f()"), "scope": Code("g()", {"x": 1}), "int": 1,
    "timestamp": Timestamp(5, 6), "long": Int64(1), "decimal": Decimal128("1.10"), "least": MinKey(), "most": MaxKey(),
    "": {"": ""}})
shop["odd name. ünï 'quoted'"].insert_many([{"_id": n} for n in range(3)])
shop.large.insert_many([{"text": "x" * (15 * 2**20)}, {"text": "y" * (8 * 2**20)}])
shop.create_collection("last", capped=True, size=100000, max=100)
shop.last.insert_many([{"n": -n} for n in range(60)])
shop.create_collection("some", viewOn="rows", pipeline=[{"$match": {"m": 1}}])
shop.create_collection("empty", validator={"n": {"$gt": 1}}, validationLevel="moderate", collation={"locale": "de"})
shop.rows.insert_many([{"n": n, "m": n % 7, "t": datetime.datetime(2026, 11, 23)} for n in range(300)])
shop.rows.create_index([("n", 1), ("m", -1)], unique=True, name="pair")
shop.rows.create_index("t", expireAfterSeconds=10**9)
shop.rows.create_index("m", partialFilterExpression={"m": {"$gt": 3}}, collation={"locale": "de"})
shop.rows.create_index([("place", "2dsphere")])
second.keyed.insert_one({"_id": {"z": 1, "a": 2}})
"""
CHANGE = """
shop.rows.delete_many({"m": 1}); shop.drop_collection("types"); shop.drop_collection("some")
shop.made_later.insert_one({"n": 1}); client["third"].things.insert_one({"n": 1}); client.drop_database("second")
"""
OPTIONS = """
import json
from bson import json_util
print(json_util.dumps({
    name: {one["name"]: [one["options"], {index["name"]: index for index in client[name][one["name"]].list_indexes()}
            if one["type"] != "view" else 0] for one in client[name].list_collections()}
    for name in sorted(client.list_database_names()) if name not in ("admin", "config", "local")}, sort_keys=True))
"""


@dataclass(frozen=True)
class Mongo:
    """A live server, and how it is told."""

    site: Site

    def tell(self, script: str) -> str:
        """Run Python in its container."""
        command = ["timeout", "60", "python3", "-"]
        return self.site.engine.feed(self.site.stack.project, "mongodb", command, (CONNECTED + script).encode())

    def options(self) -> object:
        """Give the options and the indexes of every collection."""
        found: object = json.loads(self.tell(OPTIONS))
        return found

    def facts(self) -> Facts:
        """Count and hash everything that the application sees."""
        server = open_server(self.site.engine, self.container)
        return server.facts(live(server.collections()))

    @property
    def container(self) -> str:
        """Name its container."""
        return next(one.name for one in self.site.engine.containers(self.site.stack.project.name))

    def processes(self, name: str) -> str:
        """Find processes in its container by the end of an argument."""
        script = f'grep -lzx "[^ ]*{name}" /proc/[0-9]*/cmdline 2>/dev/null || true'
        return self.site.engine.execute(self.site.stack.project, "mongodb", ["sh", "-c", script]).strip()


@pytest.fixture(scope="module")
def running(engine: Engine) -> Iterator[Mongo]:
    """Start development's MongoDB in a project of its own, on the image for evaluation."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environ = {**os.environ, "MONGODB_PORT": port}
    settings = load_settings(ROOT, "dev", environ=environ, project=f"cotai-test-{uuid.uuid4().hex[:6]}")
    stack = open_stack(settings, engine, choose_source(settings, engine)[0])
    if stack.source != "offline":
        pytest.skip("its fillings are told to the image for evaluation")
    try:
        with engine.up(stack.project, ["mongodb"]) as start:
            eventually(lambda: start.ended, "the start")
            assert start.error is None
        eventually(lambda: engine.containers(stack.project.name)[0].health == "healthy", "health")
        yield Mongo(Site(stack, settings, engine))
    finally:
        for _ in engine.down(stack.project, volumes=True):
            pass


@pytest.fixture
def mongo(running: Mongo) -> Mongo:
    """Give the server without any data."""
    running.tell(EMPTY)
    return running


def stage(mongo: Mongo, kept: Kept, backup: str = BACKUP) -> None:
    assert MongoDB().stage(mongo.site, backup, [kept.stream], kept.feed) == []


def test_everything_comes_back_in_a_rehearsal(mongo: Mongo) -> None:
    """Every type, odd names, large documents, capped collections, views, validators, every kind of index."""
    mongo.tell(FILL)
    kept = keep(MongoDB(), mongo.site)
    assert kept.stream.kind == "bson"
    with MongoDB().rehearse(mongo.site, BACKUP, [kept.stream], kept.feed) as found:
        assert found.differences == ()
        assert found.compared == "8 collections, 367 documents, content hashes, indexes"
        scratch = open_server(mongo.site.engine, found.containers[0])
        assert scratch.facts(live(scratch.collections())) == mongo.facts()
        inspected = mongo.site.engine.command("container", "inspect", scratch.container)
        assert json.loads(inspected)[0]["HostConfig"]["NetworkMode"] == "none"
    assert scratch.container not in mongo.site.engine.command("container", "ls", "--all", "--format", "{{.Names}}")


def test_what_a_backup_lost_is_told(mongo: Mongo) -> None:
    """An archive that holds less than its facts say, whole as it is, is no success."""
    mongo.tell(FILL)
    whole = keep(MongoDB(), mongo.site)
    mongo.tell(
        "shop.rows.delete_one({'n': 5}); shop.types.update_one({}, {'$set': {'int': 2}}); shop.rows.drop_index('pair')"
    )
    less = Kept(whole.stream, keep(MongoDB(), mongo.site).data)
    with MongoDB().rehearse(mongo.site, BACKUP, [less.stream], less.feed) as found:
        assert [one.where for one in found.differences] == [
            "collection shop.rows, documents",
            "collection shop.types, content",
        ]


def test_a_restore_replaces_and_can_be_undone(mongo: Mongo) -> None:
    """The live data is untouched until the swap, is all of the backup after it, and comes back whole by `revert`."""
    part = MongoDB()
    mongo.tell(FILL)
    kept, then, options = keep(part, mongo.site), mongo.facts(), mongo.options()
    mongo.tell(CHANGE)
    now, options_now = mongo.facts(), mongo.options()
    stage(mongo, kept)
    assert mongo.facts() == now
    assert part.leftovers(mongo.site) == Leftovers(staged=frozenset({BACKUP}))
    part.swap(mongo.site, BACKUP)
    assert mongo.facts() == then
    assert mongo.tell("print(shop.some.count_documents({}))").strip() == "43"
    assert part.leftovers(mongo.site) == Leftovers(replaced=frozenset({BACKUP}))
    part.revert(mongo.site, BACKUP)
    part.unstage(mongo.site, BACKUP)
    assert mongo.options() == options_now
    assert mongo.facts() == now
    stage(mongo, kept)
    part.swap(mongo.site, BACKUP)
    part.discard(mongo.site, BACKUP)
    assert mongo.options() == options


def test_a_dump_leaves_out_what_restores_left(mongo: Mongo) -> None:
    """Neither what waits nor what was replaced is backed up again."""
    mongo.tell("shop.rows.insert_one({'n': 1}); shop.restore_jobs.insert_one({'n': 1})")
    kept = keep(MongoDB(), mongo.site)
    stage(mongo, kept)
    MongoDB().swap(mongo.site, BACKUP)
    stage(mongo, kept, OTHER)
    assert keep(MongoDB(), mongo.site).stream.facts["collections"].keys() == {"shop.rows", "shop.restore_jobs"}


def test_a_swap_that_stops_anywhere_is_undone(mongo: Mongo) -> None:
    """After each of its steps; what follows is as if it had never begun."""
    part, server = MongoDB(), open_server(mongo.site.engine, mongo.container)
    mongo.tell("shop.rows.insert_one({'n': 1}); shop.create_collection('some', viewOn='rows')")
    kept = keep(part, mongo.site)
    mongo.tell(
        "shop.rows.insert_one({'n': 2}); shop.drop_collection('some'); client['third'].later.insert_one({'n': 3})"
    )
    now = mongo.facts()
    stage(mongo, kept)
    steps = swap_steps(server.collections(), BACKUP)
    assert [one.do for one in steps] == ["move", "move", "make", "move", "move"]
    for done in range(1, len(steps) + 1):
        server.apply(steps[:done])
        server.apply(revert_steps(server.collections(), BACKUP)[:2])  # undoing it is interrupted too
        server.apply(revert_steps(server.collections(), BACKUP))
        assert mongo.facts() == now
    assert part.leftovers(mongo.site) == Leftovers(staged=frozenset({BACKUP}))
    part.unstage(mongo.site, BACKUP)
    assert part.leftovers(mongo.site) == Leftovers()


def test_an_empty_server_is_backed_up_and_restored(mongo: Mongo) -> None:
    """It is no failed dump, and restoring it empties the server, until that is undone."""
    part = MongoDB()
    assert part.is_empty(mongo.site)
    kept = keep(part, mongo.site)
    with part.rehearse(mongo.site, BACKUP, [kept.stream], kept.feed) as found:
        assert found.differences == ()
    mongo.tell("shop.rows.insert_one({'n': 1})")
    assert not part.is_empty(mongo.site)
    stage(mongo, kept)
    part.swap(mongo.site, BACKUP)
    assert part.is_empty(mongo.site)
    part.revert(mongo.site, BACKUP)
    assert mongo.facts().keys() == {"shop.rows"}


def test_a_dump_is_of_one_moment(mongo: Mongo) -> None:
    """Transactions that move documents between two collections meanwhile: none is in both, and none is lost."""
    mongo.tell(
        "shop.left.insert_many([{'_id': n, 'text': 'x' * 1000} for n in range(5000)]); shop.create_collection('right')"
    )
    moving = """
print("moving", flush=True)
while not shop.stop.find_one():
    with client.start_session() as session, session.start_transaction():
        one = shop.left.find_one_and_delete({}, session=session)
        shop.right.insert_one(one, session=session)
"""
    command = ("exec", "--interactive", mongo.container, "python3", "-c", CONNECTED + moving)
    with mongo.site.engine.pipe(*command, what="the writer") as writer:
        assert writer.read() == b"moving\n"
        kept = keep(MongoDB(), mongo.site)
        counted = mongo.tell("print(shop.left.count_documents({})); shop.stop.insert_one({})")
        writer.finish()
    facts = kept.stream.facts["collections"]
    assert int(counted) < facts["shop.left"]["documents"]  # they were moved all the time
    assert facts["shop.left"]["documents"] + facts["shop.right"]["documents"] == 5000
    with MongoDB().rehearse(mongo.site, BACKUP, [kept.stream], kept.feed) as found:
        assert found.differences == ()


def test_a_dump_that_nobody_wants_any_more_ends(mongo: Mongo) -> None:
    """Whoever read it has gone: nothing of it is left running in the container."""
    mongo.tell(FILL)
    (dump,) = MongoDB().dumps(mongo.site)
    with dump.open() as source:
        source.read(1000)
        assert mongo.processes("mongodb-dump")
    eventually(lambda: not mongo.processes("mongodb-dump"), "the end of the dump")


def test_a_dump_whose_server_dies_is_no_dump(mongo: Mongo) -> None:
    """It fails, whatever it has given before."""
    mongo.tell(FILL)
    (dump,) = MongoDB().dumps(mongo.site)
    with dump.open() as source:
        source.read(1000)
        mongo.site.engine.command("container", "kill", mongo.container)
        while source.read():
            pass
        with pytest.raises(EngineError):
            source.finish()
    mongo.site.engine.command("container", "start", mongo.container)
    eventually(lambda: mongo.site.engine.containers(mongo.site.stack.project.name)[0].health == "healthy", "health")


@pytest.mark.parametrize("kept_bytes", [10, 3000, 20_000_000])
def test_a_restore_that_is_cut_off_leaves_the_live_data(mongo: Mongo, kept_bytes: int) -> None:
    """An archive that ends too early is refused; what was staged of it is found and removed."""
    mongo.tell(FILL)
    kept, now = keep(MongoDB(), mongo.site), mongo.facts()
    with pytest.raises((BackupError, EngineError), match=r"cut off|too early"):
        stage(mongo, replace(kept, data=kept.data[:kept_bytes]))
    MongoDB().unstage(mongo.site, BACKUP)
    assert MongoDB().leftovers(mongo.site) == Leftovers()
    assert mongo.facts() == now


def test_what_is_no_archive_is_refused(mongo: Mongo) -> None:
    """With what it is not."""
    kept = keep(MongoDB(), mongo.site)
    with pytest.raises(EngineError, match="no archive of mongodb-dump"):
        stage(mongo, replace(kept, data=b"\5\0\0\0\0" + kept.data))


def test_a_feed_that_fails_leaves_nothing(mongo: Mongo) -> None:
    """The archive was damaged, or somebody pressed Ctrl-C: the scratch server goes, and the error is the feed's own."""
    mongo.tell(FILL)
    kept = keep(MongoDB(), mongo.site)

    def failing(_: object, write: Callable[[bytes], object]) -> None:
        write(kept.data[:5000])
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        scratched(mongo),
        MongoDB().rehearse(mongo.site, BACKUP, [kept.stream], failing),
    ):
        pass
    with pytest.raises(KeyboardInterrupt):
        MongoDB().stage(mongo.site, BACKUP, [kept.stream], failing)
    eventually(lambda: not mongo.processes("mongodb-restore"), "the end of the restore")
    MongoDB().unstage(mongo.site, BACKUP)
    assert MongoDB().leftovers(mongo.site) == Leftovers()


@contextmanager
def scratched(mongo: Mongo) -> Iterator[None]:
    """Hold that no scratch container outlives the block."""
    try:
        yield
    finally:
        label = f"label=cotai.scratch={mongo.site.stack.project.name}"
        assert mongo.site.engine.command("container", "ls", "--all", "--quiet", "--filter", label).split() == []
