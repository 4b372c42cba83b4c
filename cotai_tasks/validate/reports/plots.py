"""Drawings as SVG, from plain data: colours and line styles are the page's, every text in them is escaped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from cotai_tasks.console import count, duration, size
from cotai_tasks.validate.reports.figures import QUANTILES, quantile
from cotai_tasks.validate.reports.history import KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cotai_tasks.validate.reports.figures import Limit, Matrix, Memory

STYLES = 6
"""Line styles of the page, `.s0` to `.s5`, told apart by colour and by dashes; then they begin again."""

_WIDTH, _HEIGHT = 440, 260
_LEFT, _TOP, _BOTTOM = 50, 18, 28
_SMALLEST = 0.01
"""Milliseconds: below it nothing is drawn, for the scale has no zero."""
_BESIDE = 122
"""Room for the names beside the curves, and for so many letters of each."""
_LETTERS = 15
_LEAD = 14
"""Between the names beside two curves."""
_TAIL = ((0.0, "min"), (0.5, "p50"), (0.9, "p90"), (0.95, "p95"), (0.99, "p99"), (0.999, "p99.9"))
_FEW = 4
"""Faults whose column is as high as the picture, unless there were more: one fault looks like one."""
_ENOUGH = 1000
"""Measurements from which one in a thousand means something."""


def percentiles(series: Mapping[str, Sequence[float]], limit: Limit | None, title: str) -> Markup:
    """Draw the percentile curve of each series, its p50, p95 and p99 marked, and the limit that one of them has.

    Both scales are logarithmic: a step to the right is ten times rarer, one upwards so many times slower.
    """
    most = max(len(values) for values in series.values())
    ticks = [one for one in _TAIL if one[0] <= 0.99 or most >= _ENOUGH]  # noqa: PLR2004 - p99
    rarest = 1 - ticks[-1][0]
    edge = _WIDTH - (_BESIDE if any(series) else 16)
    steps = _steps([*(v for values in series.values() for v in values), *([limit.milliseconds] if limit else [])])

    def across(share: float) -> float:
        return _LEFT + (edge - _LEFT) * math.log(max(1 - share, rarest)) / math.log(rarest)

    def down(value: float) -> float:
        part = math.log(max(value, steps[0]) / steps[0]) / math.log(steps[-1] / steps[0])
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - part)

    parts = [_grid(ticks, steps, across, down)]
    if limit:
        y = down(limit.milliseconds)
        parts.append(_line("limit", _LEFT, y, edge, y))
        parts.append(_text("limit-text", _LEFT + 6, y - 5, limit.text))
    shares = [1 - rarest ** (step / 90) for step in range(91)]
    ends = []
    for number, (name, values) in enumerate(series.items()):
        style = f"s{number % STYLES}"
        points = " ".join(f"{across(one):.1f},{down(quantile(values, one)):.1f}" for one in shares)
        parts.append(Markup('<polyline class="curve {}" points="{}"/>').format(style, points))
        for share in QUANTILES:
            found = quantile(values, share)
            told = f"{name} p{share * 100:.0f}: {milliseconds(found)}".strip()
            place = (style, f"{across(share):.1f}", f"{down(found):.1f}", told)
            parts.append(
                Markup('<circle class="dot {}" cx="{}" cy="{}" r="4"><title>{}</title></circle>').format(*place)
            )
        ends.append((down(quantile(values, 1 - rarest)), style, name))
    parts += _names(ends, edge + 8)
    about = "; ".join(
        f"{name or 'all'}: " + ", ".join(f"p{one * 100:.0f} {milliseconds(quantile(values, one))}" for one in QUANTILES)
        for name, values in series.items()
    )
    return _drawing("percentiles", _WIDTH, _HEIGHT, title, about, parts)


def bar(memory: Memory, title: str) -> Markup:
    """Draw how much of its limit a container needed, with marks where it becomes tight."""
    width = f"{min(memory.share, 1) * 100:.1f}"
    about = f"{size(memory.peak)} of {size(memory.limit)}, {memory.share:.0%}"
    parts = [
        Markup('<rect class="bar-rest" width="100" height="10"/>'),
        Markup('<rect class="bar-used {}" width="{}" height="10"/>').format(tightness(memory), width),
        *(_line("bar-mark", x, 0, x, 10) for x in (80, 95)),
    ]
    return _drawing("bar", 100, 10, title, about, parts, stretched=True)


def tightness(memory: Memory) -> str:
    """Say how tight memory was: `roomy`, `tight` from 80 % of the limit, `full` from 95 %."""
    return "full" if memory.share >= 0.95 else "tight" if memory.share >= 0.8 else "roomy"  # noqa: PLR2004


def network(matrix: Matrix, title: str) -> Markup:
    """Draw who reaches which port: a dot where that is meant, a cross where it is not, a ring where it should."""
    cell, left = 20, 12 + 7 * max(len(one) for one in matrix.rows)
    top = 14 + 6 * max(len(one) for one in matrix.columns)
    width, height = left + cell * len(matrix.columns) + 60, top + cell * len(matrix.rows) + 6
    parts = []
    for index, name in enumerate(matrix.rows):
        y = top + cell * index
        parts.append(
            Markup('<rect class="band{}" x="0" y="{}" width="{}" height="{}"/>').format(index % 2, y, width - 60, cell)
        )
        parts.append(_text("row-name", left - 8, y + 14, name))
    for index, name in enumerate(matrix.columns):
        x = left + cell * index + 13
        parts.append(_line("thread", x - 3, top - 4, x - 3, height - 6))
        parts.append(
            Markup('<text class="column-name" transform="translate({} {}) rotate(-55)">{}</text>').format(
                x, top - 8, name
            )
        )
    for row, source in enumerate(matrix.rows):
        for column, target in enumerate(matrix.columns):
            x, y = left + cell * column + cell // 2, top + cell * row + cell // 2
            parts.append(_way((source, target), matrix, x, y))
    undue, missing = count(len(matrix.undue), "way"), count(len(matrix.missing), "way")
    about = f"{undue} open and not allowed, {missing} allowed and closed"
    return _drawing("network", width, height, title, about, parts, kept=True)


def trend(points: Sequence[Mapping[str, Any]], title: str) -> Markup:
    """Draw the last runs: a column of what went wrong in each, and a dot below that says whether it was fit."""
    troubled = any(sum(_troubles(one).values()) for one in points)
    tall, step = (84 if troubled else 24), 24
    worst = max(_FEW, *(sum(_troubles(one).values()) for one in points))
    parts = [_line("axis", 0, tall + 4, step * KEPT, tall + 4)]
    for index, one in enumerate(points):
        x, y = step * index + 4, float(tall)
        told = ", ".join(f"{number} {state}" for state, number in one["counts"].items() if number)
        parts.append(Markup("<g><title>{}</title>").format(f"{one['started']}: {told}, in {duration(one['seconds'])}"))
        parts.append(Markup('<rect class="hit" x="{}" y="0" width="{}" height="{}"/>').format(x - 4, step, tall + 20))
        for state, number in _troubles(one).items():
            high = number / worst * (tall - 4)
            y -= high
            parts.append(
                Markup('<rect class="is-{}" x="{}" y="{:.1f}" width="14" height="{:.1f}"/>').format(state, x, y, high)
            )
        parts.append(_verdict(x + 7, tall + 13, fit=one["fit"]))
        parts.append(Markup("</g>"))
    fit = sum(one["fit"] for one in points)
    return _drawing("trend", step * KEPT, tall + 20, title, f"{fit} of {len(points)} were fit", parts)


def proportions(states: Mapping[str, int], title: str) -> Markup:
    """Draw one stripe of all checks, a part of it to each state."""
    total = sum(states.values()) or 1
    parts, x = [], 0.0
    for state, number in states.items():
        width = 100 * number / total
        parts.append(Markup('<rect class="is-{}" x="{:.2f}" width="{:.2f}" height="6"/>').format(state, x, width))
        x += width
    about = ", ".join(f"{number} {state}" for state, number in states.items() if number)
    return _drawing("proportions", 100, 6, title, about, parts, stretched=True)


def spark(values: Sequence[float], title: str) -> Markup:
    """Draw how one figure went over the last runs; two values at least."""
    low, high = min(values), max(values)
    span = high - low or 1
    places = [(80 * index / (len(values) - 1) + 3, 19 - 16 * (one - low) / span) for index, one in enumerate(values)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [
        Markup('<polyline class="spark-line" points="{}"/>').format(points),
        Markup('<circle class="spark-end" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(*places[-1]),
    ]
    return _drawing("spark", 86, 22, title, f"{len(values)} runs", parts)


def milliseconds(value: float) -> str:
    """Give a length of time as it is read: three digits of it."""
    if value >= 1000:  # noqa: PLR2004 - a second
        return f"{value / 1000:.3g} s"
    return f"{value:.3g} ms"


def _drawing(
    kind: str,
    width: float,
    height: float,
    title: str,
    about: str,
    parts: Iterable[Markup],
    *,
    stretched: bool = False,
    kept: bool = False,
) -> Markup:
    """Put a drawing together, with its name and what it says for those who do not see it.

    It is as wide as its place allows; `kept` in its own size, `stretched` without its proportions.
    """
    form = Markup(' preserveAspectRatio="none"') if stretched else ""
    if kept:
        form = Markup(' width="{}" height="{}"').format(width, height)
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}"{} role="img" aria-label="{}"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(kind, width, height, form, f"{title}: {about}", title, about, Markup("").join(parts))


def _grid(ticks: Any, steps: Sequence[float], across: Any, down: Any) -> Markup:  # noqa: ANN401 - two scales
    parts = []
    edge = across(ticks[-1][0])
    for value in steps:
        y = down(value)
        parts += [_line("grid", _LEFT, y, edge, y), _text("tick-y", _LEFT - 7, y + 4, milliseconds(value))]
    for share, name in ticks:
        x = across(share)
        parts += [_line("grid", x, _TOP, x, _HEIGHT - _BOTTOM), _text("tick-x", x, _HEIGHT - _BOTTOM + 18, name)]
    return Markup("").join(parts)


def _steps(values: Iterable[float]) -> list[float]:
    """Give the round figures (1, 2, 5 and their tens) from just below the smallest to just above the largest."""
    found = [max(one, _SMALLEST) for one in values]
    low, high = min(found), max(found)
    every = [figure * 10.0**power for power in range(-2, 8) for figure in (1, 2, 5)]
    first = max(index for index, one in enumerate(every) if one <= low)
    last = next(index for index, one in enumerate(every) if one >= high)
    return every[first : max(last, first + 1) + 1]


def _names(ends: Sequence[tuple[float, str, str]], x: float) -> Iterable[Markup]:
    """Write each curve's name at its end, one below the other."""
    last = -math.inf
    for y, style, name in sorted(ends):
        last = max(y + 4, last + _LEAD)
        short = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
        yield _text(f"name {style}", x, last, short)


def _way(way: tuple[str, str], matrix: Matrix, x: int, y: int) -> Markup:
    """Draw one way of the matrix."""
    opened, may = way in matrix.opened, way in matrix.allowed
    told = f"{way[0]} → {way[1]}: {'open' if opened else 'closed'}, {'allowed' if may else 'not allowed'}"
    title = Markup("<title>{}</title>").format(told)
    if opened and may:
        shape = Markup('<circle class="way" cx="{}" cy="{}" r="5">{}</circle>').format(x, y, title)
    elif opened:
        box = Markup('<rect x="{}" y="{}" width="18" height="18" rx="3"/>').format(x - 9, y - 9)
        cross = Markup('<path d="M{0} {1}l8 8m0 -8l-8 8"/>').format(x - 4, y - 4)
        shape = Markup('<g class="undue">{}{}{}</g>').format(title, box, cross)
    elif may:
        shape = Markup('<circle class="missing" cx="{}" cy="{}" r="5.5">{}</circle>').format(x, y, title)
    else:
        shape = Markup('<circle class="shut" cx="{}" cy="{}" r="1">{}</circle>').format(x, y, title)
    return shape


def _verdict(x: float, y: float, *, fit: bool) -> Markup:
    if fit:
        return Markup('<circle class="is-pass" cx="{}" cy="{}" r="3.5"/>').format(x, y)
    return Markup('<path class="stroke-fail" d="M{} {}l7 7m0 -7l-7 7"/>').format(x - 3.5, y - 3.5)


def _troubles(point: Mapping[str, Any]) -> dict[str, int]:
    return {state: point["counts"][state] for state in ("fail", "error", "warn")}


def _line(style: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(style, x1, y1, x2, y2)


def _text(style: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(style, x, y, text)
