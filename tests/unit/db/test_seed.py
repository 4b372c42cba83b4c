"""`db.seed`: the application's own command, asked for before production gets it."""

from __future__ import annotations

from typing import Any

import pytest

from cotai_tasks.db import seed as module
from cotai_tasks.db.seed import seed
from cotai_tasks.errors import CotaiError, DatabaseError, EngineError, RefusedError, UsageError
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings

RENDERED = {"services": {"backend": {"image": "b", "depends_on": ["postgres", "migrate"]}, "postgres": {"image": "p"}}}
RUN = ("run", "--rm", "--no-deps", "-T", "backend", "sh", "-c")


@pytest.fixture(autouse=True)
def _unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    monkeypatch.setattr(module, "stack_lock", lambda *_: nullcontext())


def engine(**changes: Any) -> FakeEngine:  # noqa: ANN401 - any field of the engine
    running = [container("postgres"), container("postgres", project="cotai-prod")]
    return FakeEngine(rendered=RENDERED, host={"NCPU": 2, "MemTotal": 2**34}, **{"found_containers": running} | changes)


def refused(wanted: type[CotaiError], told: FakeEngine, **options: Any) -> CotaiError:  # noqa: ANN401
    given: dict[str, Any] = {"settings": settings(), "console": RecordingConsole()} | options
    with pytest.raises(wanted) as caught:
        seed(engine=told, **given)
    return caught.value


def test_the_applications_own_command_is_run() -> None:
    """In a container of the backend's, with the number as its last argument, its words shown."""
    told, console = engine(answers={"run": ["7 tenders: 7 new"]}), RecordingConsole()
    assert seed(count=7, settings=settings(), engine=told, console=console)
    assert told.calls == [(*RUN, 'python -m app.seed "$@"', "backend", "7")]
    assert console.text() == "7 tenders: 7 new\n✓ python -m app.seed 7 has ended well\n"


def test_an_application_without_a_command_has_nothing_to_seed() -> None:
    """Nothing is asked of the engine."""
    told, console = engine(), RecordingConsole()
    assert not seed(settings=settings(SEED_COMMAND=""), engine=told, console=console)
    assert told.calls == []
    assert "SEED_COMMAND is empty" in console.text()


def test_a_dry_run_runs_nothing() -> None:
    """It says what, and where."""
    told, console = engine(), RecordingConsole()
    seed(count=3, dry_run=True, settings=settings(), engine=told, console=console)
    assert told.calls == []
    assert console.text() == "would run in cotai-dev: python -m app.seed 3\n"


@pytest.mark.parametrize("count", [0, -1, 100_001])
def test_a_number_that_makes_no_sense_is_refused(count: int) -> None:
    """Before anything else."""
    assert str(refused(UsageError, engine(), count=count)) == f"--count {count}: must be from 1 to 100000"


def test_a_stopped_database_is_named() -> None:
    """The migration, which has ended, is no database."""
    error = refused(DatabaseError, engine(found_containers=[]))
    assert str(error) == "not running in cotai-dev: postgres"


def test_production_asks_first() -> None:
    """Examples among real data are hard to get out again."""
    production = settings().model_copy(update={"environment": "prod"})
    told = engine()
    error = refused(RefusedError, told, settings=production)
    assert "Put 20 examples among the real data of cotai-prod?" in str(error)
    assert told.calls == []
    assert seed(yes=True, settings=production, engine=told, console=RecordingConsole())


def test_a_command_that_fails_shows_its_last_words() -> None:
    """Exit code 11."""
    error = refused(DatabaseError, engine(errors={"run": EngineError("x", evidence="Traceback\nKeyError: 'a'")}))
    assert (str(error), error.evidence, error.code) == ("the seed command failed", "Traceback\nKeyError: 'a'", 11)


def test_trouble_with_docker_stays_that() -> None:
    """An engine that went away is not the command's fault."""
    refused(EngineError, engine(errors={"run": EngineError("gone")}))
