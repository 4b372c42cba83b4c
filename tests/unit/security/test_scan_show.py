"""A report is shown to a person, to a program, and ends with an exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks import __version__
from cotai_tasks.errors import FindingsError, PreflightError, UsageError
from cotai_tasks.security.scanning.flaws import Flaw, Looked, Report, Severity, Skipped
from cotai_tasks.security.scanning.sarif import write_sarif
from cotai_tasks.security.scanning.show import read_form, show_report
from cotai_tasks.testing import RecordingConsole

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.security.scanning.show import Form

HOLE = Flaw(
    part="images",
    kind="vulnerability",
    tool="trivy",
    rule="CVE-2026-1",
    severity=Severity.CRITICAL,
    where="cotai/production:1: libssl3 3.5.0",
    message="A hole",
    cure="libssl3 3.5.1",
    link="https://avd.aquasec.com/nvd/cve-2026-1",
)
ROOT = Flaw("dockerfiles", "misconfiguration", "hadolint", "DL3002", Severity.MEDIUM, "Dockerfile", "root [user]", 3)
KEY = Flaw("repository", "secret", "gitleaks", "key", Severity.HIGH, "test.py", "A key", 7, note="It opens nothing.")
REPORT = Report(
    flaws=(HOLE, ROOT),
    looked=(Looked("dockerfiles", "hadolint 2.15.1", "14 files"),),
    skipped=(Skipped("dependencies", "vulnerability", "no network"),),
    ignored=(KEY,),
    warnings=("security-ignore.yaml:3: nothing fits it any more.",),
)


def shown(
    severity: Severity, form: Form = "table", output: Path | None = None, report: Report = REPORT
) -> tuple[str, str]:
    console = RecordingConsole()
    try:
        show_report(report, severity=severity, form=form, output=output, console=console)
    except FindingsError as error:
        return console.text(), f"{error.code}: {error}"
    return console.text(), ""


def test_a_table() -> None:
    """What counts is in it; what does not, and what nobody looked at, is told below."""
    text, error = shown(Severity.HIGH)
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "severity where rule what",
        "CRITICAL cotai/production:1: libssl3 3.5.0 trivy CVE-2026-1 A hole → libssl3 3.5.1",
        "✓ dockerfiles: 14 files, hadolint 2.15.1",
        "! security-ignore.yaml:3: nothing fits it any more.",
        "! SKIP dependencies (vulnerability): no network",
        "below HIGH: 1 MEDIUM; --severity MEDIUM shows them",
        "excused in security-ignore.yaml: 1",
        "skipped: 1; what nobody looked at has not passed",
    ]
    assert error == "18: 1 finding of HIGH or worse: 1 CRITICAL"


def test_the_severity_decides() -> None:
    """What is less bad does not fail; a wider one shows more, as it is written."""
    text, error = shown(Severity.MEDIUM)
    assert "root [user]" in text
    assert error == "18: 2 findings of MEDIUM or worse: 1 CRITICAL, 1 MEDIUM"
    assert shown(Severity.HIGH, report=Report((ROOT,), REPORT.looked))[1] == ""


def test_nothing_was_looked_at() -> None:
    """That is no success, whatever was asked for."""
    with pytest.raises(PreflightError, match="nothing was looked at"):
        shown(Severity.HIGH, report=Report(skipped=REPORT.skipped))


def test_json() -> None:
    """All of it, whatever counts."""
    text, _ = shown(Severity.HIGH, "json")
    told: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    assert {key: told[key] for key in ("severity", "counting", "warnings")} == {
        "severity": "HIGH",
        "counting": 1,
        "warnings": list(REPORT.warnings),
    }
    assert [(one["rule"], one["severity"]) for one in told["flaws"]] == [
        ("CVE-2026-1", "CRITICAL"),
        ("DL3002", "MEDIUM"),
    ]
    assert [one["note"] for one in told["ignored"]] == ["It opens nothing."]
    assert told["skipped"] == [{"part": "dependencies", "kind": "vulnerability", "reason": "no network"}]


def test_a_file(tmp_path: Path) -> None:
    """It is written in folders that are made, whole or not at all, and the exit code is the same."""
    path = tmp_path / "reports/scan.json"
    text, error = shown(Severity.HIGH, "json", path)
    assert json.loads(path.read_text())["counting"] == 1
    assert [one.name for one in path.parent.iterdir()] == ["scan.json"]
    assert f"✓ json written to {path}" in text
    assert error
    shown(Severity.HIGH, "table", path)
    assert path.read_text().splitlines()[0].split() == ["severity", "where", "rule", "what"]


def test_sarif() -> None:
    """One run: rules with their severity, places, what is excused, and what nobody looked at."""
    told = write_sarif(REPORT)
    marks = {one.pop("partialFingerprints")["cotaiFlaw/v1"] for one in told["runs"][0]["results"]}
    assert len(marks) == len(told["runs"][0]["results"])
    assert told == {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "cotai security.scan",
                        "version": __version__,
                        "rules": [
                            {
                                "id": "gitleaks/key",
                                "shortDescription": {"text": "key of gitleaks"},
                                "properties": {
                                    "security-severity": "8.0",
                                    "tags": ["security", "secret", "repository"],
                                },
                            },
                            {
                                "id": "hadolint/DL3002",
                                "shortDescription": {"text": "DL3002 of hadolint"},
                                "properties": {
                                    "security-severity": "5.5",
                                    "tags": ["security", "misconfiguration", "dockerfiles"],
                                },
                            },
                            {
                                "id": "trivy/CVE-2026-1",
                                "shortDescription": {"text": "CVE-2026-1 of trivy"},
                                "helpUri": "https://avd.aquasec.com/nvd/cve-2026-1",
                                "properties": {
                                    "security-severity": "9.5",
                                    "tags": ["security", "vulnerability", "images"],
                                },
                            },
                        ],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {
                                "level": "warning",
                                "message": {"text": "dependencies, vulnerability: not looked at: no network"},
                            },
                            {"level": "note", "message": {"text": REPORT.warnings[0]}},
                        ],
                    }
                ],
                "results": [
                    {
                        "ruleId": "trivy/CVE-2026-1",
                        "ruleIndex": 2,
                        "level": "error",
                        "message": {"text": "cotai/production:1: libssl3 3.5.0: A hole → libssl3 3.5.1"},
                        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "cotai/production"}}}],
                        "properties": {"severity": "CRITICAL"},
                    },
                    {
                        "ruleId": "hadolint/DL3002",
                        "ruleIndex": 1,
                        "level": "warning",
                        "message": {"text": "root [user]"},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": "Dockerfile"},
                                    "region": {"startLine": 3},
                                }
                            }
                        ],
                        "properties": {"severity": "MEDIUM"},
                    },
                    {
                        "ruleId": "gitleaks/key",
                        "ruleIndex": 0,
                        "level": "error",
                        "message": {"text": "A key (It opens nothing.)"},
                        "locations": [
                            {"physicalLocation": {"artifactLocation": {"uri": "test.py"}, "region": {"startLine": 7}}}
                        ],
                        "properties": {"severity": "HIGH"},
                        "suppressions": [
                            {"kind": "external", "status": "accepted", "justification": "It opens nothing."}
                        ],
                    },
                ],
                "columnKind": "utf16CodeUnits",
            }
        ],
    }


def test_forms_as_they_are_typed() -> None:
    """A wrong one is told the nearest."""
    assert read_form("sarif") == "sarif"
    with pytest.raises(UsageError) as caught:
        read_form("serif")
    assert caught.value.cure == "Did you mean sarif?"
