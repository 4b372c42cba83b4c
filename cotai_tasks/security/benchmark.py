"""`security.audit`: the points of the CIS Docker Benchmark 1.6 that apply to a running stack and its engine."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape

from cotai_tasks.console import count
from cotai_tasks.errors import FindingsError, UsageError
from cotai_tasks.facts import running_services
from cotai_tasks.security.cis import in_order, judge_containers, judge_engine, skipped_points

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.security.cis import Point
    from cotai_tasks.settings import Settings

_COLOURS = {"PASS": "green", "FAIL": "red", "WARN": "yellow", "SKIP": "dim"}
_SHOWN = 4
"""Lines of evidence in the table; `--json` has all."""


def audit(*, settings: Settings, engine: Engine) -> tuple[Point, ...]:
    """Look at every running container of the stack and at its engine."""
    containers = [one for one in engine.inspect(settings.stack_name) if one["State"]["Status"] == "running"]
    if not containers:
        cure = f"inv deploy.{settings.environment} starts it."
        raise UsageError(f"{settings.stack_name} does not run: there is nothing to look at", cure=cure)
    host = engine.info()
    bridge = json.loads(engine.command("network", "inspect", "bridge", "--format", "{{json .Options}}") or "{}")
    central = "alloy" in running_services(engine.containers(settings.stack_name))
    return in_order(
        [
            *judge_containers(sorted(containers, key=lambda one: str(one["Name"])), host),
            *judge_engine(host, bridge or {}, central_logs=central),
            *skipped_points(str(host.get("ServerVersion", "unknown"))),
        ]
    )


def show_audit(points: tuple[Point, ...], *, as_json: bool, console: Console) -> None:
    """Show every point; raise `FindingsError` where one fails."""
    if as_json:
        console.json([asdict(one) for one in points])
    else:
        console.table(("CIS", "state", "point", "seen"), [_row(one) for one in points])
    counted = Counter(one.state for one in points)
    told = ", ".join(f"{counted[state]} {state}" for state in ("PASS", "FAIL", "WARN", "SKIP"))
    console.say(f"CIS Docker Benchmark 1.6: {told}. A SKIP is no pass.")
    if counted["FAIL"]:
        failed = ", ".join(one.number for one in points if one.state == "FAIL")
        raise FindingsError(f"{count(counted['FAIL'], 'point')} of the benchmark failed: {failed}")


def _row(point: Point) -> tuple[str, ...]:
    lines = [
        *point.evidence[:_SHOWN],
        *([f"and {len(point.evidence) - _SHOWN} more"] if point.evidence[_SHOWN:] else []),
    ]
    told = "\n".join([*lines, *([f"→ {point.cure}"] if point.cure else [])])
    return point.number, f"[{_COLOURS[point.state]}]{point.state}[/]", escape(point.title), escape(told)
