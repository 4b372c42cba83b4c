"""What the checks of databases decide."""

from __future__ import annotations

import pytest

from cotai_tasks.validate.check import SkipCheck, State
from cotai_tasks.validate.groups.databases import (
    judge_mongodb,
    judge_pool,
    judge_redis,
    judge_refusals,
    judge_revision,
    judge_times,
    judge_transaction,
    judge_write,
)


def test_times() -> None:
    """DB-01: one in twenty that is slow; no answer."""
    assert judge_times([1.0] * 200, 50, "reads", "").figure == "p95 1.0 ms of 200 reads"
    assert judge_times([1.0] * 180 + [80.0] * 20, 50, "reads", "").evidence == ("one in twenty takes 80.0 ms or more",)
    assert judge_times([], 50, "reads", "").state == State.FAIL


def test_writes() -> None:
    """DB-02: rows that did not come, rows that did not go."""
    assert judge_write(2, gone=True).state == State.PASS
    assert judge_write(0, gone=True).evidence == ("0 of 2 rows were written",)
    assert judge_write(2, gone=False).evidence == ("they are still there after the rollback",)


def test_revisions() -> None:
    """DB-03: behind, empty, on one of two heads; without migrations there is nothing to judge."""
    assert judge_revision("0001", ["0001"]).state == State.PASS
    assert judge_revision("0001 0002", ["0002", "0001"]).state == State.PASS
    assert judge_revision("0001", ["0002"]).figure == "the database is at 0001, the application at 0002"
    assert judge_revision("", ["0001"]).state == State.FAIL
    with pytest.raises(SkipCheck):
        judge_revision("0001", [])


def test_mongodb() -> None:
    """DB-04, DB-05: slow, no primary, documents that are missing or left."""
    assert judge_mongodb([1.0] * 50, 50, primary=True).state == State.PASS
    assert judge_mongodb([90.0] * 50, 50, primary=True).state == State.FAIL
    assert judge_mongodb([1.0] * 50, 50, primary=False).evidence == ("it is no writable primary",)
    assert judge_mongodb([1.0] * 50, 49, primary=True).evidence == ("49 of 50 documents are there",)
    assert judge_transaction(0, "").state == State.PASS
    assert judge_transaction(1, "").evidence == ("1 documents are left of it",)
    assert judge_transaction(0, "not a replica set").evidence == ("not a replica set",)


def test_redis() -> None:
    """DB-06: one of the two that is slow or refuses; neither that answers."""
    assert judge_redis({"CACHE_URL": [0.5] * 200}, "").state == State.PASS
    assert judge_redis({"CACHE_URL": [9.0] * 200}, "").evidence == ("CACHE_URL: one in twenty takes 9.0 ms or more",)
    assert judge_redis({}, "celery_broker: OOM command not allowed").state == State.FAIL


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ('FATAL: password authentication failed for user "cotai"', State.PASS),
        ("WRONGPASS invalid username-password pair", State.PASS),
        ("Authentication failed.", State.PASS),
        ("", State.FAIL),
        ("connection refused", State.FAIL),
    ],
)
def test_refusals(said: str, state: State) -> None:
    """DB-07: let in; and silence, which is no refusal."""
    assert judge_refusals({"postgres, the application": "", "postgres, a wrong password": said}).state == state


def test_who_refuses_everybody() -> None:
    """DB-07: a server that refuses the application, too, does not keep its promise by that."""
    told = {
        "redis, the application at cache": "WRONGPASS",
        "redis, no login at cache": "NOAUTH Authentication required",
    }
    outcome = judge_refusals(told)
    assert (outcome.state, outcome.figure) == (State.FAIL, "1 of 1 refused")
    assert outcome.evidence == ("redis, the application at cache, with its own login: WRONGPASS",)


def test_pools() -> None:
    """DB-08: from four fifths on; and no load, which proves nothing."""
    assert judge_pool(79, 100, 500).state == State.PASS
    assert judge_pool(80, 100, 500).evidence == ("80 of 100 are used",)
    assert judge_pool(3, 100, 0).state == State.FAIL
