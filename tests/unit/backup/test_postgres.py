"""What PostgreSQL's components decide: what is dumped, what fits, which roles are made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.backup.components.base import Leftovers, Site
from cotai_tasks.backup.components.postgres import Postgres
from cotai_tasks.backup.components.postgres_dump import dump_roles, read_settings, stream_name, write_settings
from cotai_tasks.backup.components.postgres_physical import PostgresPhysical, moment
from cotai_tasks.backup.components.postgres_roles import missing_roles, read_roles, role_differences
from cotai_tasks.backup.components.postgres_server import Server, conninfo, identifier, literal, text
from cotai_tasks.backup.manifest import Stream
from cotai_tasks.errors import BackupError, EngineError, UsageError
from cotai_tasks.testing import FakeEngine, container
from tests.unit.deploy.stacks import service, settings, stack

if TYPE_CHECKING:
    from cotai_tasks.backup.components.base import Component

ID = "20261123T073840Z-0a1b2c"
STAGED = "cotai__restore_20261123T073840Z_0a1b2c"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def site(*answers: str, runs: bool = True, has: bool = True) -> Site:
    engine = FakeEngine(
        found_containers=[container("postgres")] if runs else [], answers={"exec": [*answers]} if answers else {}
    )
    services = [
        service("postgres"),
        service("backend", depends_on=frozenset({"postgres", "redis"})),
        service("nginx", depends_on=frozenset({"backend"})),
    ]
    return Site(stack(*services[0 if has else 1 :], variables={"POSTGRES_FORMAT": "postgresql-17"}), settings(), engine)


def stream(kind: str = "pg_dump", **facts: Any) -> Stream:  # noqa: ANN401 - any fact
    return Stream(
        component="postgres",
        name="postgres-cotai",
        kind=kind,
        started_at=NOW,
        ended_at=NOW,
        plain_bytes=1,
        plain_sha256="",
        objects=(),
        facts={"server_version_num": 170_012, **facts},
    )


@pytest.mark.parametrize(
    ("database", "name"),
    [
        ("cotai", "postgres-cotai"),
        ("a.b_c-D", "postgres-a.b_c-D"),
        ("globals", "postgres-globals-274f2e9a"),
        ("physical", "postgres-physical-4b60d190"),
        ("ä/../b", "postgres-__.._b-348f933f"),
    ],
)
def test_every_database_has_a_stream_of_its_own(database: str, name: str) -> None:
    """Whatever is in its name, its objects lie beside the others, and are nobody else's."""
    assert stream_name(database) == name


def test_names_that_differ_have_streams_that_differ() -> None:
    """Even where the letters that a key may hold are the same."""
    assert len({stream_name(one) for one in ("ä", "ö", "_", "globals", "Globals")}) == 5


def test_what_is_dumped() -> None:
    """The roles and each database; not what a restore left, nor what was half dropped."""
    at = site(json.dumps({"cotai": "open", "half": "broken", STAGED: "open", "postgres": "open", "x": "open"}))
    assert [(one.name, one.kind) for one in Postgres().dumps(at)] == [
        ("postgres-globals", "pg_globals"),
        ("postgres-cotai", "pg_dump"),
        ("postgres-x", "pg_dump"),
    ]
    assert [one.name for one in PostgresPhysical().dumps(at)] == ["postgres-physical"]


@pytest.mark.parametrize(
    ("state", "fault"),
    [({"cotai": "closed"}, "takes no connections"), ({"b\ufffd": "open"}, "no UTF-8")],
)
def test_a_database_that_cannot_be_dumped_is_not_left_out(state: dict[str, str], fault: str) -> None:
    """A backup without it would be one that does not restore."""
    with pytest.raises(BackupError, match=fault):
        Postgres().dumps(site(json.dumps(state)))


@pytest.mark.parametrize("component", [Postgres(), PostgresPhysical()])
def test_a_server_that_does_not_run_fails_the_backup(component: Component) -> None:
    """A stack that has none has nothing of it; one whose server is down must not seem to have none."""
    with pytest.raises(BackupError, match="postgres is not running in cotai-dev") as caught:
        component.dumps(site(runs=False))
    assert caught.value.cure == "Start it: inv deploy.dev."
    none = site(runs=False, has=False)
    assert component.dumps(none) == []
    assert component.is_empty(none)
    assert component.leftovers(none) == Leftovers()
    component.revert(none, ID)
    component.unstage(none, ID)
    component.discard(none, ID)
    assert [one.fault for one in component.unfit(none, [stream()])] == ["cotai-dev has no postgres"]


@pytest.mark.parametrize(("version", "logical", "physical"), [(160_001, 0, 1), (170_099, 0, 0), (180_001, 1, 1)])
def test_versions(version: int, logical: int, physical: int) -> None:
    """A dump can be loaded by its own version and later ones, a copy of files by its own alone."""
    streams = [stream(server_version_num=version)]
    assert len(Postgres().unfit(site("plpgsql"), streams)) == logical
    assert len(PostgresPhysical().unfit(site(), streams)) == physical


def test_an_extension_that_is_not_there_is_found_before_anything_is_touched() -> None:
    """By its name; a server that does not run cannot be asked, and is not needed to look at a backup."""
    streams = [stream("pg_globals"), stream(extensions={"plpgsql": "1", "postgis": "3"})]
    assert [one.fault for one in Postgres().unfit(site("plpgsql,hstore"), streams)] == [
        "extension postgis is not in the image"
    ]
    assert Postgres().unfit(site(runs=False), streams) == []


def test_those_that_use_the_databases() -> None:
    """Whoever waits for the server when it starts; a copy of files replaces nothing, and stops nobody."""
    assert Postgres().users(site(), []) == {"backend"}
    assert PostgresPhysical().users(site(), []) == frozenset()


def test_leftovers_are_read_off_the_names() -> None:
    """Staged and replaced ones by their backups; of a server that is down nothing is known."""
    names = {STAGED: "open", "cotai": "open", "b__before_20251123T073840Z_0a1b2c": "closed"}
    assert Postgres().leftovers(site(json.dumps(names))) == Leftovers(
        staged=frozenset({ID}), replaced=frozenset({"20251123T073840Z-0a1b2c"})
    )
    assert Postgres().leftovers(site(runs=False)) == Leftovers()


def test_a_copy_of_files_replaces_nothing() -> None:
    """It says what does."""
    with pytest.raises(UsageError, match="replaces nothing") as caught:
        PostgresPhysical().stage(site(), ID, [stream()], lambda *_: None)
    assert caught.value.cure.startswith("--only postgres")


def test_where_a_copy_begins_and_ends() -> None:
    """As pg_basebackup says it, amid whatever else it says."""
    said = """pg_basebackup: initiating base backup, waiting for checkpoint to complete
pg_basebackup: write-ahead log start point: 0/2000028 on timeline 3
WARNING:  skipping special file
pg_basebackup: write-ahead log end point: 0/2000158
pg_basebackup: base backup completed"""
    assert moment(said) == {"start_lsn": "0/2000028", "end_lsn": "0/2000158", "timeline": 3}
    with pytest.raises(BackupError):
        moment(said.partition("WARNING")[0])


ROLES = {
    "app": {"attributes": "LOGIN INHERIT", "settings": [], "member_of": {"own'ers": "ADMIN false, INHERIT true"}},
    "own'ers": {"attributes": "SUPERUSER NOINHERIT", "settings": [], "member_of": {"pg_monitor": "SET true"}},
    "clerk": {"attributes": "LOGIN INHERIT", "settings": [], "member_of": {"app": "SET true"}},
}


def test_missing_roles_cannot_log_in() -> None:
    """Nor are they superusers; they are what they were in their groups. Those that are there stay as they are."""
    assert missing_roles(ROLES, ["app", "clerk", "postgres"]) == [
        'CREATE ROLE "own\'ers" NOLOGIN NOINHERIT',
        'GRANT "own\'ers" TO "app" WITH ADMIN false, INHERIT true',
        'GRANT "pg_monitor" TO "own\'ers" WITH SET true',
    ]
    assert missing_roles(ROLES, ROLES) == []


def test_of_a_roles_settings_only_the_names_are_asked() -> None:
    """ALTER ROLE … SET may hold a secret as well."""
    engine = FakeEngine(answers={"exec": [json.dumps(ROLES)]})
    assert read_roles(Server(engine, "postgres-1")) == ROLES
    asked = engine.calls[0][-1]
    assert "split_part(setting, '=', 1) FROM unnest(rolconfig)" in asked
    assert asked.count("rolconfig") == 1


def test_roles_are_compared() -> None:
    """One that is missing, one too many, one that may more."""
    more = ROLES | {"app": ROLES["app"] | {"attributes": "SUPERUSER"}, "new": ROLES["app"]}
    found = {name: one for name, one in more.items() if name != "clerk"}
    assert [one.where for one in role_differences(ROLES, found)] == ["role app", "role clerk", "role new"]
    assert [*role_differences(ROLES, ROLES)] == []


def test_the_settings_of_databases_come_back_from_the_dump_of_the_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand in a remark on its last line, whatever is in a value, and nowhere in the facts."""
    settings = {"cotai": ["ALTER DATABASE :\"database\" SET app.key TO 'canary\n-- settings of the databases: {}'"]}
    dumped = b"CREATE ROLE cotai;\n" + write_settings(settings)
    assert read_settings(dumped) == settings
    assert [line[:2] for line in dumped.splitlines()] == [b"CR", b"", b"--"]
    engine = FakeEngine(streams={"exec": b"CREATE ROLE cotai;\n"})
    answer = {"server_version_num": 170012, "roles": ROLES, "settings": settings, "tables": []}
    monkeypatch.setattr(Server, "ask", lambda *_: json.dumps(answer))
    with dump_roles(Server(engine, "postgres-1")) as dump:
        told = b"".join(iter(lambda: dump.read(7), b""))
        assert read_settings(told) == settings
        assert dump.finish() == {"server_version_num": 170012, "roles": ROLES}


def test_names_are_quoted_for_whoever_reads_them() -> None:
    """The library that connects, SQL, and us."""
    assert conninfo(r"it's \ x=y", "me") == r"--dbname=dbname='it\'s \\ x=y' application_name=me"
    assert identifier('a"b') == '"a""b"'
    assert literal("it's") == "'it''s'"
    assert text("ä".encode()) == "ä"
    assert text(b"\xe4") == "ä"


@pytest.mark.parametrize(
    ("statement", "patience"), [("\n  SELECT 1", "120"), ("SHOW x", "120"), ('DROP DATABASE "a"', "21600")]
)
def test_no_question_waits_for_ever(statement: str, patience: str) -> None:
    """A server that is stopped takes a connection and says nothing: psql is ended in its container."""
    engine = FakeEngine()
    Server(engine, "there").ask(statement)
    (call,) = engine.calls
    at = call.index("there")
    assert call[at + 1 : at + 6] == ("timeout", "--verbose", "--kill-after=10", patience, "psql")
    assert "PGCONNECT_TIMEOUT=30" in call[:at]


@pytest.mark.parametrize(
    "said",
    [
        "timeout: sending signal TERM to command 'psql'",
        'psql: error: connection to server on socket "/run/x" failed: timeout expired',
    ],
)
def test_a_silent_server_is_told_as_that(said: str) -> None:
    """What else psql says stays what it is."""
    with pytest.raises(BackupError, match="postgres does not answer"):
        Server(FakeEngine(errors={"exec": EngineError("no", evidence=said)}), "there").ask("SELECT 1")
    with pytest.raises(EngineError, match="syntax"):
        Server(FakeEngine(errors={"exec": EngineError("syntax", evidence="syntax")}), "there").ask("SELECT 1")
