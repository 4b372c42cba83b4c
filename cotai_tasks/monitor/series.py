"""Series of Prometheus as plain data: how its answers read, and how figures are said."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.errors import CotaiError, UnhealthyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_REFUSAL = re.compile(
    r"query error: (?P<kind>\w+): (?:invalid parameter \"query\": )?"
    r"(?:(?P<line>\d+):(?P<column>\d+): )?(?:parse error: )?(?P<fault>.*)"
)
"""What promtool prints when Prometheus refuses."""
_MISTAKES = {"bad_data": "refuses the query", "execution": "cannot work the query out", "timeout": "gave the query up"}


@dataclass(frozen=True)
class Series:
    """One series: its labels, and its points in time."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]
    """Seconds since 1970, and the value then; one, for what was asked about a moment."""

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]

    @property
    def name(self) -> str:
        """The series as Prometheus writes it: `up{job="backend"}`."""
        labels = ", ".join(f'{key}="{value}"' for key, value in sorted(self.labels.items()) if key != "__name__")
        return self.labels.get("__name__", "") + (f"{{{labels}}}" if labels else "") or "{}"


@dataclass(frozen=True)
class Summary:
    """What a stretch of time comes to."""

    min: float
    avg: float
    max: float
    last: float


def read_series(answer: str) -> list[Series]:
    """Read what `promtool query --format=json` prints: a scalar, a vector or a matrix; the greatest first."""
    told = json.loads(answer)
    if told and not isinstance(told[0], dict):  # a scalar is its one point alone
        told = [{"metric": {}, "value": told}]
    found = [
        Series(one["metric"], tuple((float(when), float(value)) for when, value in one.get("values") or [one["value"]]))
        for one in told
    ]
    return sorted(found, key=lambda one: (math.isnan(one.last), -one.last, one.name))


def summarize(series: Series) -> Summary:
    """Give the least, the average, the greatest and the newest value; gaps and what is no number count for nothing."""
    values = [value for _, value in series.points if not math.isnan(value)] or [math.nan]
    return Summary(min(values), _mean(values), max(values), series.last)


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Draw values as a line of small bars, from the least to the greatest; several share one where there are many."""
    per_bar = math.ceil(len(values) / width)
    shares = [values[start : start + per_bar] for start in range(0, len(values), per_bar)] if values else []
    means = [_mean([one for one in share if math.isfinite(one)]) for share in shares]
    finite = [one for one in means if not math.isnan(one)]
    low, span = (min(finite), max(finite) - min(finite)) if finite else (0.0, 0.0)
    return "".join(" " if math.isnan(one) else _BARS[_height(one - low, span)] for one in means)


def figure(value: float) -> str:
    """Say a value of unknown unit: large and whole ones without a fraction, others with four significant digits."""
    if math.isfinite(value) and (abs(value) >= 1000 or value == round(value)):  # noqa: PLR2004 - four digits
        return f"{value:,.0f}"
    return f"{value:.4g}"


def seconds(text: str, flag: str) -> int:
    """Read `90s`, `15m`, `6h`, `7d` or `2w`."""
    found = re.fullmatch(r"(\d+)([smhdw])", text)
    if not found or not int(found[1]):
        raise UsageError(f"--{flag} {text}: no length of time", cure="Write it as 90s, 15m, 6h or 7d.")
    return int(found[1]) * _UNITS[found[2]]


def refusal(query: str, said: str) -> CotaiError:
    """Say in one line why Prometheus gave no answer; a query that is wrong is shown with a mark where."""
    found = next((match for line in said.splitlines() if (match := _REFUSAL.match(line))), None)
    if not found or found["kind"] not in _MISTAKES:
        last = (said.strip().splitlines() or ["it said nothing"])[-1].removeprefix("query error: ")
        if 'value type "string"' in last:
            return UsageError("the query is a text in quotes: leave them out")
        return UnhealthyError(
            f"Prometheus does not answer: {last}", cure="inv monitor.logs --svc prometheus shows why."
        )
    place = _place(query, int(found["line"]), int(found["column"])) if found["line"] else ("", "")
    return UsageError(f"Prometheus {_MISTAKES[found['kind']]}{place[0]}: {found['fault']}", evidence=place[1])


def _place(query: str, line: int, column: int) -> tuple[str, str]:
    """Say where a fault is, and show it."""
    lines = query.splitlines()
    where = f" at character {column}" + (f" of line {line}" if len(lines) > 1 else "")
    shown = lines[line - 1] if line <= len(lines) else ""
    return where, f"{shown}\n{' ' * (column - 1)}^"


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _height(above: float, span: float) -> int:
    return round(above / span * (len(_BARS) - 1)) if span else 0
