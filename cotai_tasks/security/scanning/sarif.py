"""A scan's report as SARIF 2.1.0, which code hosts show beside the lines it is about."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from cotai_tasks import __version__
from cotai_tasks.security.scanning.flaws import Severity

if TYPE_CHECKING:
    from cotai_tasks.security.scanning.flaws import Flaw, Report

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {
    Severity.INFO: "note",
    Severity.LOW: "note",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "error",
}
_SCORES = {
    Severity.INFO: "0.0",
    Severity.LOW: "2.5",
    Severity.MEDIUM: "5.5",
    Severity.HIGH: "8.0",
    Severity.CRITICAL: "9.5",
}
"""As GitHub sorts them: from 9.0 on critical, from 7.0 on high, from 4.0 on medium."""


def write_sarif(report: Report) -> dict[str, Any]:
    """Give the report as one run: flaws, what is excused with its reason, and what nobody looked at."""
    flaws = [*report.flaws, *report.ignored]
    rules = {_rule_id(one): _rule(one) for one in reversed(flaws)}  # the worst of a rule says how bad it is
    names = sorted(rules)
    places = {name: index for index, name in enumerate(names)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "cotai security.scan",
                        "version": __version__,
                        "rules": [rules[name] for name in names],
                    }
                },
                "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": _notices(report)}],
                "results": [
                    *(_result(one, places) for one in report.flaws),
                    *(_result(one, places) | _suppressed(one) for one in report.ignored),
                ],
                "columnKind": "utf16CodeUnits",
            }
        ],
    }


def _rule_id(flaw: Flaw) -> str:
    return f"{flaw.tool}/{flaw.rule}"


def _rule(flaw: Flaw) -> dict[str, Any]:
    return {
        "id": _rule_id(flaw),
        "shortDescription": {"text": f"{flaw.rule} of {flaw.tool}"},
        **({"helpUri": flaw.link} if flaw.link else {}),
        "properties": {"security-severity": _SCORES[flaw.severity], "tags": ["security", flaw.kind, flaw.part]},
    }


def _result(flaw: Flaw, places: dict[str, int]) -> dict[str, Any]:
    text = f"{flaw.message}{f' → {flaw.cure}' if flaw.cure else ''}{f' ({flaw.note})' if flaw.note else ''}"
    # An image is no file, but a place is wanted: its name without the tag's colon, which begins a scheme in a URI.
    place: dict[str, Any] = {"artifactLocation": {"uri": flaw.where.partition(":")[0].replace(" ", "%20")}}
    if flaw.part != "images":
        place["region"] = {"startLine": max(flaw.line, 1)}
    mark = hashlib.sha256(f"{_rule_id(flaw)} {flaw.where} {flaw.message}".encode()).hexdigest()[:32]
    return {
        "ruleId": _rule_id(flaw),
        "ruleIndex": places[_rule_id(flaw)],
        "level": _LEVELS[flaw.severity],
        "message": {"text": f"{flaw.where}: {text}" if flaw.part == "images" else text},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"cotaiFlaw/v1": mark},
        "properties": {"severity": flaw.severity.name},
    }


def _suppressed(flaw: Flaw) -> dict[str, Any]:
    return {"suppressions": [{"kind": "external", "status": "accepted", "justification": flaw.note}]}


def _notices(report: Report) -> list[dict[str, Any]]:
    skipped = [
        {"level": "warning", "message": {"text": f"{one.part}, {one.kind}: not looked at: {one.reason}"}}
        for one in report.skipped
    ]
    return [*skipped, *({"level": "note", "message": {"text": text}} for text in report.warnings)]
