"""SARIF 2.1.0 of what is wrong with security and configuration: for code scanning."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from cotai_tasks.validate.check import Severity, State

GROUPS = ("CFG", "SEC")

_LEVELS = {Severity.BLOCKER: "error", Severity.MAJOR: "error", Severity.MINOR: "warning"}
_SCORES = {Severity.BLOCKER: "9.5", Severity.MAJOR: "8.0", Severity.MINOR: "5.5"}
"""As GitHub sorts them: from 9.0 on critical, from 7.0 on high, from 4.0 on medium."""
_PLACE = re.compile(
    r"""(?P<file>
        (?:[\w.@-]+/)+[\w.@-]*\.[A-Za-z]\w*         # docker/compose.yaml
        | (?:[\w.@-]+/)*Dockerfile[\w.-]*            # docker/Dockerfile
        | [\w-]*\.?[\w-]+\.(?:ya?ml|conf|toml|py|sh|env|json)  # noxfile.py, and no host name
    ):(?P<line>\d+)(?![\w.])""",
    re.VERBOSE,
)


def sarif(document: dict[str, Any]) -> dict[str, Any]:
    """Give the checks of those groups as rules and their faults as results, a line of evidence each."""
    checks = [one for one in document["checks"] if one["group"] in GROUPS]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {**document["tool"], "rules": [_rule(one) for one in checks]}},
                "automationDetails": {"id": f"validate/{document['environment']}-{document['profile']}/"},
                "invocations": [
                    {
                        "executionSuccessful": all(one["state"] != State.ERROR for one in checks),
                        "startTimeUtc": document["started"].replace("+00:00", "Z"),
                        "toolExecutionNotifications": [_notice(one) for one in checks if one["state"] in _NOTICES],
                    }
                ],
                "results": [
                    result
                    for number, one in enumerate(checks)
                    if one["state"] in {State.FAIL, State.WARN}
                    for result in _results(number, one, document["stack"])
                ],
            }
        ],
    }


_NOTICES = {State.SKIP: "warning", State.ERROR: "error"}
"""What was not looked at is told, lest no result be taken for a good one."""


def _rule(check: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": check["id"],
        "shortDescription": {"text": check["promise"]},
        "fullDescription": {"text": f"{check['promise']}: {check['threshold']}"},
        "help": {"text": check["cure"] or "Nothing to do."},
        "defaultConfiguration": {"level": _LEVELS[check["severity"]]},
        "properties": {"security-severity": _SCORES[check["severity"]], "tags": ["security", check["group"]]},
    }


def _notice(check: dict[str, Any]) -> dict[str, Any]:
    text = f"{check['id']} {check['promise']}: {check['state']}: {check['figure']}"
    return {"level": _NOTICES[check["state"]], "associatedRule": {"id": check["id"]}, "message": {"text": text}}


def _results(number: int, check: dict[str, Any], stack: str) -> list[dict[str, Any]]:
    """Give a result for each line of evidence, or one where there is none."""
    level = _LEVELS[check["severity"]] if check["state"] == State.FAIL else "note"
    return [
        {
            "ruleId": check["id"],
            "ruleIndex": number,
            "level": level,
            "message": {"text": f"{check['promise']}: {text or check['figure']}"},
            "locations": [_location(text, stack)],
            "partialFingerprints": {"cotaiCheck/v1": _mark(check["id"], text)},
        }
        for text in check["evidence"] or [""]
    ]


def _mark(identity: str, text: str) -> str:
    """Give what a result is known by from run to run, on whatever line it is."""
    same = _PLACE.sub(lambda found: found["file"], text, count=1)
    return hashlib.sha256(f"{identity} {same}".encode()).hexdigest()[:32]


def _location(text: str, stack: str) -> dict[str, Any]:
    """Read the file and the line that a line of evidence begins with, or name the stack: some place is wanted."""
    if found := _PLACE.match(text):
        region = {"startLine": max(int(found["line"]), 1)}
        return {"physicalLocation": {"artifactLocation": {"uri": found["file"]}, "region": region}}
    return {"physicalLocation": {"artifactLocation": {"uri": stack}}}
