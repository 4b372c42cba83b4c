"""MongoDB's part of a backup, as far as it is decided without a server; the tools' scripts run with stand-ins."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from copy import deepcopy
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.backup.components.base import Difference, Leftovers, Site
from cotai_tasks.backup.components.mongodb import MongoDB
from cotai_tasks.backup.components.mongodb_plan import (
    Step,
    clear_steps,
    compare,
    compared,
    discard_steps,
    leftovers,
    live,
    revert_steps,
    swap_steps,
    unstage_steps,
)
from cotai_tasks.backup.components.mongodb_server import JOBS, WHICH, Server
from cotai_tasks.backup.manifest import Stream
from cotai_tasks.backup.recover import recovery_sheet
from cotai_tasks.errors import BackupError, EngineError
from cotai_tasks.process import PATIENCE, Piped
from cotai_tasks.testing import FakeEngine, FakePiped, container
from tests.unit.backup.catalogues import manifest
from tests.unit.deploy.stacks import service, settings, stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BACKUP, OTHER = "20261123T073840Z-a1b2c3", "20261122T073840Z-d4e5f6"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
DATA = dict[str, dict[str, str]]
"""A server: what each collection of each database holds."""
BEFORE: DATA = {"cotai": {"tenders": "old", "gone": "old"}, "extra": {"notes": "old"}}
STAGED: DATA = {"cotai": {"tenders": "new", "added": "new"}, "second": {"things": "new"}}


def server(*layers: tuple[str, DATA]) -> DATA:
    found: DATA = {}
    for prefix, data in layers:
        for database, names in data.items():
            found.setdefault(database, {}).update({prefix + name: content for name, content in names.items()})
    return found


def take(data: DATA, steps: Sequence[Step]) -> None:
    """Do what the server does: refuse a name that is taken or not there; forget a database without collections."""
    for step in steps:
        here = data.setdefault(step.database, {})
        if step.do == "move":
            assert step.to not in here
            here[step.to] = here.pop(step.name)
        elif step.do == "make":
            assert step.name not in here
            here[step.name] = "mark"
        else:
            del here[step.name]
        for name in [name for name, held in data.items() if not held]:
            del data[name]


def prepared() -> DATA:
    return server(("", BEFORE), (f"restore_{BACKUP}.", STAGED))


def contents(data: DATA) -> DATA:
    return {
        database: {name: text for name, text in names.items() if (database, name) in live(data)}
        for database, names in data.items()
        if any((database, name) in live(data) for name in names)
    }


# -- the steps ---------------------------------------------------------------------------------------------------------


def test_a_swap_puts_the_backup_in_place_and_keeps_everything_else() -> None:
    """Collections and databases that the backup does not have are moved away too."""
    data = prepared()
    take(data, swap_steps(data, BACKUP))
    assert contents(data) == STAGED
    assert leftovers(data) == Leftovers(replaced=frozenset({BACKUP}))
    take(data, discard_steps(data, BACKUP))
    assert data == STAGED


@pytest.mark.parametrize("done", range(12))
def test_a_swap_is_undone_from_every_step(done: int) -> None:
    """Wherever it stopped, and wherever undoing it stopped in turn, the live data comes back."""
    data = prepared()
    take(data, swap_steps(data, BACKUP)[:done])
    whole = len(revert_steps(data, BACKUP))
    for undone in range(whole + 1):
        again = deepcopy(data)
        take(again, revert_steps(again, BACKUP)[:undone])
        assert undone == whole or leftovers(again) != Leftovers()
        take(again, revert_steps(again, BACKUP))
        assert contents(again) == BEFORE
        take(again, unstage_steps(again, BACKUP))
        assert again == BEFORE


@pytest.mark.parametrize("done", range(1, 7))
def test_what_waits_in_the_middle_of_a_swap_is_not_dropped(done: int) -> None:
    """Without it half a swap would look like a finished one, and the rest of the backup would be gone."""
    data = prepared()
    steps = swap_steps(data, BACKUP)
    assert len(steps) == 7
    take(data, steps[:done])
    assert unstage_steps(data, BACKUP) == []
    take(data, revert_steps(data, BACKUP))
    assert len(unstage_steps(data, BACKUP)) == 3


def test_an_interrupted_swap_is_told_from_a_finished_one() -> None:
    """It is staged until its last step, so that the next restore undoes it."""
    data = prepared()
    for step in swap_steps(data, BACKUP):
        assert BACKUP in leftovers(data).staged
        take(data, [step])
    assert leftovers(data).staged == frozenset()


@pytest.mark.parametrize("done", range(5))
def test_a_backup_without_collections_replaces_everything_too(done: int) -> None:
    """And its swap is undone from every step; nothing is staged that would tell."""
    data = deepcopy(BEFORE)
    take(data, swap_steps(data, BACKUP)[:done])
    if 0 < done < 4:
        assert leftovers(data).staged == frozenset({BACKUP})
    take(data, revert_steps(data, BACKUP))
    take(data, unstage_steps(data, BACKUP))
    assert data == BEFORE


def test_a_restore_into_an_empty_server_can_be_undone() -> None:
    """To an empty server."""
    data = server((f"restore_{BACKUP}.", STAGED))
    take(data, swap_steps(data, BACKUP))
    assert contents(data) == STAGED
    take(data, revert_steps(data, BACKUP))
    take(data, unstage_steps(data, BACKUP))
    assert data == {}


def test_nothing_to_do_is_no_step() -> None:
    """Neither undoing nor removing minds a server that no restore has touched, or another one."""
    data = server(
        ("", BEFORE), (f"before_{OTHER}.", {"cotai": {"tenders": "older"}}), ("", {"cotai": {f"before_{OTHER}": ""}})
    )
    for steps in (revert_steps, unstage_steps, discard_steps):
        assert steps(data, BACKUP) == []


def test_an_earlier_restore_keeps_what_it_replaced() -> None:
    """A later one does not move it, and is told apart from it."""
    data = prepared()
    take(data, swap_steps(data, BACKUP))
    take(data, [Step("make", "cotai", f"restore_{OTHER}.tenders")])
    take(data, swap_steps(data, OTHER))
    assert leftovers(data) == Leftovers(replaced=frozenset({BACKUP, OTHER}))
    take(data, discard_steps(data, OTHER))
    assert {name for names in data.values() for name in names} >= {f"before_{BACKUP}.tenders"}
    take(data, clear_steps(data))
    assert data == {"cotai": {"tenders": "mark"}}


@pytest.mark.parametrize("name", ["restore_jobs", "before_christmas", f"x.restore_{BACKUP}.a", f"restore_{BACKUP}x"])
def test_names_of_the_application_are_its_own(name: str) -> None:
    """Only names with the id of a backup are ours."""
    assert live({"cotai": {name: "collection"}}) == [("cotai", name)]


# -- the comparison ----------------------------------------------------------------------------------------------------

FACTS: dict[str, dict[str, Any]] = {
    "cotai.tenders": {"type": "collection", "indexes": ["due"], "documents": 3, "content": "abc"},
    "cotai.open": {"type": "view"},
}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, []),
        ({"documents": 2, "content": "abd"}, [Difference("collection cotai.tenders, documents", "3", "2")]),
        ({"content": "abd"}, [Difference("collection cotai.tenders, content", "abc", "abd")]),
        ({"indexes": []}, [Difference("collection cotai.tenders, indexes", "['due']", "[]")]),
        ({"type": "view"}, [Difference("collection cotai.tenders, type", "collection", "view")]),
    ],
)
def test_every_difference_is_found(change: dict[str, Any], wrong: list[Difference]) -> None:
    """In the number of documents, in what they hold, in the indexes."""
    found = FACTS | {"cotai.tenders": FACTS["cotai.tenders"] | change}
    assert compare(FACTS, found, quiet=True) == wrong


def test_a_collection_that_is_missing_or_too_many_is_found() -> None:
    """By its name."""
    found = {"cotai.open": FACTS["cotai.open"], "cotai.other": {"type": "view"}}
    assert compare(FACTS, found, quiet=True) == [
        Difference("collection cotai.other", "one that is not there", "there"),
        Difference("collection cotai.tenders", "there", "nothing"),
    ]


def test_a_server_that_was_written_to_is_compared_by_names() -> None:
    """What was counted before or after the dump would not be what it holds; a collection made meanwhile is no fault."""
    expected = {"cotai.tenders": {"type": "collection", "indexes": ["due"]}}
    found = {"cotai.tenders": FACTS["cotai.tenders"], "cotai.new": {"type": "collection", "indexes": []}}
    assert compare(expected, found, quiet=False) == []
    assert compared(expected, quiet=False).startswith("1 collection and their indexes (not counted")
    assert compared(FACTS, quiet=True) == "2 collections, 3 documents, content hashes, indexes"


# -- where it fits -----------------------------------------------------------------------------------------------------


def stream(kind: str, version: str, **facts: Any) -> Stream:  # noqa: ANN401 - any fact
    return Stream(
        component="mongodb",
        name="mongodb",
        kind=kind,
        started_at=NOW,
        ended_at=NOW,
        plain_bytes=1,
        plain_sha256="",
        objects=(),
        facts={"server": version, "replica_set": "rs0", "quiet": True, "collections": {}} | facts,
    )


def site(label: str, engine: FakeEngine | None = None) -> Site:
    services = (
        service("mongodb"),
        service("backend", depends_on=frozenset({"mongodb"})),
        service("migrate", depends_on=frozenset({"mongodb"}), one_shot=True),
        service("nginx", depends_on=frozenset({"backend"})),
    )
    return Site(stack(*services, variables={"MONGODB_FORMAT": label}), settings(), engine or FakeEngine())


@pytest.mark.parametrize(
    ("label", "kind", "version", "fault"),
    [
        ("mongodb-8", "mongodump", "8.0.26", ""),
        ("mongodb-8", "mongodump", "7.0.1", "of version 7, and here is mongodb-8"),
        ("mongodb-8", "mongodump", "9.0.1", "of version 9"),
        ("mongodb-8", "bson", "8.2.11", "a dump of the stand-in for evaluation, and here is MongoDB"),
        ("secantusdb", "mongodump", "8.0.26", "a dump of MongoDB, and here is the stand-in"),
        ("secantusdb", "bson", "8.2.11", ""),
    ],
)
def test_another_server_or_version_does_not_fit(label: str, kind: str, version: str, fault: str) -> None:
    """The archives of the two servers are not one another's, and a major version reads its own alone."""
    found = MongoDB().unfit(site(label), [stream(kind, version)])
    assert [fault in one.fault for one in found] == ([True] if fault else [])


def test_a_stack_without_mongodb_has_none_of_it() -> None:
    """Nothing to dump, nothing left of a restore, and nothing to restore into."""
    without = Site(stack(service("backend")), settings(), FakeEngine())
    assert MongoDB().dumps(without) == []
    assert MongoDB().leftovers(without) == Leftovers()
    for undo in (MongoDB().revert, MongoDB().unstage, MongoDB().discard):
        undo(without, BACKUP)
    assert "no such service" in MongoDB().unfit(without, [stream("bson", "8.2")])[0].fault


def test_those_that_wait_for_it_are_stopped() -> None:
    """Every service that depends on it and runs on; the proxy before them does not."""
    assert MongoDB().users(site("mongodb-8"), []) == {"backend"}


def test_a_server_that_does_not_run_is_named() -> None:
    """With how to start it."""
    with pytest.raises(BackupError, match="mongodb is not running in cotai-dev") as caught:
        MongoDB().dumps(site("secantusdb"))
    assert caught.value.cure == "Start it: inv deploy.dev."


def test_a_server_that_does_not_run_is_in_nobodys_way() -> None:
    """Of what it holds nothing is known: other parts of the stack are restored, put back and cleared without it."""
    dead = site("secantusdb", FakeEngine(found_containers=[container("mongodb", state="exited")]))
    assert MongoDB().leftovers(dead) == Leftovers()
    assert MongoDB().users(dead, []) == {"backend"}
    with pytest.raises(BackupError, match="not running"):  # whoever has moved its data must hear of it
        MongoDB().revert(dead, BACKUP)


@pytest.mark.parametrize("tail", [b"", b"\2facts\0\0\0\0\0{half", b"\2facts\0\0\0\0\0\xff"])
def test_a_dump_that_does_not_tell_what_it_holds_has_failed(tail: bytes) -> None:
    """In words, wherever it broke off."""
    engine = FakeEngine(
        found_containers=[container("mongodb")], answers={"exec": ["bson"]}, streams={"exec": b"x" * 200 + tail}
    )
    (dump,) = MongoDB().dumps(site("secantusdb", engine))
    with dump.open() as source:
        source.read()
        with pytest.raises(BackupError, match="without the facts"):
            source.finish()


def test_an_image_without_a_tool_is_too_old() -> None:
    """It is said what to do about it."""
    engine = FakeEngine(found_containers=[container("mongodb")])
    with pytest.raises(BackupError, match="neither mongodump nor mongodb-dump"):
        MongoDB().dumps(site("secantusdb", engine))


@pytest.mark.parametrize("kind", ["mongodump", "bson"])
def test_a_job_of_any_size_reaches_the_server(tmp_path: Path, kind: str) -> None:
    """Through the input, whole and unchanged: an argument may have 128 KiB. And the leash still holds."""
    engine = FakeEngine(streams={"exec": b"{}"})
    names = [("cotai", f'{number} $HOME `id` \\n "ü" {"x" * 100}') for number in range(4000)]
    Server(engine, "x", kind).facts(names)
    (call,) = engine.calls
    assert call[:3] == ("exec", "--interactive", "x")
    stand_ins = {
        "mongosh": '#!/bin/sh\ncat /dev/fd/4\nexec sleep "${LONG:-0}"\n',
        "mongodb-collections": f"#!{sys.executable}\nimport os, sys, time\nprint(sys.argv[1], end='', flush=True)\n"
        "time.sleep(int(os.environ.get('LONG', 0)))\n",
    }
    for name, text in stand_ins.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with Piped(call[3:], environ, "job") as piped:
        piped.write(engine.fed[0])
        assert json.loads(b"".join(iter(piped.read, b""))) == {
            "do": "facts",
            "of": [[database, name] for database, name in names],
            "content": True,
        }
        piped.finish()
    with Piped(call[3:], environ | {"LONG": "600"}, "job") as piped:
        piped.write(engine.fed[0])
        with pytest.raises(EngineError):
            piped.finish()


def test_a_time_series_is_not_staged() -> None:
    """No server renames one, so it would fail half-way: it is refused before anything is touched."""
    facts = {"collections": {"cotai.measured": {"type": "timeseries"}}}
    engine = FakeEngine()
    with pytest.raises(BackupError, match=r"cotai\.measured cannot be put in place"):
        MongoDB().stage(site("mongodb-8", engine), BACKUP, [stream("mongodump", "8.0.26", **facts)], lambda *_: None)
    assert engine.calls == []


def test_a_refusal_is_told_in_the_servers_words() -> None:
    """The last line, not the command."""
    engine = FakeEngine(errors={"exec": EngineError("mongodb failed", evidence="Traceback\ntarget namespace exists")})
    with pytest.raises(BackupError, match="x refused: target namespace exists"):
        Server(engine, "x", "bson").collections()


# -- MongoDB's own tools, which cannot be had everywhere ---------------------------------------------------------------


def run_tool(folder: Path, command: Sequence[str], **environ: str) -> tuple[list[str], str]:
    """Run a tool's script; give the arguments that it gets and what it reads from its configuration."""
    tool = folder / "mongorestore"
    tool.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" | grep -v "^--config="\n'
        'cat "$(printf "%s\\n" "$@" | sed -n s/^--config=//p)" >&2\n'
    )
    tool.chmod(0o755)
    text = command[2].replace("/run/secrets", str(folder))
    done = subprocess.run(
        [*command[:2], text, *command[3:]],
        env={"PATH": f"{folder}:/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.split(), done.stderr


def restore_command() -> tuple[str, ...]:
    engine = FakeEngine()
    with Server(engine, "x", "mongodump").restore("--oplogReplay"):
        pass
    (call,) = engine.calls
    assert call[:3] == ("exec", "--interactive", "x")
    return call[3:]


_RESTORE = ["--archive", "--stopOnError", "--bypassDocumentValidation", "--oplogReplay"]


def test_no_password_stands_in_a_command_line(tmp_path: Path) -> None:
    """The tools read it from a pipe: from the container's file in production, from its environment in development."""
    login = ["--username=root", "--authenticationDatabase=admin"]
    environ = {"MONGO_INITDB_ROOT_USERNAME": "root"}
    words, read = run_tool(tmp_path, restore_command(), **environ, MONGO_INITDB_ROOT_PASSWORD="canary")
    assert words == ["--host=127.0.0.1", *login, *_RESTORE]
    assert read == "password: 'canary'\n"
    (tmp_path / "tls.pem").touch()
    (tmp_path / "password").write_text("from-file\n")
    words, read = run_tool(
        tmp_path, restore_command(), **environ, MONGO_INITDB_ROOT_PASSWORD_FILE=str(tmp_path / "password")
    )
    assert words == ["--host=127.0.0.1", "--ssl", f"--sslCAFile={tmp_path}/ca.pem", *login, *_RESTORE]
    assert read == "password: 'from-file'\n"


def test_a_scratch_server_wants_no_login(tmp_path: Path) -> None:
    """It has no users, and no network."""
    assert run_tool(tmp_path, restore_command()) == (["--host=127.0.0.1", *_RESTORE], "password: ''\n")


_STAND_IN = """
const told = [], state = JSON.parse(process.env.STATE);
const said = (...words) => { told.push(words); return { ok: 1 }; };
const cursor = (rows) => ({ sort: () => cursor(rows), limit: () => cursor(rows), toArray: () => rows });
const database = (name) => ({
  getSiblingDB: database,
  auth: (user, password) => said("auth", name, user, password),
  hello: () => ({ setName: state.set }),
  version: () => "8.0.26",
  runCommand: (command) => command.listDatabases
    ? { databases: ["admin", "local", ...Object.keys(state.data)].map((name) => ({ name })) }
    : command.dbHash
      ? (said("hash", name, command.collections), { collections: { tenders: "d41d" } })
      : said("command", name, command),
  getCollectionInfos: () => state.data[name] || [],
  createCollection: (to, options) => said("create", name, to, options),
  getCollection: (one) => ({
    find: () => cursor(state.writes),
    drop: () => said("drop", name, one),
    getIndexes: () => ["_id_", "due", "by"].map((name) => ({ name })),
    countDocuments: () => 3,
  }),
});
const scope = {
  db: database("test"), process, print: (text) => told.push(JSON.parse(text)),
  require: () => ({ readFileSync: (path) => path === "/dev/fd/4" ? process.env.GIVEN : `content of ${path}\\n` }),
};
new Function(...Object.keys(scope), process.env.SCRIPT)(...Object.values(scope));
console.log(JSON.stringify(told));
"""
TENDERS = {"name": "tenders", "type": "collection"}
VIEW = {"name": "open", "type": "view", "options": {"viewOn": "tenders", "pipeline": []}}


def mongosh(job: dict[str, Any], environ: dict[str, str] | None = None, **state: Any) -> list[Any]:  # noqa: ANN401
    """Run what mongosh runs, and give what it told its server and what it printed."""
    node = shutil.which("node")
    if not node:
        pytest.skip("needs node to run what mongosh runs")
    found = {"set": "rs0", "data": {"cotai": [TENDERS, VIEW, {"name": "system.views", "type": "collection"}]}} | state
    done = subprocess.run(
        [node, "--eval", _STAND_IN],
        env={"GIVEN": json.dumps(job), "STATE": json.dumps(found), "SCRIPT": JOBS, **(environ or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    told: list[Any] = json.loads(done.stdout)
    return told


def test_a_restore_by_hand_leaves_out_users_and_what_restores_had_kept() -> None:
    """On the sheet that lies beside a download, and in the documentation; an application's own names come back."""
    flags = [f"--nsExclude='{one}'" for one in ("admin.system.*", "*.before_20*Z-*", "*.restore_20*Z-*")]
    sheet = recovery_sheet(manifest(BACKUP, stream("mongodump", "8.0.26")))
    guide = Path(__file__).parents[3] / "docs/recovery.md"
    for text in (sheet, guide.read_text()):
        assert f"{' '.join(flags)}\n" in text
    patterns = [one.split("'")[1] for one in flags]
    for name, out in (("cotai.tenders", False), ("cotai.before_christmas", False), ("admin.system.users", True)):
        assert any(fnmatchcase(name, one) for one in patterns) is out
    for name in (f"cotai.before_{BACKUP}", f"cotai.before_{BACKUP}.a", f"cotai.restore_{OTHER}.a.b"):
        assert any(fnmatchcase(name, one) for one in patterns)


def test_mongosh_lists_what_is_the_applications() -> None:
    """No database and no collection of the server's own."""
    assert mongosh({"do": "list"}) == [{"cotai": {"tenders": "collection", "open": "view"}}]


def test_mongosh_logs_in_as_the_administrator() -> None:
    """With the password of the container's file, or of its environment."""
    environ = {"MONGO_INITDB_ROOT_USERNAME": "root", "MONGO_INITDB_ROOT_PASSWORD_FILE": "/run/secrets/P"}
    assert mongosh({"do": "list"}, environ)[0] == ["auth", "admin", "root", "content of /run/secrets/P"]
    environ = {"MONGO_INITDB_ROOT_USERNAME": "root", "MONGO_INITDB_ROOT_PASSWORD": "dev"}
    assert mongosh({"do": "list"}, environ)[0] == ["auth", "admin", "root", "dev"]


def test_mongosh_counts_and_hashes() -> None:
    """By the server's own hash of a collection; of one that is not there nothing is told."""
    wanted = [["cotai", "tenders"], ["cotai", "open"], ["cotai", "nothing"]]
    tenders = {"type": "collection", "indexes": ["by", "due"]}
    assert mongosh({"do": "facts", "of": wanted, "content": True}) == [
        ["hash", "cotai", ["tenders"]],
        {"cotai.tenders": {**tenders, "documents": 3, "content": "d41d"}, "cotai.open": {"type": "view"}},
    ]
    assert mongosh({"do": "facts", "of": wanted, "content": False}) == [
        {"cotai.tenders": tenders, "cotai.open": {"type": "view"}}
    ]


def test_mongosh_tells_the_last_write() -> None:
    """Of a replica set; without one nobody knows, and nothing counts as quiet."""
    assert mongosh({"do": "moment"}, writes=[{"ts": 1}])[0]["last"] == '[{"ts":1}]'
    assert mongosh({"do": "moment"}, set=None) == [{"server": "8.0.26", "replica_set": "", "last": None}]


def test_mongosh_renames_collections_and_makes_views_anew() -> None:
    """A view has no rename: it is made under its new name before the old one goes."""
    steps = [
        {"do": "move", "database": "cotai", "name": "tenders", "to": "before.tenders"},
        {"do": "move", "database": "cotai", "name": "open", "to": "before.open"},
        {"do": "make", "database": "cotai", "name": "mark", "to": ""},
        {"do": "drop", "database": "cotai", "name": "other", "to": ""},
    ]
    assert mongosh({"do": "apply", "steps": steps}) == [
        ["command", "admin", {"renameCollection": "cotai.tenders", "to": "cotai.before.tenders"}],
        ["drop", "cotai", "before.open"],
        ["create", "cotai", "before.open", {"viewOn": "tenders", "pipeline": []}],
        ["drop", "cotai", "open"],
        ["create", "cotai", "mark", None],
        ["drop", "cotai", "other"],
        4,
    ]


class Told(FakeEngine):
    """An engine whose server `full` holds two databases."""

    def pipe(self, *arguments: str, what: str, patience: float = PATIENCE) -> Piped:
        if "mongosh" not in arguments:
            return super().pipe(*arguments, what=what, patience=patience)
        full = {"cotai": {"tenders": "collection"}, "second": {"a": "collection"}}
        return FakePiped(json.dumps(full if "full" in arguments else {}).encode(), None, [])


def test_what_is_staged_is_named_database_by_database() -> None:
    """Without a name all would be meant, the users of the scratch server too: then nothing is copied."""
    engine = Told(streams={"exec --interactive full": b"archive"})
    Server(engine, "live", "mongodump").copy_from(Server(engine, "full", "mongodump"), BACKUP)
    restoring = next(call for call in engine.calls if call[:3] == ("exec", "--interactive", "live"))
    assert [word for word in restoring if word.startswith("--ns")] == [
        *("--nsInclude=cotai.*", "--nsFrom=cotai.*", f"--nsTo=cotai.restore_{BACKUP}.*"),
        *("--nsInclude=second.*", "--nsFrom=second.*", f"--nsTo=second.restore_{BACKUP}.*"),
    ]
    assert b"archive" in engine.fed
    empty = Told()
    Server(empty, "live", "mongodump").copy_from(Server(empty, "empty", "mongodump"), BACKUP)
    assert empty.calls == []


class Answering(FakePiped):
    """A command that answers the job which it is given."""

    def __init__(self, answer: Callable[[dict[str, Any]], object]) -> None:
        super().__init__(b"", None, [])
        self._answer = answer

    def write(self, data: bytes) -> int:
        self._output = io.BytesIO(json.dumps(self._answer(json.loads(data))).encode())
        return len(data)


class Asked(FakeEngine):
    """An engine with one MongoDB, whose last write is the next of `writes` each time it is asked."""

    def command(self, *arguments: str) -> str:
        assert arguments[-1] == WHICH
        return "mongodump\n"

    def pipe(self, *arguments: str, what: str, patience: float = PATIENCE) -> Piped:
        if "mongosh" not in arguments:
            return super().pipe(*arguments, what=what, patience=patience)
        return Answering(self._answer)

    def _answer(self, job: dict[str, Any]) -> object:
        match job["do"]:
            case "list":
                return {"cotai": {"tenders": "collection", f"before_{OTHER}.tenders": "collection"}}
            case "moment":
                return {"server": "8.0.26", "replica_set": "rs0", "last": self.answers["writes"].pop(0)}
        return {"cotai.tenders": {"content": job["content"], "of": job["of"]}}


@pytest.mark.parametrize(
    ("writes", "quiet"), [(["1", "1", "1"], True), (["1", "2"], False), (["1", "1", "2"], False), ([None], False)]
)
def test_documents_are_counted_where_nobody_wrote(writes: list[str], quiet: bool) -> None:  # noqa: FBT001 - a parameter
    """Neither during the dump nor while they were counted; what an earlier restore left is not looked at."""
    engine = Asked(found_containers=[container("mongodb")], answers={"writes": writes}, streams={"exec": b"x" * 200})
    (dump,) = MongoDB().dumps(site("mongodb-8", engine))
    with dump.open() as source:
        source.read()
        facts = source.finish()
    assert facts == {
        "server": "8.0.26",
        "replica_set": "rs0",
        "quiet": quiet,
        "collections": {"cotai.tenders": {"content": quiet, "of": [["cotai", "tenders"]]}},
    }
    assert any("--oplog" in call for call in engine.calls)
