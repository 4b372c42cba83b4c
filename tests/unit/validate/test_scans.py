"""How scans are held against their thresholds."""

from __future__ import annotations

from typing import Any

import pytest

from cotai_tasks.security import Flaw, Report, Severity, Skipped
from cotai_tasks.security.scanning.flaws import Looked
from cotai_tasks.validate.check import SkipCheck, State
from cotai_tasks.validate.groups.scans import judge, judge_bills, judge_grade

LOOKED = (Looked("compose", "compose-lint 0.36.2", "3 files"),)


def flaw(**changes: Any) -> Flaw:  # noqa: ANN401 - any field of a flaw
    fields: dict[str, Any] = {
        "part": "compose",
        "kind": "misconfiguration",
        "tool": "compose-lint",
        "rule": "CL-0001",
        "severity": Severity.HIGH,
        "where": "docker/compose.yaml",
        "message": "privileged container",
        "line": 12,
    }
    return Flaw(**fields | changes)


def test_flaws_that_count_fail() -> None:
    """Named by file and line; one of another kind, or that does not count, is not held against it."""
    report = Report(flaws=(flaw(), flaw(kind="secret"), flaw(severity=Severity.LOW)), looked=LOOKED)
    outcome = judge(report, "misconfiguration", lambda one: one.severity >= Severity.HIGH, "mend it")
    assert (outcome.state, outcome.figure, outcome.evidence) == (
        State.FAIL,
        "1 flaw; compose-lint 0.36.2 looked at 3 files",
        ("docker/compose.yaml:12: CL-0001 privileged container",),
    )


def test_long_lists_are_cut() -> None:
    """Twenty are shown, the others counted."""
    report = Report(flaws=tuple(flaw(line=number) for number in range(1, 31)), looked=LOOKED)
    evidence = judge(report, "misconfiguration", lambda _: True, "mend it").evidence
    assert (len(evidence), evidence[-1]) == (21, "and 10 more: inv security.scan")


def test_what_nobody_looked_at_is_no_pass() -> None:
    """A missing scanner, a database that is too old, nothing to read."""
    skipped = Report(looked=LOOKED, skipped=(Skipped("images", "vulnerability", "the database is 9 days old"),))
    with pytest.raises(SkipCheck, match="9 days old"):
        judge(skipped, "vulnerability", lambda _: True, "")
    with pytest.raises(SkipCheck, match="nobody looked"):
        judge(Report(), "secret", lambda _: True, "")
    assert judge(skipped, "secret", lambda _: True, "").state == State.PASS


def test_excuses_are_told() -> None:
    """What the list of exceptions takes out stands in the evidence of the pass."""
    outcome = judge(Report(looked=LOOKED, ignored=(flaw(),)), "misconfiguration", lambda _: True, "")
    assert (outcome.state, outcome.evidence) == (State.PASS, ("excused: docker/compose.yaml:12: CL-0001",))


def test_bills() -> None:
    """SEC-10: an image without one, an empty one, no image."""
    assert judge_bills({"cotai/production:1": 120}, ["cotai/production:1"]).state == State.PASS
    assert judge_bills({"a": 0}, ["a", "b"]).evidence == ("a: its bill is empty", "b: its bill is empty")
    assert judge_bills({}, []).state == State.FAIL


def test_grades() -> None:
    """SEC-11: what differs from the profile."""
    assert judge_grade("intermediate", compliant=True, mark="A", faults=["self-signed"]).state == State.PASS
    outcome = judge_grade("intermediate", compliant=False, mark="C", faults=["TLS 1.0 is offered"])
    assert (outcome.state, outcome.figure, outcome.evidence) == (
        State.FAIL,
        "C, not as intermediate",
        ("TLS 1.0 is offered",),
    )
