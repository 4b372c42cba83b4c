"""The figures in what checks hand over: milliseconds, memory, who reaches whom. What is none of these is left alone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUANTILES = (0.5, 0.95, 0.99)
"""Those that are told of every series."""

_LIMIT = re.compile(r"(?:p(?P<quantile>\d{2}) )?< ?(?P<figure>\d+(?:\.\d+)?) (?P<unit>ms|s)\b")
_PAIR = 2


@dataclass(frozen=True)
class Limit:
    """What a series of milliseconds is held against."""

    text: str
    """As the threshold tells it: `p95 < 50 ms`."""
    milliseconds: float
    quantile: float | None = None
    """The one that is meant, where the threshold names one."""


@dataclass(frozen=True)
class Memory:
    """What a container needed at most, and what it may have: bytes."""

    peak: float
    limit: float

    @property
    def share(self) -> float:
        """The part of the limit that was needed."""
        return self.peak / self.limit


@dataclass(frozen=True)
class Matrix:
    """Who reaches which port, and who may."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    opened: frozenset[tuple[str, str]]
    allowed: frozenset[tuple[str, str]]

    @property
    def undue(self) -> list[tuple[str, str]]:
        """Ways that are open and not allowed."""
        return sorted(self.opened - self.allowed)

    @property
    def missing(self) -> list[tuple[str, str]]:
        """Ways that are allowed and closed."""
        return sorted(self.allowed - self.opened)


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value that this share of them does not exceed, between two of them where it falls there."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = ordered[math.floor(place)]
    return below + (ordered[math.ceil(place)] - below) * (place % 1)


def limit(threshold: str) -> Limit | None:
    """Read what a threshold says of milliseconds or seconds, if it does."""
    found = _LIMIT.search(threshold)
    if not found:
        return None
    factor = 1000 if found["unit"] == "s" else 1
    share = int(found["quantile"]) / 100 if found["quantile"] else None
    return Limit(found[0], float(found["figure"]) * factor, share)


def latencies(data: Mapping[str, Any]) -> dict[str, list[float]]:
    """Find the series of milliseconds by name; a single one has the empty name."""
    found = data.get("latencies_ms")
    named = found if isinstance(found, dict) else {"": found}
    return {name: series for name, values in named.items() if (series := _numbers(values))}


def memory(data: Mapping[str, Any]) -> dict[str, Memory]:
    """Find each container's memory; one without a limit has no share of it, and is left out."""
    found = data.get("memory")
    return {
        name: Memory(one["peak"], one["limit"])
        for name, one in (found.items() if isinstance(found, dict) else ())
        if isinstance(one, dict) and _number(one.get("peak")) and _number(one.get("limit")) and one["limit"] > 0
    }


def matrix(data: Mapping[str, Any]) -> Matrix | None:
    """Find who reaches whom."""
    found = data.get("matrix")
    if not isinstance(found, dict) or not _texts(found.get("rows")) or not _texts(found.get("columns")):
        return None
    return Matrix(
        tuple(found["rows"]), tuple(found["columns"]), _pairs(found.get("open")), _pairs(found.get("allowed"))
    )


def measured(data: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Give the figures of a check that can be compared from run to run, by name, each with its unit."""
    found = {
        f"{name} p95".strip(): (round(quantile(values, 0.95), 3), "ms") for name, values in latencies(data).items()
    }
    return found | {f"{name} memory": (one.peak, "bytes") for name, one in memory(data).items()}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _numbers(values: object) -> list[float]:
    return [float(one) for one in values if _number(one)] if isinstance(values, list) else []


def _texts(values: object) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(one, str) for one in values)


def _pairs(values: object) -> frozenset[tuple[str, str]]:
    listed = values if isinstance(values, list) else []
    return frozenset((one[0], one[1]) for one in listed if _texts(one) and len(one) == _PAIR)
