"""What Prometheus learns of backups: each value where it belongs, and never a backup that fails for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cotai_tasks.backup.manifest import Manifest, StoredObject, Stream
from cotai_tasks.backup.metrics import METRICS, parse, record_backup, record_drill, record_failure, render
from cotai_tasks.errors import EngineError
from cotai_tasks.facts import Project
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.deploy.stacks import settings, stack

THEN = datetime(2026, 11, 23, 2, 43, tzinfo=UTC)
STACK = stack(project=Project("cotai-prod", settings().home, (), (), settings().home, frozenset()))
PRODUCTION = settings().model_copy(update={"environment": "prod"})


def manifest() -> Manifest:
    stream = Stream(
        component="redis",
        name="redis",
        kind="rdb",
        started_at=THEN,
        ended_at=THEN,
        plain_bytes=5000,
        plain_sha256="",
        objects=(StoredObject(key="a", bytes=1000, sha256=""), StoredObject(key="b", bytes=234, sha256="")),
    )
    return Manifest(
        id="x", stack="cotai-prod", tool="0", started_at=THEN, ended_at=THEN, encrypted=False, streams=(stream,)
    )


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    monkeypatch.setattr("time.time", lambda: 1700000000.5)
    return FakeEngine()


def written(engine: FakeEngine) -> str:
    return engine.folders["metrics"]["backup.prom"].decode()


def test_how_it_is_written() -> None:
    """Each metric with its explanation and its kind, by stack; what is not known is left out."""
    assert render("cotai-prod", {"cotai_backup_size_bytes": 1234.0}) == (
        "# HELP cotai_backup_size_bytes How large it is in its store.\n"
        "# TYPE cotai_backup_size_bytes gauge\n"
        'cotai_backup_size_bytes{stack="cotai-prod"} 1234.000\n'
    )


def test_what_is_written_is_read_back() -> None:
    """Every metric; of somebody else's text, or a damaged one, nothing."""
    values = {name: 1.5 + count for count, name in enumerate(METRICS)}
    assert parse(render("cotai-prod", values)) == values
    assert parse('cotai_backup_size_bytes{stack="cotai-prod"} 1.2.3\nother{stack="cotai-prod"} 1\n') == {}


def test_a_backup_is_recorded(engine: FakeEngine) -> None:
    """When, how long, how large."""
    record_backup(STACK, PRODUCTION, engine, RecordingConsole(), manifest=manifest(), seconds=12.5)
    assert parse(written(engine)) == {
        "cotai_backup_last_success_timestamp_seconds": 1700000000.5,
        "cotai_backup_duration_seconds": 12.5,
        "cotai_backup_size_bytes": 1234.0,
    }


def test_nothing_that_was_known_is_forgotten(engine: FakeEngine) -> None:
    """A failure and a drill add to what is there; files of others in the folder stay."""
    engine.folders["metrics"] = {"others.prom": b"up 1\n"}
    record_backup(STACK, PRODUCTION, engine, RecordingConsole(), manifest=manifest(), seconds=12.5)
    record_failure(STACK, PRODUCTION, engine, RecordingConsole())
    record_drill(STACK, PRODUCTION, engine, RecordingConsole(), seconds=60.0)
    assert set(parse(written(engine))) == set(METRICS)
    assert engine.folders["metrics"]["others.prom"] == b"up 1\n"


def test_development_has_none(engine: FakeEngine) -> None:
    """Nobody would read it there."""
    record_failure(STACK, settings(), engine, RecordingConsole())
    assert engine.folders == {}


def test_an_engine_that_refuses_costs_a_warning(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was backed up stays backed up."""

    def refuse(*_: object) -> bytes:
        raise EngineError("files get failed")

    monkeypatch.setattr(engine, "help", refuse)
    console = RecordingConsole()
    record_failure(STACK, PRODUCTION, engine, console)
    assert console.text() == "! Prometheus does not learn of it: files get failed\n"
