"""What is remembered of a run, and what the next one makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cotai_tasks.validate.reports.figures import measured

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT = 20
"""Runs that are remembered."""

Run = dict[str, Any]
"""What is kept of a run: `remember` makes it."""


def remember(document: dict[str, Any]) -> Run:
    """Give what later runs are compared with: states, figures that can be compared, no evidence."""
    return {
        "schema_version": document["schema_version"],
        **document["trend"][-1],
        "states": {one["id"]: one["state"] for one in document["checks"]},
    }


def point(document: dict[str, Any]) -> dict[str, Any]:
    """Give a run as one point of the trend."""
    return {
        "started": document["started"],
        "seconds": document["seconds"],
        "fit": document["verdict"]["fit"],
        "counts": document["counts"]["states"],
        "values": {
            one["id"]: {name: value for name, (value, _) in found.items()}
            for one in document["checks"]
            if (found := measured(one["data"]))
        },
    }


def trend(document: dict[str, Any], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Give the last runs and this one as points, the oldest first."""
    now = point(document)
    return [*({name: run[name] for name in now} for run in runs[-KEPT + 1 :]), now]


def changes(checks: Sequence[dict[str, Any]], runs: Sequence[Run]) -> dict[str, Any] | None:
    """Compare the checks with the last run that tried each of them; nothing where there was none.

    A run may be of a few checks only: what it did not try is compared with the one before.
    """
    if not runs:
        return None
    states: dict[str, str] = {}
    values: dict[tuple[str, str], float] = {}
    for run in runs:
        states |= run["states"]
        values |= {(name, what): value for name, found in run["values"].items() for what, value in found.items()}
    return {
        "since": runs[-1]["started"],
        "states": [
            {"id": one["id"], "before": states[one["id"]], "now": one["state"]}
            for one in checks
            if states.get(one["id"], one["state"]) != one["state"]
        ],
        "figures": [
            {"id": one["id"], "name": name, "unit": unit, "before": before, "now": now, "change": _part(before, now)}
            for one in checks
            for name, (now, unit) in measured(one["data"]).items()
            if (before := values.get((one["id"], name)))
        ],
    }


def _part(before: float, now: float) -> float:
    """Give the part by which a figure grew."""
    return round(now / before - 1, 4)
