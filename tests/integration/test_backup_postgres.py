"""PostgreSQL, really dumped, loaded elsewhere, put in place and taken back, with whatever a database may hold."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup.components.base import Site
from cotai_tasks.backup.components.postgres import ANSWERS, Postgres, facts_of
from cotai_tasks.backup.components.postgres_physical import PostgresPhysical
from cotai_tasks.backup.components.postgres_server import Server, live
from cotai_tasks.backup.components.scratch import drop_scratch, scratch
from cotai_tasks.errors import BackupError, EngineError, IntegrityError, UsageError
from cotai_tasks.facts import PROJECT_LABEL, SERVICE_LABEL
from tests.integration.alone import alone, eventually, fill_disk, holder
from tests.unit.backup.dumps import take as take_dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cotai_tasks.backup.components.base import Component
    from cotai_tasks.backup.manifest import Stream
    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BACKUP = "20261123T073840Z-0a1b2c"

EVERYTHING = r"""
CREATE TABLE parents (id bigserial PRIMARY KEY, name text UNIQUE, at timestamptz DEFAULT now(), span interval,
    price numeric, ratio float8, cost money, flags bool[], doc jsonb, raw bytea, kind regclass DEFAULT 'pg_class');
INSERT INTO parents (name, span, price, ratio, cost, flags, doc, raw)
    SELECT 'Größe ' || i, i * interval '1 hour 3 days', i / 7.0, i / 3.0, i::money, ARRAY[true, NULL],
        jsonb_build_object('i', i), decode(md5(i::text), 'hex') FROM generate_series(1, 500) AS i;
CREATE TABLE "Odd ""Table"", 'with' all" ("a""b" int, "ünï" text, dropped int);
ALTER TABLE "Odd ""Table"", 'with' all" DROP COLUMN dropped;
INSERT INTO "Odd ""Table"", 'with' all" VALUES (1, E'back\\slash\nand line'), (NULL, '');
CREATE TABLE nothing ();
CREATE TABLE parts (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE parts_2 (day date NOT NULL, id int NOT NULL);
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO parts SELECT i, date '2026-01-01' + i % 59 FROM generate_series(1, 200) AS i;
CREATE TABLE base (a int); CREATE TABLE child (b int) INHERITS (base);
ALTER TABLE base ADD COLUMN c int; INSERT INTO child VALUES (1, 2, 3); INSERT INTO base VALUES (4, 5);
CREATE SEQUENCE down INCREMENT -2 START 100 MINVALUE 0 MAXVALUE 100; SELECT nextval('down'), nextval('down');
CREATE SEQUENCE untouched;
CREATE MATERIALIZED VIEW stale AS SELECT count(*) FROM parents;
CREATE MATERIALIZED VIEW empty_view AS SELECT 1 AS one WITH NO DATA;
INSERT INTO parents (name) VALUES ('after the view');
CREATE VIEW seen AS SELECT name FROM parents;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON parents FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE parents ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON parents USING (name = current_user);
CREATE UNLOGGED TABLE hot AS SELECT generate_series(1, 10) AS i;
CREATE SCHEMA "other schema"; CREATE TABLE "other schema".parents AS SELECT 1 AS id;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
SELECT lo_from_bytea(0, decode(repeat('ab', 100000), 'hex'));
SELECT lo_create(4242); SELECT lo_put(4242, 50000, 'late');
CREATE ROLE auditor NOLOGIN; CREATE ROLE clerk LOGIN PASSWORD 'canary-6d2f' NOINHERIT IN ROLE auditor;
GRANT pg_read_all_data TO auditor; ALTER ROLE clerk SET work_mem = '5MB';
GRANT SELECT ON parents TO auditor; ALTER TABLE hot OWNER TO clerk;
ALTER DATABASE cotai SET search_path = public, "other schema"; ALTER DATABASE cotai SET application_name = 'it''s';
ALTER ROLE clerk IN DATABASE cotai SET statement_timeout = '7s';
GRANT CONNECT ON DATABASE cotai TO auditor WITH GRANT OPTION; REVOKE TEMPORARY ON DATABASE cotai FROM PUBLIC;
COMMENT ON DATABASE cotai IS 'the application''s'; ALTER DATABASE cotai CONNECTION LIMIT 50;
"""


@dataclass(frozen=True)
class Postgresql:
    """The running server of a project of its own."""

    site: Site

    @property
    def server(self) -> Server:
        """The server itself."""
        return live(self.site)

    def ask(self, statement: str, database: str = "cotai") -> str:
        """Ask it as its superuser."""
        return self.server.ask(statement, database)

    def rows(self, table: str, database: str = "cotai") -> int:
        """Count."""
        return int(self.ask(f"SELECT count(*) FROM {table}", database))

    def fresh(
        self, script: str = "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 1000) AS i;"
    ) -> None:
        """Make the application's database anew, with nothing else beside it."""
        for name in self.server.databases():
            self.server.ask(f'DROP DATABASE "{name}" WITH (FORCE)')
        for role in ("auditor", "clerk"):
            self.server.ask(f"DROP ROLE IF EXISTS {role}")
        self.server.ask("CREATE DATABASE cotai OWNER cotai")
        self.server.do(script, "cotai", what="filling it")


@dataclass(frozen=True)
class Taken:
    """A backup held in memory."""

    streams: tuple[Stream, ...]
    contents: dict[str, bytes]

    def feed(self, stream: Stream, write: Callable[[bytes], object]) -> None:
        """Give a stream's bytes in pieces."""
        content = self.contents[stream.name]
        for at in range(0, len(content), 2**16):
            write(content[at : at + 2**16])


def take(site: Site, component: Component) -> Taken:
    """Dump a component."""
    kept = [take_dump(dump) for dump in component.dumps(site)]
    return Taken(tuple(one.stream for one in kept), {one.stream.name: one.data for one in kept})


@pytest.fixture(scope="module")
def postgres(engine: Engine) -> Iterator[Postgresql]:
    """Give development's PostgreSQL in a project of its own."""
    with alone(engine, "postgres") as site:
        yield Postgresql(site)


def test_whatever_is_in_a_database_is_restored(postgres: Postgresql) -> None:
    """Partitions, sequences, large objects, views, odd names and encodings: loaded elsewhere, all of it is the same."""
    postgres.fresh(EVERYTHING)
    server = postgres.server
    server.ask("CREATE DATABASE empty")
    server.ask("CREATE DATABASE globals")
    server.ask("""CREATE DATABASE "it's = a \\ näme" """)
    server.ask("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    server.ask("CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    server.do(
        'SET client_encoding = UTF8; CREATE TABLE "Größe" AS SELECT \'Öl\' AS "näme";', "latin", what="filling it"
    )
    latin = "CREATE TABLE \"é\" AS SELECT 'è' AS ê".encode("latin-1").hex()
    server.do(f"DO $do$ BEGIN EXECUTE convert_from('\\x{latin}', 'SQL_ASCII'); END $do$;", "bytes", what="filling it")
    taken = take(postgres.site, Postgres())
    assert {one.kind for one in taken.streams} == {"pg_globals", "pg_dump"}
    assert len({one.name for one in taken.streams}) == len(taken.streams) == 7
    facts = {one.facts["database"]: one.facts for one in taken.streams if one.kind == "pg_dump"}
    assert facts["bytes"]["tables"].keys() == {'public."é"'}
    assert facts["latin"]["tables"].keys() == {'public."Größe"'}
    assert (
        facts["cotai"]["tables"]["public.parts_1"]["rows"] + facts["cotai"]["tables"]["public.parts_2"]["rows"] == 200
    )
    assert facts["cotai"]["sequences"]["public.down"] == {"last": 98, "step": -2}
    assert facts["cotai"]["materialized_views"] == {"public.stale": True, "public.empty_view": False}
    assert facts["cotai"]["large_objects"]["rows"] == 2
    assert b"canary-6d2f" not in b"".join(taken.contents.values())
    assert b"SCRAM-SHA-256" not in b"".join(taken.contents.values())
    with Postgres().rehearse(postgres.site, BACKUP, taken.streams, taken.feed) as rehearsal:
        assert rehearsal.differences == ()
        elsewhere = Server(postgres.site.engine, rehearsal.containers[0])
        for name, expected in facts.items():
            found = facts_of(elsewhere, name)
            assert found["create"] == expected["create"]
            assert found["tables"] == expected["tables"]
        assert elsewhere.ask("SELECT lo_get(4242, 49999, 5)", "cotai") == "\\x006c617465"
    assert rehearsal.compared.startswith("6 databases, 11 tables, 718 rows")
    assert not postgres.site.engine.command(
        "container", "ls", "--all", "--quiet", "--filter", f"name={rehearsal.containers[0]}"
    )


def test_what_is_not_the_same_is_found(postgres: Postgresql) -> None:
    """One value, one row, one index, one role that differs is told by its name."""
    postgres.fresh(
        "CREATE TABLE t AS SELECT i, md5(i::text) AS m FROM generate_series(1, 50) AS i; CREATE INDEX ON t (i);"
    )
    taken = take(postgres.site, Postgres())
    with Postgres().rehearse(postgres.site, BACKUP, taken.streams, taken.feed) as rehearsal:
        assert rehearsal.differences == ()
    changed = [one.model_copy(deep=True) for one in taken.streams]
    for stream in changed:
        if stream.kind == "pg_dump":
            stream.facts["tables"]["public.t"]["hash"] = "1"
            stream.facts["tables"]["public.gone"] = {"rows": 3, "hash": "5"}
            stream.facts["objects"]["indexes"] = 2
        else:
            stream.facts["roles"]["gone"] = stream.facts["roles"]["cotai"]
    with Postgres().rehearse(postgres.site, BACKUP, changed, taken.feed) as rehearsal:
        assert [one.where for one in rehearsal.differences] == [
            "role gone",
            "cotai, table public.gone",
            "cotai, table public.t",
            "cotai, number of indexes",
        ]


def test_a_dump_and_its_facts_are_of_one_moment(postgres: Postgresql) -> None:
    """While others insert, update and truncate, what is restored is still exactly what the facts say."""
    postgres.fresh(
        "CREATE TABLE t (i bigserial PRIMARY KEY, m text); CREATE TABLE u (i int);"
        "INSERT INTO t (m) SELECT md5(i::text) FROM generate_series(1, 100000) AS i;"
    )
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            time.sleep(0.1)
            with suppress(EngineError):
                postgres.ask(
                    "INSERT INTO t (m) SELECT 'new' FROM generate_series(1, 500);"
                    "UPDATE t SET m = m || 'x' WHERE i % 97 = 0; TRUNCATE u;"
                    "INSERT INTO u SELECT generate_series(1, 200)"
                )

    writers = [threading.Thread(target=write) for _ in range(2)]
    for one in writers:
        one.start()
    try:
        taken = take(postgres.site, Postgres())
    finally:
        stop.set()
        for one in writers:
            one.join()
    with Postgres().rehearse(postgres.site, BACKUP, taken.streams, taken.feed) as rehearsal:
        assert rehearsal.differences == ()


def test_a_restore_takes_the_live_databases_place_and_can_be_taken_back(postgres: Postgresql) -> None:
    """Staged beside, swapped while a client is connected, reverted, swapped again, and discarded for good."""
    postgres.fresh(EVERYTHING)
    taken, component, site = take(postgres.site, Postgres()), Postgres(), postgres.site
    postgres.ask("DELETE FROM parents; CREATE TABLE newer (i int)")
    assert component.stage(site, BACKUP, taken.streams, taken.feed) == []
    assert component.leftovers(site).staged == {BACKUP}
    assert postgres.rows("parents") == 0
    assert [one.name for one in component.dumps(site)] == ["postgres-globals", "postgres-cotai"]
    sleeping = threading.Thread(target=lambda: _ignore(lambda: postgres.ask("SELECT pg_sleep(60)")))
    sleeping.start()
    component.swap(site, BACKUP)
    sleeping.join(10)
    assert not sleeping.is_alive()
    assert (postgres.rows("parents"), postgres.ask("SELECT to_regclass('newer')")) == (501, "")
    assert component.leftovers(site).replaced == {BACKUP}
    assert postgres.ask("SELECT count(*) FROM pg_stats WHERE tablename = 'parents'") != "0"
    found = {one: facts_of(postgres.server, "cotai")[one] for one in ("create", "tables")}
    assert found == {name: taken.streams[1].facts[name] for name in found}
    component.revert(site, BACKUP)
    assert (postgres.rows("parents"), postgres.ask("SELECT to_regclass('newer')")) == (0, "newer")
    component.revert(site, BACKUP)
    component.unstage(site, BACKUP)
    assert postgres.server.databases() == {"cotai": "open"}
    component.stage(site, BACKUP, taken.streams, taken.feed)
    component.swap(site, BACKUP)
    component.unstage(site, BACKUP)
    component.discard(site, BACKUP)
    assert postgres.server.databases() == {"cotai": "open"}
    assert postgres.rows("parents") == 501


def test_a_database_that_is_gone_comes_back_with_its_roles(postgres: Postgresql) -> None:
    """A dropped database is made again; a dropped role too, but it cannot log in, and is what it was in its groups."""
    postgres.fresh(EVERYTHING)
    taken, component = take(postgres.site, Postgres()), Postgres()
    postgres.server.ask("DROP DATABASE cotai")
    postgres.server.ask("DROP ROLE clerk")
    postgres.server.ask("DROP ROLE auditor")
    assert component.is_empty(postgres.site)
    assert component.stage(postgres.site, BACKUP, taken.streams, taken.feed) == []
    component.swap(postgres.site, BACKUP)
    assert postgres.rows("parents") == 501
    assert not component.is_empty(postgres.site)
    asked = (
        "SELECT rolcanlogin, rolinherit, pg_has_role(oid, 'auditor', 'member') FROM pg_roles WHERE rolname = 'clerk'"
    )
    assert postgres.ask(asked) == "f|f|t"
    assert postgres.ask("SELECT tableowner FROM pg_tables WHERE tablename = 'hot'") == "clerk"


def test_a_client_that_does_not_go_stops_the_swap_and_nothing_else(postgres: Postgresql) -> None:
    """All names stay as they were, and clients may connect again."""
    postgres.fresh()
    postgres.server.ask("CREATE DATABASE another")
    taken, component = take(postgres.site, Postgres()), Postgres()
    postgres.ask("DELETE FROM t")
    component.stage(postgres.site, BACKUP, taken.streams, taken.feed)
    before = postgres.server.databases()
    client = threading.Thread(target=lambda: _ignore(lambda: postgres.ask("SELECT pg_sleep(120)", "another")))
    client.start()
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND datname = 'another'"
    eventually(lambda: postgres.server.ask(sleeping) == "1", "the client")
    pid = _host_pid(postgres, "SELECT pg_sleep")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(BackupError, match="could not be renamed") as caught:
            component.swap(postgres.site, BACKUP)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "being accessed by other users" in caught.value.evidence
    assert postgres.server.databases() == before
    assert set(before.values()) == {"open"}
    assert postgres.rows("t") == 0
    client.join()
    component.swap(postgres.site, BACKUP)
    assert postgres.rows("t") == 1000


def test_tables_in_the_servers_own_database_are_not_left_out_in_silence(postgres: Postgresql) -> None:
    """Nobody dumps it; a view of somebody's, or what an extension brings, is nothing to lose."""
    postgres.fresh()
    postgres.server.do("CREATE VIEW v AS SELECT 1; CREATE EXTENSION pg_prewarm;", what="making what is no table")
    take(postgres.site, Postgres())
    postgres.server.do('CREATE TABLE "My notes" ();', what="making a table")
    try:
        with pytest.raises(BackupError, match=r'database postgres holds tables \(public."My notes"\)'):
            take(postgres.site, Postgres())
    finally:
        postgres.server.do('DROP TABLE "My notes"; DROP VIEW v; DROP EXTENSION pg_prewarm;', what="dropping it")


def test_a_closed_database_is_no_backup(postgres: Postgresql) -> None:
    """What a killed swap left closed is not silently left out; reverting opens it."""
    postgres.fresh()
    taken, component = take(postgres.site, Postgres()), Postgres()
    component.stage(postgres.site, BACKUP, taken.streams, taken.feed)
    postgres.server.ask("ALTER DATABASE cotai ALLOW_CONNECTIONS false")
    with pytest.raises(BackupError, match="takes no connections"):
        component.dumps(postgres.site)
    component.revert(postgres.site, BACKUP)
    component.unstage(postgres.site, BACKUP)
    assert postgres.server.databases() == {"cotai": "open"}


def test_what_ends_half_way_is_no_dump_and_leaves_nothing(postgres: Postgresql) -> None:
    """A dump whose server process dies fails; one that nobody reads any more ends in its container."""
    postgres.fresh("CREATE TABLE t AS SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 100000) AS i;")
    dump = Postgres().dumps(postgres.site)[1]
    ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'cotai' AND backend_type = 'client backend'"
    with dump.open() as source:
        source.read(1000)
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cotai' AND query LIKE 'COPY%'"
        assert postgres.server.ask(kill) == "t"
        with pytest.raises(EngineError, match="pg_dump of cotai failed"):  # noqa: PT012 - wherever it is noticed
            while source.read(2**20):
                pass
            source.finish()
    with dump.open() as source:
        source.read(1000)
        assert postgres.server.ask(ours) == "2"
    eventually(lambda: postgres.server.ask(ours) == "0", "the end of the dump")


def test_a_load_that_fails_leaves_the_live_data(postgres: Postgresql) -> None:
    """Truncated, damaged or interrupted: it raises, and the live database is as it was."""
    postgres.fresh()
    taken, component = take(postgres.site, Postgres()), Postgres()
    for content in (taken.contents["postgres-cotai"][:5000], b"no archive at all"):
        damaged = replace(taken, contents=taken.contents | {"postgres-cotai": content})
        with pytest.raises(EngineError, match="pg_restore of cotai__restore"):
            component.stage(postgres.site, BACKUP, damaged.streams, damaged.feed)
        assert component.leftovers(postgres.site).staged == {BACKUP}
        with (
            pytest.raises(IntegrityError, match="it does not load: pg_restore of cotai"),
            component.rehearse(postgres.site, BACKUP, damaged.streams, damaged.feed),
        ):
            pass

    def interrupted(stream: Stream, write: Callable[[bytes], object]) -> None:
        write(taken.contents[stream.name][:3000])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        component.stage(postgres.site, BACKUP, taken.streams, interrupted)
    component.unstage(postgres.site, BACKUP)
    assert postgres.server.databases() == {"cotai": "open"}
    assert postgres.rows("t") == 1000


def test_a_full_disk_ends_the_restore_and_nothing_else(engine: Engine) -> None:
    """What does not fit beside the live data is refused: its server serves on, and takes it all once there is room."""
    noise = "encode(sha256((i || 'a')::bytea) || sha256((i || 'b')::bytea), 'hex')"
    with alone(engine, "postgres", disk="500m") as site:
        postgres, component = Postgresql(site), Postgres()
        postgres.fresh(f"CREATE TABLE t AS SELECT i, {noise} AS noise FROM generate_series(1, 300000) AS i;")
        taken = take(site, component)
        postgres.server.ask("CHECKPOINT")
        for room in (1, 8, 20, 40):
            fill_disk(site, room * 2**20)
            with pytest.raises(EngineError, match="disk is full"):
                component.stage(site, BACKUP, taken.streams, taken.feed)
            component.unstage(site, BACKUP)
            assert postgres.server.databases() == {"cotai": "open"}
            assert postgres.rows("t") == 300_000
            postgres.ask("CREATE TABLE more AS SELECT 1")
            postgres.ask("DROP TABLE more")
            engine.command("exec", holder(site), "rm", "/volume/filler")
        assert component.stage(site, BACKUP, taken.streams, taken.feed) == []


def test_the_names_of_long_databases_do_not_become_one(postgres: Postgresql) -> None:
    """PostgreSQL cuts a name silently: such a database is restored into scratch alone, and that is said."""
    postgres.fresh()
    postgres.server.ask(f"CREATE DATABASE {'n' * 31}")
    taken = take(postgres.site, Postgres())
    with pytest.raises(BackupError, match="too long"):
        Postgres().stage(postgres.site, BACKUP, taken.streams, taken.feed)
    Postgres().unstage(postgres.site, BACKUP)
    with Postgres().rehearse(postgres.site, BACKUP, taken.streams, taken.feed) as rehearsal:
        assert rehearsal.differences == ()


def test_a_kept_rehearsal_stays_until_it_is_dropped(postgres: Postgresql) -> None:
    """It can be looked at; the next one takes its place, and a failed one does not stay."""
    postgres.fresh()
    taken, engine = take(postgres.site, Postgres()), postgres.site.engine
    for _ in range(2):
        with Postgres().rehearse(postgres.site, BACKUP, taken.streams, taken.feed, keep=True) as rehearsal:
            pass
        assert Server(engine, rehearsal.containers[0]).ask("SELECT count(*) FROM t", "cotai") == "1000"
    volume = json.loads(engine.command("container", "inspect", rehearsal.containers[0]))[0]["Mounts"][0]["Name"]
    assert drop_scratch(postgres.site) == [*rehearsal.containers]
    assert volume not in engine.command("volume", "ls", "--quiet")
    with (
        pytest.raises(KeyboardInterrupt),
        Postgres().rehearse(postgres.site, BACKUP, taken.streams, taken.feed, keep=True),
    ):
        raise KeyboardInterrupt
    assert drop_scratch(postgres.site) == []


def test_a_scratch_container_is_cut_off(postgres: Postgresql) -> None:
    """No network but its own loopback, no capability, a read-only root, and the limits of its service."""
    with pytest.raises(BackupError, match="has ended"), scratch(postgres.site, "postgres", BACKUP, probe=["false"]):
        pass
    with scratch(postgres.site, "postgres", BACKUP, probe=["true"], command=["sleep", "60"]) as name:
        told = json.loads(postgres.site.engine.command("container", "inspect", name))[0]
        host = told["HostConfig"]
        assert (host["NetworkMode"], host["ReadonlyRootfs"], host["CapDrop"]) == ("none", True, ["ALL"])
        assert (host["Memory"], host["PidsLimit"], host["PortBindings"]) == (768 * 2**20, 200, {})
        assert [one["Type"] for one in told["Mounts"]] == ["volume"]
        with pytest.raises(EngineError):
            postgres.site.engine.command("exec", name, "touch", "/usr/x")


def test_a_physical_copy_starts_elsewhere(postgres: Postgresql) -> None:
    """Its files are as its own list says, the server starts from them, and every row can be read."""
    postgres.fresh()
    component = PostgresPhysical()
    taken = take(postgres.site, component)
    facts = taken.streams[0].facts
    assert facts["server_version_num"] // 10_000 == 17
    assert facts["system_identifier"] == facts_of(postgres.server, "cotai")["system_identifier"]
    assert facts["timeline"] == 1
    assert facts["start_lsn"] < facts["end_lsn"]
    with component.rehearse(postgres.site, BACKUP, taken.streams, taken.feed) as rehearsal:
        assert rehearsal.compared == "checksums of all files; 1 database, 1 table, 1,000 rows can be read"
    with pytest.raises(UsageError):
        component.stage(postgres.site, BACKUP, taken.streams, taken.feed)
    content = taken.contents["postgres-physical"]
    at = content.index(b"\x00PostgreSQL") if b"\x00PostgreSQL" in content else len(content) // 2
    damaged = replace(
        taken, contents={"postgres-physical": content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]}
    )
    with (
        pytest.raises(IntegrityError, match="it does not load"),
        component.rehearse(postgres.site, BACKUP, damaged.streams, damaged.feed),
    ):
        pass
    assert drop_scratch(postgres.site) == []


def test_no_command_takes_the_server_down(postgres: Postgresql) -> None:
    """It is its container's first process, and takes an orphan's violent end for a crash of its own: we leave none."""
    for _ in range(20):
        with postgres.server.leashed(["true"], "nothing") as command:
            assert command.read() == b""
            command.finish()
        with postgres.server.leashed(["sleep", "60"], "nothing"):
            pass
    log = [*postgres.site.engine.logs(postgres.site.stack.project, ["postgres"])]
    assert [line for line in log if "terminated by signal" in line] == []


def test_production_lets_its_own_user_in(postgres: Postgresql) -> None:
    """With production's rules for logins and its limits for statements, everything is dumped and loaded just so."""
    engine = postgres.site.engine
    project = f"cotai-test-{uuid.uuid4().hex[:6]}"
    name = engine.command(
        *("run", "--detach", "--pull", "never", "--name", project, "--user", "999:999", "--network", "none"),
        *("--label", f"{PROJECT_LABEL}={project}", "--label", f"{SERVICE_LABEL}=postgres"),
        *("--mount", f"type=bind,source={ROOT}/docker/postgres/pg_hba.conf,target=/etc/cotai/pg_hba.conf,readonly"),
        *(
            "--env",
            "POSTGRES_PASSWORD=canary",
            "--env",
            "POSTGRES_INITDB_ARGS=--auth-local=peer --auth-host=scram-sha-256",
        ),
        postgres.site.stack.services["postgres"].image,
        *("postgres", "-c", "hba_file=/etc/cotai/pg_hba.conf", "-c", "statement_timeout=1s", "-c", "max_wal_senders=5"),
        *("-c", "idle_in_transaction_session_timeout=1s", "-c", "password_encryption=scram-sha-256"),
    ).strip()
    try:
        server = Server(engine, name)
        eventually(lambda: _succeeds(lambda: engine.command("exec", name, *ANSWERS)), "the start")
        stack = replace(postgres.site.stack, project=replace(postgres.site.stack.project, name=project))
        site = Site(stack, postgres.site.settings, engine)
        server.ask("CREATE DATABASE cotai")
        server.do("CREATE TABLE t AS SELECT i FROM generate_series(1, 100000) AS i;", "cotai", what="filling it")
        dump = Postgres().dumps(site)[1]
        with dump.open() as source:
            source.read(100)
            time.sleep(2)
            while source.read(2**20):
                pass
            assert source.finish()["tables"] == {"public.t": facts_of(server, "cotai")["tables"]["public.t"]}
        taken = take(site, Postgres())
        assert Postgres().stage(site, BACKUP, taken.streams, taken.feed) == []
        Postgres().swap(site, BACKUP)
        assert take(site, PostgresPhysical()).streams[0].kind == "pg_basebackup"
    finally:
        engine.command("container", "rm", "--force", "--volumes", name)


def _succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except EngineError:
        return False
    return True


def _ignore(call: Callable[[], object]) -> None:
    with suppress(EngineError):
        call()


def _host_pid(postgres: Postgresql, query: str) -> int:
    """Give the process of a session as the host knows it; both count the container's namespace from the inside out."""
    inner = postgres.server.ask(f"SELECT pid FROM pg_stat_activity WHERE query LIKE '{query}%' AND datname = 'another'")
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(FileNotFoundError, ProcessLookupError):
            text = status.read_text()
            ids = next((line.split()[1:] for line in text.splitlines() if line.startswith("NSpid:")), [])
            if len(ids) > 1 and ids[-1] == inner and text.startswith("Name:\tpostgres"):
                return int(ids[0])
    pytest.fail("no such process")
