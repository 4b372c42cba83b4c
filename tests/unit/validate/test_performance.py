"""What the checks of performance decide."""

from __future__ import annotations

from typing import Any

import pytest

from cotai_tasks.validate.check import SkipCheck, State
from cotai_tasks.validate.groups.performance import (
    judge_api,
    judge_first_token,
    judge_gateway,
    judge_proxy,
    judge_soak,
    judge_tasks,
    percentile,
)


def series(*ms: float, **statuses: int) -> dict[str, Any]:
    counted = {name.removeprefix("s"): number for name, number in statuses.items()} or {"200": len(ms)}
    return {"ms": list(ms), "statuses": counted}


def test_percentiles() -> None:
    """Of many, of two, of one."""
    assert percentile(list(range(101)), 95) == 95
    assert percentile([10, 20], 50) == 15
    assert percentile([7.0], 95) == 7.0


def test_the_api() -> None:
    """PERF-01: slow for one in twenty, failing for more than one in a thousand, silent."""
    assert judge_api(series(*[20.0] * 500), "directly").state == State.PASS
    assert judge_api(series(*[20.0] * 450, *[300.0] * 50), "directly").evidence == (
        "one in twenty answers takes 300 ms or more",
    )
    assert judge_api(series(*[20.0] * 500, s200=499, s503=1), "directly").evidence == (
        "answers other than 200: 1 with 503 (0 is none at all)",
    )
    assert judge_api(series(*[20.0] * 2000, s200=1999, s503=1), "directly").state == State.PASS
    assert judge_api(series(), "directly").evidence == ("nothing was answered",)


def test_the_proxy() -> None:
    """PERF-02: what it adds, not what the application takes."""
    assert judge_proxy(series(*[105.0] * 100), series(*[100.0] * 100)).state == State.PASS
    assert judge_proxy(series(*[130.0] * 100), series(*[100.0] * 100)).evidence == ("it adds 30 ms",)


def test_the_gateway() -> None:
    """PERF-03: slow, or answering something else; a gateway of another kind."""
    assert judge_gateway(series(*[20.0] * 200)).state == State.PASS
    assert judge_gateway(series(*[600.0] * 200)).state == State.FAIL
    assert judge_gateway(series(*[20.0] * 200, s503=200)).state == State.FAIL
    assert judge_gateway(series()).state == State.FAIL
    with pytest.raises(SkipCheck):
        judge_gateway(series(*[20.0] * 200, s404=200))


@pytest.mark.parametrize(
    ("told", "gpu", "state"),
    [
        ([300.0] * 10, False, State.PASS),
        ([900.0] * 10, False, State.WARN),
        ([900.0] * 10, True, State.FAIL),
        ([300.0] * 9 + [None], False, State.FAIL),
        ([], False, State.FAIL),
    ],
)
def test_the_model(told: list[float | None], *, gpu: bool, state: State) -> None:
    """PERF-04: held against a GPU alone; an answer that never begins fails everywhere."""
    assert judge_first_token(told, gpu=gpu).state == state


def test_a_minute_of_load() -> None:
    """PERF-05: the last quarter against the first; too few answers prove nothing."""
    assert judge_soak(series(*[50.0] * 400)).state == State.PASS
    assert judge_soak(series(*[50.0] * 300, *[70.0] * 100)).evidence == ("p95 went from 50 to 70 ms",)
    assert judge_soak(series(*[70.0] * 100, *[50.0] * 300)).state == State.PASS
    assert judge_soak(series(*[50.0] * 100)).state == State.FAIL


def test_tasks() -> None:
    """PERF-06: slow for one in twenty; one that never came back."""
    assert judge_tasks([0.1] * 50).figure == "p95 100 ms there and back, of 50 tasks"
    assert judge_tasks([0.1] * 45 + [0.9] * 5).state == State.FAIL
    assert judge_tasks([0.1, 0.1, None]).figure == "a task never came back, after 2 that did"
    assert judge_tasks([]).state == State.FAIL
