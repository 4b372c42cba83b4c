"""What is remembered of a run, and what the next one makes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from cotai_tasks.validate.check import Result, State
from cotai_tasks.validate.reports.history import KEPT, Run, remember
from tests.unit.validate.reports.samples import STARTED, made, result


def at(hour: int, *found: Result, **more: Any) -> Run:  # noqa: ANN401 - what `document` takes
    return remember(made(list(found), started=STARTED + timedelta(hours=hour), **more))


def test_what_is_remembered() -> None:
    """States and figures that can be compared: no evidence, nothing that grows with the stack's faults."""
    found = at(
        0,
        result("NET-01", "", State.FAIL, evidence=("long",), matrix={}),
        result("DB-01", "", State.PASS, "p95 3 ms", latencies_ms=[3, 3], memory={"a": {"peak": 5, "limit": 9}}),
        seconds=3.21,
    )
    assert found == {
        "schema_version": 1,
        "started": "2026-11-27T13:45:00+00:00",
        "seconds": 3.2,
        "fit": False,
        "counts": {"pass": 1, "fail": 1, "warn": 0, "skip": 0, "error": 0},
        "values": {"DB-01": {"p95": 3, "a memory": 5}},
        "states": {"DB-01": "pass", "NET-01": "fail"},
    }


def test_the_first_run_has_nothing_to_be_compared_with() -> None:
    """And it is the whole trend."""
    first = made([result("NET-01", "", State.PASS)])
    assert first["changes"] is None
    assert len(first["trend"]) == 1


def test_states_and_figures_are_compared_with_the_last_run_that_tried_them() -> None:
    """A run of a few checks between two whole ones hides nothing; a check that is new has no change."""
    runs = [
        at(0, result("NET-01", "", State.PASS), result("DB-01", "", State.PASS, latencies_ms=[4.0])),
        at(1, result("DB-01", "", State.PASS, latencies_ms=[2.0])),
        at(2, result("HLT-01", "", State.PASS)),
    ]
    now = made(
        [
            result("NET-01", "", State.FAIL),
            result("NET-02", "", State.FAIL),
            result("HLT-01", "", State.PASS),
            result("DB-01", "", State.PASS, latencies_ms={"": [3.0], "new": [1.0]}),
        ],
        previous=runs,
    )
    assert now["changes"] == {
        "since": "2026-11-27T15:45:00+00:00",
        "states": [{"id": "NET-01", "before": "pass", "now": "fail"}],
        "figures": [{"id": "DB-01", "name": "p95", "unit": "ms", "before": 2.0, "now": 3.0, "change": 0.5}],
    }


def test_the_trend_holds_the_last_runs() -> None:
    """This one is the last of them."""
    runs = [at(hour, result("NET-01", "", State.PASS)) for hour in range(KEPT + 5)]
    trend = made([result("NET-01", "", State.FAIL)], started=STARTED + timedelta(days=9), previous=runs)["trend"]
    assert [one["started"] for one in trend] == [
        *(one["started"] for one in runs[6:]),
        "2026-12-06T13:45:00+00:00",
    ]
    assert [one["fit"] for one in trend] == [True] * (KEPT - 1) + [False]
