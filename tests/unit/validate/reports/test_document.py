"""THE document of a run: what it holds, in which order, and what it never holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from cotai_tasks.validate import reports
from cotai_tasks.validate.check import Result, Severity, State
from tests.unit.validate.reports.samples import made, result, with_history

SCHEMA: dict[str, Any] = json.loads((Path(reports.__file__).parent / "schema.json").read_text())


def test_a_run_as_a_whole() -> None:
    """Every field of it, for two checks; they stand in the order of the catalogue."""
    found = made(
        [
            result(
                *("NET-01", "A promise", State.FAIL, "2 of 3"),
                threshold="3 of 3",
                evidence=("one\nline", "another"),
                cure="Mend it.",
                more=[1.5, float("inf")],
            ),
            result("CFG-02", "Another", State.PASS, severity=Severity.MINOR, seconds=0.12345),
        ],
        host={"Engine": "26.1.5"},
        profile="quick",
    )
    none = {"pass": 0, "fail": 0, "warn": 0, "skip": 0, "error": 0}
    assert found.pop("tool")["name"] == "cotai_tasks"
    assert found == {
        "schema_version": 1,
        "stack": "cotai-prod",
        "environment": "prod",
        "profile": "quick",
        "started": "2026-11-27T13:45:00+00:00",
        "seconds": 84.2,
        "host": {"Engine": "26.1.5"},
        "verdict": {
            "fit": False,
            "text": "cotai-prod is not what it claims to be: 1 blocker failed in 2 checks",
            "forbidding": ["NET-01"],
        },
        "counts": {
            "states": none | {"pass": 1, "fail": 1},
            "severities": {"blocker": none | {"fail": 1}, "major": none, "minor": none | {"pass": 1}},
        },
        "checks": [
            {
                "id": "CFG-02",
                "group": "CFG",
                "promise": "Another",
                "threshold": "0",
                "severity": "minor",
                "effect": "reads",
                "profile": "quick",
                "state": "pass",
                "forbids": False,
                "figure": "",
                "evidence": [],
                "cure": "",
                "seconds": 0.123,
                "data": {},
            },
            {
                "id": "NET-01",
                "group": "NET",
                "promise": "A promise",
                "threshold": "3 of 3",
                "severity": "blocker",
                "effect": "reads",
                "profile": "quick",
                "state": "fail",
                "forbids": True,
                "figure": "2 of 3",
                "evidence": ["one", "line", "another"],
                "cure": "Mend it.",
                "seconds": 0.5,
                "data": {"more": [1.5, None]},
            },
        ],
        "changes": None,
        "trend": [
            {
                "started": "2026-11-27T13:45:00+00:00",
                "seconds": 84.2,
                "fit": False,
                "counts": none | {"pass": 1, "fail": 1},
                "values": {},
            }
        ],
    }


@pytest.mark.parametrize(
    ("found", "fit", "text"),
    [
        (
            [result("NET-01", "", State.PASS), result("NET-02", "", State.WARN)],
            True,
            "x is what it claims to be: no blocker and no major failed in 2 checks",
        ),
        (
            [result("NET-01", "", State.FAIL, severity=Severity.MINOR), result("NET-02", "", State.SKIP)],
            True,
            "x is what it claims to be: no blocker and no major failed in 1 check; 1 skipped",
        ),
        (
            [
                result("NET-01", "", State.ERROR),
                result("NET-02", "", State.FAIL, severity=Severity.MAJOR),
                result("NET-03", "", State.FAIL, severity=Severity.MAJOR),
                result("NET-04", "", State.SKIP),
            ],
            False,
            "x is not what it claims to be: 1 blocker and 2 majors failed in 3 checks; 1 skipped",
        ),
        ([result("NET-01", "", State.SKIP)], False, "x: nothing is proved, every check was skipped"),
    ],
)
def test_the_verdict(found: list[Result], fit: bool, text: str) -> None:  # noqa: FBT001 - the expected answer
    """A minor failure and a warning forbid nothing; a check without an end does; skips alone prove nothing."""
    verdict = made(found, stack="x")["verdict"]
    assert (verdict["fit"], verdict["text"]) == (fit, text)


@pytest.mark.parametrize("document", [made(), with_history(), made([])], ids=["first", "later", "empty"])
def test_the_document_is_as_its_schema_says(document: dict[str, Any]) -> None:
    """And the schema is one, allows no field that it does not name, and describes each."""
    Draft202012Validator.check_schema(SCHEMA)
    validator = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    as_read = json.loads(json.dumps(document, allow_nan=False))
    assert [error.message for error in validator.iter_errors(as_read)] == []
    assert not validator.is_valid(as_read | {"other": 1})
    assert not validator.is_valid(as_read | {"profile": "slow"})


def test_every_field_is_described() -> None:
    """Somebody who reads report.json finds there what each of its fields means."""

    def undescribed(schema: Any, path: str) -> list[str]:  # noqa: ANN401 - any part of a schema
        if isinstance(schema, list):
            return [one for number, part in enumerate(schema) for one in undescribed(part, f"{path}[{number}]")]
        if not isinstance(schema, dict):
            return []
        own = [f"{path}.{name}" for name, one in schema.get("properties", {}).items() if "description" not in one]
        return own + [one for name, part in schema.items() for one in undescribed(part, f"{path}.{name}")]

    assert undescribed(SCHEMA, "") == []
