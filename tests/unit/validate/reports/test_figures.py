"""The figures in what checks hand over."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from cotai_tasks.validate.reports.figures import (
    Limit,
    Matrix,
    Memory,
    latencies,
    limit,
    matrix,
    measured,
    memory,
    quantile,
)


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([7], 0.99, 7), ([3, 1, 2, 4], 0.5, 2.5), (list(range(101)), 0.95, 95), ([2, 1], 0, 1), ([2, 1], 1, 2)],
)
def test_a_quantile_is_what_statistics_calls_one(values: list[float], share: float, found: float) -> None:
    """With the ends of what was measured as its ends, so that the page and a check's figure tell the same."""
    assert quantile(values, share) == found
    if len(values) > 1 and 0 < share < 1:
        told = statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]
        assert found == pytest.approx(told)


@pytest.mark.parametrize(
    ("threshold", "found"),
    [
        ("p95 < 200 ms, errors < 0.1 %", Limit("p95 < 200 ms", 200, 0.95)),
        ("p95 < 0.5 s", Limit("p95 < 0.5 s", 500, 0.95)),
        ("< 2 s", Limit("< 2 s", 2000)),
        ("drift < 20 %", None),
        ("peak < 80 %, < 2 states", None),
        ("as declared", None),
    ],
)
def test_a_threshold_tells_its_limit(threshold: str, found: Limit | None) -> None:
    """Where it is one of time."""
    assert limit(threshold) == found


@pytest.mark.parametrize(
    ("found", "series"),
    [
        ([1, 2.5], {"": [1, 2.5]}),
        ({"reads": [1], "writes": []}, {"reads": [1]}),
        ([1, None, "2", True, -1, 3], {"": [1, 3]}),
        ("fast", {}),
        (None, {}),
        ({}, {}),
    ],
)
def test_series_are_found_where_they_are(found: Any, series: dict[str, list[float]]) -> None:  # noqa: ANN401 - anything
    """What is no series of numbers is not drawn, and breaks nothing."""
    assert latencies({"latencies_ms": found}) == series


@pytest.mark.parametrize(
    ("found", "containers"),
    [
        ({"a": {"peak": 1, "limit": 2}}, {"a": Memory(1, 2)}),
        ({"a": {"peak": 1, "limit": 0}, "b": {"peak": None, "limit": 2}, "c": 5, "d": {}}, {}),
        ([1], {}),
        (None, {}),
    ],
)
def test_memory_is_found_where_it_is(found: Any, containers: dict[str, Memory]) -> None:  # noqa: ANN401
    """Without a limit there is no share of it."""
    assert memory({"memory": found}) == containers


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            {"rows": ["a"], "columns": ["b:1", "c:2"], "open": [["a", "b:1"], ["a"], 3], "allowed": [["a", "c:2"]]},
            Matrix(("a",), ("b:1", "c:2"), frozenset({("a", "b:1")}), frozenset({("a", "c:2")})),
        ),
        ({"rows": ["a"], "columns": ["b:1"]}, Matrix(("a",), ("b:1",), frozenset(), frozenset())),
        ({"rows": [], "columns": ["b:1"]}, None),
        ({"rows": "a", "columns": ["b:1"]}, None),
        ([], None),
    ],
)
def test_a_matrix_is_found_where_it_is(found: Any, told: Matrix | None) -> None:  # noqa: ANN401
    """Rows and columns make one; what is no pair is no way."""
    assert matrix({"matrix": found}) == told


def test_a_matrix_tells_what_is_undue_and_what_is_missing() -> None:
    """Both are what somebody has to look at."""
    ways = Matrix(("a",), ("b", "c", "d"), frozenset({("a", "b"), ("a", "c")}), frozenset({("a", "c"), ("a", "d")}))
    assert (ways.undue, ways.missing) == ([("a", "b")], [("a", "d")])


def test_what_can_be_compared_has_a_name_and_a_unit() -> None:
    """The p95 of each series, the peak of each container."""
    data = {"latencies_ms": {"": [2, 2], "reads": [3]}, "memory": {"a": {"peak": 5, "limit": 9}}, "other": [1]}
    assert measured(data) == {"p95": (2, "ms"), "reads p95": (3, "ms"), "a memory": (5, "bytes")}
