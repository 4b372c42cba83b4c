"""`db.migrate`: the application's own command, run once and told about."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.db import migrate as module
from cotai_tasks.db.migrate import Migration, migrate, summary
from cotai_tasks.errors import DatabaseError, EngineError
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Project
    from cotai_tasks.stack import Stack

RENDERED = {
    "services": {
        "postgres": {"image": "postgres:1"},
        "migrate": {"image": "app:1", "restart": "no", "depends_on": {"postgres": {}}},
    }
}
RUN = ("run", "--rm", "--no-deps", "-T", "migrate")


class Database(FakeEngine):
    """An engine whose PostgreSQL is at one revision after the other."""

    revisions: Sequence[str] = ()

    def execute(self, project: Project, service: str, command: Sequence[str]) -> str:
        """Give the revision, and go on to the next."""
        self.calls.append(("revision of", project.name, service, command[-2]))
        first, *self.revisions = self.revisions
        return f"{first}\n"


@pytest.fixture(autouse=True)
def locks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down for what the stack was locked."""
    purposes: list[str] = []

    @contextmanager
    def lock(_: Stack, __: Engine, purpose: str) -> Iterator[None]:
        purposes.append(purpose)
        yield

    monkeypatch.setattr(module, "stack_lock", lock)
    return purposes


def database(*revisions: str, **fields: Any) -> Database:  # noqa: ANN401 - any field of the engine
    engine = Database(rendered=RENDERED, found_containers=[container("postgres")], **fields)
    engine.revisions = revisions
    return engine


def run(engine: FakeEngine, *, command: str = "alembic upgrade head", dry_run: bool = False) -> tuple[object, str]:
    console = RecordingConsole()
    given = settings(MIGRATE_COMMAND=command)
    result = migrate(dry_run=dry_run, settings=given, engine=engine, console=console)
    return result, console.text()


def test_a_migration_streams_and_tells_the_revisions(locks: list[str]) -> None:
    """What the command prints is seen as it comes; the end says from where to where."""
    engine = database("", "0002", answers={"run": ["upgrading [1]", "done"]})
    assert run(engine) == (Migration("", "0002"), "upgrading [1]\ndone\n✓ migrated from revision none to 0002\n")
    revision = ("revision of", "cotai-dev", "postgres", "postgres")
    assert engine.calls == [revision, RUN, revision]
    assert locks == ["db.migrate"]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("0001", "0002", "migrated from revision 0001 to 0002"),
        ("", "0001", "migrated from revision none to 0001"),
        ("0002", "0002", "nothing to do: the schema is at revision 0002"),
        ("", "", "migrated"),
    ],
)
def test_the_outcome_in_one_line(before: str, after: str, text: str) -> None:
    """A second run says that there was nothing to do; an application without Alembic has no revisions."""
    assert summary(Migration(before, after)) == text


def test_no_command_is_nothing_to_do(locks: list[str]) -> None:
    """An application without migrations needs no database."""
    engine = FakeEngine()
    result = run(engine, command="")
    assert result == (None, "no migration command: nothing to do (MIGRATE_COMMAND is empty)\n")
    assert (engine.calls, locks) == ([], [])


def test_a_dry_run_says_what_would_run(locks: list[str]) -> None:
    """And runs nothing."""
    engine = database()
    assert run(engine, dry_run=True) == (None, "would run in cotai-dev: alembic upgrade head\n")
    assert (engine.calls, locks) == ([], [])


def test_a_stopped_database_is_told_before_anything_runs(locks: list[str]) -> None:
    """The migration's own dependencies are looked at."""
    engine = FakeEngine(rendered=RENDERED)
    with pytest.raises(DatabaseError, match="not running in cotai-dev: postgres"):
        run(engine)
    assert (engine.calls, locks) == ([], [])


def test_a_failed_migration_shows_its_last_lines() -> None:
    """A database error with the words of the command."""
    failure = EngineError("docker run failed: boom", evidence="Traceback\nboom")
    with pytest.raises(DatabaseError) as caught:
        run(database("0001", errors={"run": failure}))
    assert (str(caught.value), caught.value.evidence) == ("the migration failed", "Traceback\nboom")


def test_trouble_with_docker_stays_trouble_with_docker() -> None:
    """An engine that goes away is no fault of the migration."""
    with pytest.raises(EngineError, match="no Docker Engine answers"):
        run(database("0001", errors={"run": EngineError("no Docker Engine answers")}))
