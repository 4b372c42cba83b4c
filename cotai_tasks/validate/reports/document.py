"""THE document of a run, as plain data: every other report is made from it. `schema.json` describes it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from typing import TYPE_CHECKING, Any

import cotai_tasks
from cotai_tasks.console import count
from cotai_tasks.validate.catalogue import GROUPS
from cotai_tasks.validate.check import Severity, State
from cotai_tasks.validate.reports.history import changes, trend
from cotai_tasks.validate.reports.text import line, lines, plain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from cotai_tasks.settings import Environment
    from cotai_tasks.validate.check import Profile, Result
    from cotai_tasks.validate.reports.history import Run

SCHEMA_VERSION = 1
"""Raised when a reader of the document would have to change."""


def document(  # noqa: PLR0913 - a fact each
    results: Collection[Result],
    *,
    env: Environment,
    profile: Profile,
    stack: str,
    started: datetime,
    seconds: float,
    previous: Sequence[Run] = (),
    secrets: Collection[str] = (),
    host: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Put a run together; its checks stand in the order of the catalogue.

    `previous` are the remembered runs, the oldest first; `secrets` are values that nothing may show; `host` are facts
    about the engine's host, to be shown as they are.
    """
    checks = [_check(one, secrets) for one in sorted(results, key=_place)]
    made = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "cotai_tasks", "version": cotai_tasks.__version__},
        "stack": stack,
        "environment": env,
        "profile": profile,
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "host": plain(host or {}, secrets),
        "verdict": _verdict(checks, stack),
        "counts": {
            "states": _states(checks),
            "severities": {one: _states([c for c in checks if c["severity"] == one]) for one in Severity},
        },
        "checks": checks,
        "changes": changes(checks, previous),
    }
    return made | {"trend": trend(made, previous)}


def _place(result: Result) -> tuple[int, str]:
    """Give a check's place in the catalogue."""
    return list(GROUPS).index(result.check.group), result.check.id


def _check(result: Result, secrets: Collection[str]) -> dict[str, Any]:
    check, outcome = result.check, result.outcome
    return {
        "id": check.id,
        "group": check.group,
        "promise": check.promise,
        "threshold": check.threshold,
        "severity": str(check.severity),
        "effect": str(check.effect),
        "profile": check.profile,
        "state": str(outcome.state),
        "forbids": result.forbids,
        "figure": line(outcome.figure, secrets),
        "evidence": [one for text in outcome.evidence for one in lines(text, secrets)],
        "cure": line(outcome.cure, secrets),
        "seconds": round(result.seconds, 3),
        "data": plain(outcome.data, secrets),
    }


def _states(checks: Collection[dict[str, Any]]) -> dict[str, int]:
    found = Counter(one["state"] for one in checks)
    return {str(state): found[state] for state in State}


def _verdict(checks: Sequence[dict[str, Any]], stack: str) -> dict[str, Any]:
    """Judge a run: nothing forbids to go live, and something was looked at."""
    forbidding = [one for one in checks if one["forbids"]]
    skipped = sum(one["state"] == State.SKIP for one in checks)
    tried = count(len(checks) - skipped, "check")
    left = f"; {skipped} skipped" if skipped else ""
    if forbidding:
        fault = f"{stack} is not what it claims to be: {_severities(forbidding)} failed in {tried}{left}"
    elif skipped == len(checks):
        fault = f"{stack}: nothing is proved, every check was skipped"
    else:
        fault = ""
    return {
        "fit": not fault,
        "text": fault or f"{stack} is what it claims to be: no blocker and no major failed in {tried}{left}",
        "forbidding": [one["id"] for one in forbidding],
    }


def _severities(checks: Collection[dict[str, Any]]) -> str:
    """Say how many there are of each severity: `1 blocker and 2 majors`."""
    found = Counter(one["severity"] for one in checks)
    return " and ".join(count(found[one], one) for one in Severity if found[one])
