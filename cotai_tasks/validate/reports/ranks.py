"""What comes first where the worst comes first, and the mark that each state has beside its colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cotai_tasks.validate.check import Severity, State

if TYPE_CHECKING:
    from collections.abc import Iterable

WORST_FIRST = (State.FAIL, State.ERROR, State.WARN, State.SKIP, State.PASS)

MARKS: dict[str, str] = {
    State.PASS: "✓",
    State.FAIL: "✗",
    State.WARN: "▲",
    State.SKIP: "○",
    State.ERROR: "◆",
}
"""Colour alone tells nobody anything who does not see it."""


def ranked(checks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort a document's checks: what forbids to go live, then by state, then by severity, then as they were."""
    severities = list(Severity)
    return sorted(
        checks, key=lambda one: (not one["forbids"], WORST_FIRST.index(one["state"]), severities.index(one["severity"]))
    )
