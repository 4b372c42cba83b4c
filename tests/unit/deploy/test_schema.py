"""What a migration takes away is known before it runs, and no rollback leads behind it."""

from __future__ import annotations

import pytest

from cotai_tasks.deploy.schema import destructive, require_additive, require_way_back, upcoming
from cotai_tasks.errors import EngineError, RefusedError
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.deploy.stacks import service, stack
from tests.unit.deploy.test_release import release

ADDS = """
BEGIN;
-- DROP TABLE in a note is none
CREATE TABLE tenders (id UUID NOT NULL, name TEXT);
ALTER TABLE tenders ADD COLUMN reason TEXT;
ALTER TABLE tenders ALTER COLUMN name DROP NOT NULL;
DROP INDEX old_index;
UPDATE alembic_version SET version_num='2' WHERE alembic_version.version_num = '1';
DELETE FROM alembic_version WHERE version_num = '1';
COMMIT;
"""
TAKES = [
    "ALTER TABLE tenders DROP COLUMN reason",
    "DROP TABLE tenders",
    "ALTER TABLE tenders RENAME COLUMN reason TO why",
    "ALTER TABLE tenders RENAME TO offers",
    "ALTER TABLE tenders ALTER COLUMN name TYPE INTEGER",
    "ALTER TABLE tenders ALTER COLUMN name SET DATA TYPE INTEGER",
    "ALTER TABLE tenders ALTER COLUMN name SET NOT NULL",
    "TRUNCATE tenders",
    "delete from tenders",
]
STACK = stack(service("migrate"))


def test_what_takes_away_is_told_from_what_adds() -> None:
    """As the release that still serves would see it; whatever else a migration holds is fine."""
    assert destructive(ADDS) == []
    assert destructive(";\n".join([ADDS, *TAKES])) == TAKES


def test_the_migration_is_asked_from_where_the_schema_stands() -> None:
    """In the new image, offline; what cannot be asked is said to be unknown."""
    engine, console = FakeEngine(answers={"execute": ["0001"], "run": ["DROP TABLE tenders;"]}), RecordingConsole()
    assert upcoming(STACK, "alembic -c own.ini upgrade head", engine, console) == ["DROP TABLE tenders"]
    assert engine.calls[-1][-1] == "alembic -c own.ini upgrade 0001:head --sql 2>/dev/null"
    assert upcoming(STACK, "", engine, console) == []
    assert console.text() == ""
    assert upcoming(STACK, "python manage.py migrate", engine, console) == []
    assert "'python manage.py migrate' does to the schema is not known" in console.text()
    broken = FakeEngine(errors={"run": EngineError("no such revision")})
    assert upcoming(STACK, "alembic upgrade nowhere", broken, console) == []
    assert "'alembic upgrade nowhere' does to the schema is not known" in console.text()


def test_nothing_is_taken_away_by_accident() -> None:
    """Only where somebody says so."""
    require_additive([], allowed=False)
    require_additive(TAKES, allowed=True)
    with pytest.raises(RefusedError) as refused:
        require_additive(TAKES, allowed=False)
    assert refused.value.evidence.splitlines() == TAKES


def test_no_rollback_leads_behind_what_was_taken_away() -> None:
    """Where that release served; one that is newer, and one that came to nothing, are no hindrance."""
    taker = release(2, taken_away=("DROP TABLE tenders",), outcome="replaced")
    for fine in (release(3), taker):
        require_way_back(fine, [release(3, outcome="live"), taker, release(1)])
    require_way_back(release(1), [release(2, taken_away=("DROP TABLE tenders",), outcome="failed")])
    with pytest.raises(RefusedError, match=r"took away what release .*01Z.* DROP TABLE tenders") as refused:
        require_way_back(release(1), [release(3, outcome="live"), taker, release(1)])
    assert "the data of before 2026-01-02 03:04 UTC" in refused.value.cure
    with pytest.raises(RefusedError) as refused:
        require_way_back(release(1), [taker.model_copy(update={"backup": "20260102T0304"})])
    assert "the data of backup 20260102T0304" in refused.value.cure
