"""What a run of validation comes to."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from cotai_tasks.errors import VerdictError
from cotai_tasks.testing import RecordingConsole
from cotai_tasks.validate.check import Check, Outcome, Result, Severity, State
from cotai_tasks.validate.validate import _judge, _secrets, tolerated
from tests.unit.deploy.stacks import settings
from tests.unit.validate.reports.samples import made


def result(severity: Severity, state: State) -> Result:
    return Result(Check("CFG-01", "a promise", "a threshold", severity, lambda _: Outcome(state)), Outcome(state), 1.0)


@pytest.mark.parametrize(
    "results",
    [
        [(Severity.BLOCKER, State.PASS), (Severity.MAJOR, State.SKIP), (Severity.MAJOR, State.WARN)],
        [(Severity.MINOR, State.FAIL), (Severity.MINOR, State.ERROR)],
    ],
)
def test_minor_failures_forbid_nothing(results: list[tuple[Severity, State]]) -> None:
    """The command ends well, and its last word is the verdict."""
    console = RecordingConsole()
    document = made([result(*one) for one in results])
    _judge(document["verdict"], console)
    assert console.text() == f"✓ {document['verdict']['text']}\n"


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([(Severity.BLOCKER, State.FAIL)], "1 blocker failed in 1 check (CFG-01)"),
        ([(Severity.BLOCKER, State.ERROR), (Severity.BLOCKER, State.FAIL)], "2 blockers failed"),
        ([(Severity.MAJOR, State.FAIL), (Severity.BLOCKER, State.FAIL)], "1 blocker and 1 major failed"),
        ([(Severity.BLOCKER, State.SKIP)], "nothing is proved, every check was skipped"),
    ],
)
def test_blockers_and_majors_forbid(results: list[tuple[Severity, State]], told: str) -> None:
    """A check that came to no end counts like one that failed, and skips alone prove nothing."""
    with pytest.raises(VerdictError) as raised:
        _judge(made([result(*one) for one in results])["verdict"], RecordingConsole())
    assert told in str(raised.value)


def test_every_secret_of_the_settings_is_kept_out_of_reports() -> None:
    """Whatever the settings hold as a secret, those of development too, and where a webhook writes to."""
    hook = "https://hooks.example/T0/B1/token"
    variables: Any = settings(BACKUP_WEBHOOK_URL=hook).variables.model_copy(
        update={"S3_SECRET_KEY": SecretStr("one"), "ADMIN_PASSWORD": SecretStr("two")}
    )
    found = _secrets(variables)
    assert {"one", "two", hook} <= set(found)


def test_what_is_slow_may_be_told_alone() -> None:
    """Only what measures time is spared, and only its failure: a check that came to no end is none."""

    def one(identity: str, state: State) -> Result:
        check = Check(identity, "a promise", "a threshold", Severity.BLOCKER, lambda _: Outcome(state))
        return Result(check, Outcome(state, "p95 300 ms"), 1.0)

    cases = {
        ("PERF-01", State.FAIL): State.WARN,
        ("PERF-01", State.ERROR): State.ERROR,
        ("NET-01", State.FAIL): State.FAIL,
    }
    assert {case: tolerated(one(*case)).state for case in cases} == cases
