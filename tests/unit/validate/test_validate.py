"""What a run of validation comes to."""

from __future__ import annotations

import pytest

from cotai_tasks.validate.check import Check, Outcome, Result, Severity, State
from cotai_tasks.validate.validate import verdict


def result(severity: Severity, state: State) -> Result:
    return Result(Check("X-01", "a promise", "a threshold", severity, lambda _: Outcome(state)), Outcome(state), 1.0)


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([(Severity.BLOCKER, State.PASS), (Severity.MAJOR, State.SKIP), (Severity.MAJOR, State.WARN)], ""),
        ([(Severity.MINOR, State.FAIL), (Severity.MINOR, State.ERROR)], ""),
        ([(Severity.BLOCKER, State.FAIL)], "1 blocker failed"),
        ([(Severity.BLOCKER, State.ERROR), (Severity.BLOCKER, State.FAIL)], "2 blockers failed"),
        ([(Severity.MAJOR, State.FAIL), (Severity.BLOCKER, State.FAIL)], "1 blocker and 1 major failed"),
    ],
)
def test_blockers_and_majors_forbid(results: list[tuple[Severity, State]], told: str) -> None:
    """A minor never does, and a check that came to no end counts like one that failed."""
    assert verdict([result(*one) for one in results]) == told
