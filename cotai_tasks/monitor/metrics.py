"""A question to Prometheus, answered as a table: of this moment, or of a stretch of time."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, astuple
from typing import TYPE_CHECKING

from rich.markup import escape

from cotai_tasks.errors import UsageError
from cotai_tasks.monitor.prometheus import open_prometheus
from cotai_tasks.monitor.series import figure, seconds, sparkline, summarize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.monitor.series import Series
    from cotai_tasks.settings import Settings

_POINTS = 60
"""So many where no step is given."""
_SCRAPE = 15
"""Seconds between two looks of Prometheus: below that there is nothing to see."""


def show_metrics(
    query: str, *, span: str, step: str, as_json: bool, settings: Settings, engine: Engine, console: Console
) -> list[Series]:
    """Print what a query gives now, or gave over `span`, looked at every `step`.

    Raises `UsageError` for a query, span or step that is wrong, `UnhealthyError` where no Prometheus answers.
    """
    length, width = read_period(span, step)
    prometheus = open_prometheus(engine.containers(settings.stack_name), settings, engine)
    now = time.time()
    found = prometheus.over(query, begin=now - length, end=now, step=width) if length else prometheus.at(query)
    if as_json:
        console.json(as_facts(query, length, width, found))
    elif not found:
        console.say("no series: nothing has this name and these labels, or nothing fulfils the condition")
    else:
        console.table(*table(found), title=f"{len(found)} series")
    return found


def read_period(span: str, step: str) -> tuple[int, int]:
    """Read how far back, and in what steps, both in seconds; 0 where only this moment is meant."""
    if not span:
        if step:
            raise UsageError("--step goes with --range", cure="For example: --range 1h --step 1m.")
        return 0, 0
    length = seconds(span, "range")
    return length, seconds(step, "step") if step else max(length // _POINTS, _SCRAPE)


def table(found: Sequence[Series]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Give the columns and rows of what was found: the values, or of several points what they come to."""
    if all(len(one.points) == 1 for one in found):
        return ("series", "value"), [(escape(one.name), figure(one.last)) for one in found]
    rows: list[Sequence[str]] = []
    for one in found:
        figures = [figure(value) for value in astuple(summarize(one))]
        rows.append((escape(one.name), *figures, sparkline([value for _, value in one.points])))
    return ("series", "min", "avg", "max", "last", "from then to now"), rows


def as_facts(query: str, length: int, width: int, found: Sequence[Series]) -> dict[str, object]:
    """Give an answer as JSON takes it, which knows no NaN and no infinity: null."""
    series = [
        {"labels": one.labels}
        | {name: _number(value) for name, value in asdict(summarize(one)).items()}
        | {"points": [[when, _number(value)] for when, value in one.points]}
        for one in found
    ]
    return {"query": query, "range_seconds": length, "step_seconds": width, "series": series}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
