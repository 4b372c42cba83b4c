"""One HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cotai_tasks.console import count, duration, size
from cotai_tasks.validate.catalogue import GROUPS
from cotai_tasks.validate.check import State
from cotai_tasks.validate.reports import plots
from cotai_tasks.validate.reports.figures import QUANTILES, latencies, limit, matrix, memory, quantile
from cotai_tasks.validate.reports.ranks import MARKS, WORST_FIRST, ranked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.validate.reports.figures import Matrix, Memory

_HERE = Path(__file__).parent
_MOVED = 0.1
"""The part by which a figure must have changed to be told as news."""
_NEWS = 10
"""Figures that are told as news."""


def page(document: dict[str, Any]) -> str:
    """Write the document as a page; whatever was seen somewhere is text in it, and nothing else."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"duration": duration, "moment": moment, "measure": measure, "change": change}
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("page.html").render(view(document), style=Markup(style), digest=digest)  # noqa: S704 - ours


def view(document: dict[str, Any]) -> dict[str, Any]:
    """Give what the page shows: the document, its drawings, and its checks in the orders in which they are read."""
    checks = document["checks"]
    headline, _, detail = document["verdict"]["text"].partition(": ")
    return {
        "document": document,
        "headline": headline,
        "detail": detail,
        "marks": MARKS,
        "states": [str(one) for one in WORST_FIRST],
        "promises": {one["id"]: one["promise"] for one in checks},
        "loud": [one for one in ranked(checks) if one["state"] in {State.FAIL, State.ERROR, State.WARN}],
        "groups": [(key, GROUPS[key], list(found)) for key, found in groupby(checks, key=lambda one: one["group"])],
        "proportions": plots.proportions(document["counts"]["states"], "Checks by state"),
        "trend": plots.trend(document["trend"], "The last runs"),
        "news": _news(document),
        "latencies": [_latency(one, document) for one in checks if latencies(one["data"])],
        "memory": [(one, list(_memory(one, document))) for one in checks if memory(one["data"])],
        "networks": [_network(one, found) for one in checks if (found := matrix(one["data"]))],
    }


def moment(text: str) -> str:
    """Give a time as it is read: `27 November 2026, 13:45 UTC`."""
    return datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M UTC")


def measure(value: float, unit: str) -> str:
    """Give a figure with its unit."""
    return plots.milliseconds(value) if unit == "ms" else size(value)


def change(part: float) -> str:
    """Give a change as it is read: `+12 %`."""
    return f"{part:+.0%}".replace("%", " %").replace("-", "\N{MINUS SIGN}")


def _news(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the figures that changed most since the last run."""
    figures = (document["changes"] or {"figures": []})["figures"]
    moved = [one for one in figures if abs(one["change"]) >= _MOVED]
    return sorted(moved, key=lambda one: -abs(one["change"]))[:_NEWS]


def _latency(check: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    series, held = latencies(check["data"]), limit(check["threshold"])
    return {
        "check": check,
        "plot": plots.percentiles(series, held, f"{check['id']} {check['promise']}"),
        "quantiles": [f"p{one * 100:.0f}" for one in QUANTILES],
        "rows": [
            {
                "style": f"s{number % plots.STYLES}",
                "name": name or "all",
                "count": len(values),
                "quantiles": [plots.milliseconds(quantile(values, one)) for one in QUANTILES],
                **_past(check["id"], f"{name} p95".strip(), document),
            }
            for number, (name, values) in enumerate(series.items())
        ],
    }


def _memory(check: dict[str, Any], document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a row for each container, the tightest first."""
    found: dict[str, Memory] = memory(check["data"])
    for name, one in sorted(found.items(), key=lambda item: -item[1].share):
        yield {
            "name": name,
            "bar": plots.bar(one, name),
            "peak": size(one.peak),
            "limit": size(one.limit),
            "share": f"{one.share:.0%}".replace("%", " %"),
            "tightness": plots.tightness(one),
            **_past(check["id"], f"{name} memory", document),
        }


def _network(check: dict[str, Any], found: Matrix) -> dict[str, Any]:
    return {
        "check": check,
        "plot": plots.network(found, f"{check['id']} {check['promise']}"),
        "undue": found.undue,
        "missing": found.missing,
        "told": f"{count(len(found.opened & found.allowed), 'way')} open as allowed",
    }


def _past(identity: str, name: str, document: dict[str, Any]) -> dict[str, Any]:
    """Give how a figure changed since the last run, and a drawing of how it went before that."""
    values = [found for run in document["trend"] if (found := run["values"].get(identity, {}).get(name)) is not None]
    figures = (document["changes"] or {"figures": []})["figures"]
    return {
        "change": next((one["change"] for one in figures if (one["id"], one["name"]) == (identity, name)), None),
        "spark": plots.spark(values, f"{name}, the last runs") if len(values) > 1 else "",
    }
