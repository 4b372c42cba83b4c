"""What the checks of backups decide."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cotai_tasks.backup.catalogue import Entry
from cotai_tasks.backup.retention import Decision
from cotai_tasks.validate.check import SkipCheck, State
from cotai_tasks.validate.groups.backups import judge_files, judge_loss, judge_refusal, judge_retention
from tests.unit.backup.catalogues import NOW, backup_id, manifest

AGE = b"age-encryption.org/v1"


@pytest.mark.parametrize(
    ("refusal", "rows", "evidence"),
    [
        ("backup 1 is damaged", 1000, ()),
        ("", 1000, ("a backup with flipped bits was restored over live data",)),
        ("backup 1 is damaged", 0, ("0 of 1,000 rows are left",)),
        ("", 0, ("a backup with flipped bits was restored over live data", "0 of 1,000 rows are left")),
    ],
)
def test_a_damaged_backup(refusal: str, rows: int, evidence: tuple[str, ...]) -> None:
    """BAK-03: both are wanted, the refusal and the rows."""
    outcome = judge_refusal(refusal, rows)
    assert (outcome.state, outcome.evidence) == (State.FAIL if evidence else State.PASS, evidence)


def test_stored_files() -> None:
    """BAK-04: plain, open to others, or not there at all."""
    assert judge_files({"a": (AGE, 0o600)}).state == State.PASS
    assert judge_files({"a": (b"\x28\xb5\x2f\xfd", 0o600), "b": (AGE, 0o644)}).evidence == (
        "a: not encrypted",
        "b: mode 0644",
    )
    assert judge_files({}).evidence == ("there is no stream at all",)


@pytest.mark.parametrize(
    ("age", "seconds", "evidence"),
    [
        (timedelta(hours=3), 40.0, ()),
        (timedelta(hours=27), 40.0, ("the newest is 1 d 3 h old",)),
        (None, None, ("there is no whole backup", "no restore was ever tried")),
        (timedelta(0), 301.0, ("a restore takes 5 min 1 s",)),
    ],
)
def test_what_would_be_lost(age: timedelta | None, seconds: float | None, evidence: tuple[str, ...]) -> None:
    """BAK-05: an old backup, none, a slow restore."""
    assert judge_loss(age, seconds).evidence == evidence


def test_retention() -> None:
    """BAK-06: the newest good one stays; without one there is nothing to judge."""
    good = Entry(backup_id(NOW), manifest(backup_id(NOW)), None)
    assert judge_retention([Decision(good, ("last 3",))]).state == State.PASS
    assert judge_retention([Decision(good, ())]).state == State.FAIL
    with pytest.raises(SkipCheck):
        judge_retention([])
