"""The checks of databases and backups, on the development stack as it is, and then broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cotai_tasks import backup
from cotai_tasks.settings import load_settings
from cotai_tasks.validate.catalogue import catalogue
from cotai_tasks.validate.check import State
from cotai_tasks.validate.run import try_one
from cotai_tasks.validate.subject import Subject
from tests.stack.conftest import REPOSITORY, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.engine import Engine
    from cotai_tasks.validate.check import Outcome
    from tests.stack.conftest import Development

pytestmark = pytest.mark.stack

BROKEN = {
    "DB-01": "PostgreSQL has a hundredth of a processor",
    "DB-02": "the application's role may only read",
    "DB-03": "the database is at another revision",
    "DB-04": "MongoDB has a hundredth of a processor",
    "DB-06": "the cache is stopped",
    "DB-07": "Redis asks for no password",
    "BAK-01": "a bit of a stored stream is flipped",
    "BAK-02": "a bit of a stored stream is flipped",
    "BAK-03": "a restore takes whatever it finds",
}


BUSY = "/tmp/busy"
"""While it is there, something in the container takes all the time that it gets."""


def subject(stack: Development, engine: Engine) -> Subject:
    """Give what checks look at; it was started by the test, which may break it."""
    project = stack.environ["INVOKE_COTAI_PROJECT"]
    settings = load_settings(REPOSITORY, "dev", environ=stack.environ, project=project)
    return Subject(settings, engine, started_after=1.0)


def tried(name: str, subject: Subject) -> Outcome:
    """Try one check."""
    return try_one(next(one for one in catalogue() if one.id == name), subject).outcome


def fails(outcome: Outcome) -> bool:
    """Tell whether an outcome forbids to go live."""
    return outcome.state in {State.FAIL, State.ERROR}


def sql(stack: Development, statement: str) -> None:
    stack.docker("exec", stack.container("postgres"), "psql", "-U", "postgres", "-d", "cotai", "-c", statement)


def test_a_role_that_may_only_read(running: Development, engine: Engine) -> None:
    """DB-02 passes, fails while nothing can be written, and passes again."""
    assert tried("DB-02", subject(running, engine)).state == State.PASS
    sql(running, "ALTER ROLE cotai SET default_transaction_read_only = on")
    try:
        assert fails(tried("DB-02", subject(running, engine)))
    finally:
        sql(running, "ALTER ROLE cotai RESET default_transaction_read_only")


def test_another_revision(running: Development, engine: Engine) -> None:
    """DB-03 tells both revisions."""
    assert tried("DB-03", subject(running, engine)).state == State.PASS
    sql(running, "UPDATE alembic_version SET version_num = '0000'")
    try:
        outcome = tried("DB-03", subject(running, engine))
    finally:
        sql(running, "UPDATE alembic_version SET version_num = '0001'")
    assert (outcome.state, "0000" in outcome.figure) == (State.FAIL, True)


@pytest.mark.parametrize(("name", "service"), [("DB-01", "postgres"), ("DB-04", "mongodb")])
def test_a_database_without_a_processor(running: Development, engine: Engine, name: str, service: str) -> None:
    """DB-01, DB-04: what is far too slow fails, or comes to no end.

    The hundredth of a processor that the engine leaves at least is still twenty reads at a time: something in there
    takes it first.
    """
    container = running.container(service)
    before = running.docker("inspect", "--format", "{{.HostConfig.NanoCpus}}", container)
    running.docker("exec", container, "touch", BUSY)
    running.docker("exec", "--detach", container, "sh", "-c", f"while [ -e {BUSY} ]; do :; done")
    running.docker("update", "--cpus", "0.01", container)
    try:
        assert fails(tried(name, subject(running, engine)))
    finally:
        running.docker("update", "--cpus", str(int(before) / 1e9), container)
        running.docker("exec", container, "rm", BUSY)
    eventually(lambda: running.status()[service]["state"] == "healthy", f"{service} is well again")


def test_a_cache_that_is_gone(running: Development, engine: Engine) -> None:
    """DB-06 looks at both servers."""
    running.docker("stop", running.container("redis-cache"))
    try:
        assert tried("DB-06", subject(running, engine)).state == State.FAIL
    finally:
        running.docker("start", running.container("redis-cache"))
    eventually(lambda: running.status()["redis-cache"]["state"] == "healthy", "the cache is well again")


def test_a_server_without_a_password(running: Development, engine: Engine) -> None:
    """DB-07: whoever comes is let in."""
    assert tried("DB-07", subject(running, engine)).state == State.PASS
    user = 'redis-cli -a "$REDIS_PASSWORD" --no-auth-warning ACL SETUSER default'
    cache = running.container("redis-cache")
    assert running.docker("exec", cache, "sh", "-c", f"{user} nopass") == "OK"
    try:
        outcome = tried("DB-07", subject(running, engine))
    finally:
        running.docker("exec", cache, "sh", "-c", f'{user} resetpass ">$REDIS_PASSWORD"')
    assert outcome.state == State.FAIL
    assert any("no login at cache" in line for line in outcome.evidence)


def test_a_damaged_backup(running: Development, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """BAK-01 to BAK-03 pass on what was just made; with a bit flipped, or a restore that does not look, they fail."""
    own = subject(running, engine)
    assert [tried(name, own).state for name in ("BAK-01", "BAK-02", "BAK-03")] == [State.PASS] * 3
    with monkeypatch.context() as careless:
        careless.setattr(backup, "restore_backup", lambda **_: None, raising=False)
        assert tried("BAK-03", own).evidence == ("a backup with flipped bits was restored over live data",)
    stream = max(own.scratch.rglob("*.age"), key=lambda path: path.stat().st_size)
    damage(stream)
    own._kept.pop("drill")  # noqa: SLF001 - it was whole when it was tried
    assert [tried(name, own).state for name in ("BAK-01", "BAK-02")] == [State.FAIL] * 2


def damage(path: Path) -> None:
    """Flip one bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
