"""What the checks of monitoring decide."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from cotai_tasks.validate.check import Outcome, SkipCheck, State
from cotai_tasks.validate.groups import monitoring
from cotai_tasks.validate.groups.monitoring import (
    dashboard_queries,
    fires,
    judge_counters,
    judge_delivery,
    judge_metrics,
    judge_targets,
    once_settled,
)

UP = {"labels": {"job": "node", "instance": "node-exporter:9100"}, "health": "up", "lastError": ""}
DOWN = {"labels": {"job": "redis", "instance": "redis-exporter:9121"}, "health": "down", "lastError": "refused"}
CURE = "inv monitor.logs --svc NAME of what is down; docs/monitoring.md, TargetDown."


@pytest.mark.parametrize(
    ("targets", "outcome"),
    [
        ([UP, UP], Outcome(State.PASS, "2 of 2 up")),
        ([UP, DOWN], Outcome(State.FAIL, "1 of 2 up", ("redis (redis-exporter:9121): refused",), CURE)),
    ],
)
def test_targets(targets: list[dict[str, Any]], outcome: Outcome) -> None:
    """MON-01: one that is down fails, by its name."""
    assert judge_targets(targets) == outcome


def test_nothing_to_watch_is_no_health() -> None:
    """MON-01: a Prometheus without targets proves nothing."""
    assert judge_targets([]).state == State.FAIL


@pytest.mark.parametrize(
    ("query", "running", "state", "evidence"),
    [
        ("up == 0", set(), State.PASS, ()),
        ("rate(http_requests_total[5m])", set(), State.PASS, ()),
        ("rate(http_reqests_total[5m])", set(), State.FAIL, ("http_reqests_total: nothing shows it",)),
        (
            "container_start_time_seconds",
            set(),
            State.PASS,
            ("container_start_time_seconds: cadvisor does not run here",),
        ),
        (
            "container_start_time_seconds",
            {"cadvisor"},
            State.FAIL,
            ("container_start_time_seconds: nothing shows it",),
        ),
        (
            "cotai_backup_last_success_timestamp_seconds",
            set(),
            State.PASS,
            ("cotai_backup_last_success_timestamp_seconds: shown once there is a backup",),
        ),
        ("vector(1)", set(), State.FAIL, ("no rule names a metric",)),
    ],
)
def test_metrics(query: str, running: set[str], state: State, evidence: tuple[str, ...]) -> None:
    """MON-02: a name that nothing shows fails; what is left out, or comes later, is told."""
    found = judge_metrics([query], {"up", "http_requests"}, running)
    assert (found.state, found.evidence) == (state, evidence)


@pytest.mark.parametrize(("settled", "state", "seconds"), [(2, State.PASS, 6), (1000, State.FAIL, 42)])
def test_a_stack_that_has_just_started_has_time(
    monkeypatch: pytest.MonkeyPatch, settled: int, state: State, seconds: float
) -> None:
    """MON-01, MON-02: what is wrong before everything was asked once is looked at again, and no longer than that."""
    clock, looks = SimpleNamespace(now=0.0), count()

    def sleep(pause: float) -> None:
        clock.now += pause

    monkeypatch.setattr(monitoring, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    found = once_settled(lambda: Outcome(State.PASS if next(looks) >= settled else State.FAIL, ""))
    assert (found.state, clock.now) == (state, seconds)


def test_dashboards_are_read() -> None:
    """Those panels that ask Prometheus."""
    text = """{"panels": [{"datasource": {"type": "prometheus"}, "targets": [{"expr": "up"}]},
                          {"datasource": {"type": "loki"}, "targets": [{"expr": "{a=\\"b\\"}"}]}]}"""
    assert dashboard_queries([text]) == ["up"]


@pytest.mark.parametrize(("after", "state"), [(9.2, State.PASS), (61.0, State.FAIL), (None, State.FAIL)])
def test_delivery(after: float | None, state: State) -> None:
    """MON-03: late is as bad as never."""
    assert judge_delivery(after).state == state


def test_an_alert_is_found_by_name_place_and_state() -> None:
    """MON-04: one that is pending, or of somebody else, does not count."""

    def alert(**changes: str) -> dict[str, Any]:
        labels = {"alertname": "TargetDown", "instance": "redis-exporter:9121"} | changes
        return {"state": labels.pop("state", "firing"), "labels": labels}

    assert fires([alert()], "TargetDown", "redis-exporter")
    assert not fires([alert(state="pending")], "TargetDown", "redis-exporter")
    assert not fires([alert(instance="node-exporter:9100")], "TargetDown", "redis-exporter")
    assert not fires([alert(alertname="Watchdog")], "TargetDown", "redis-exporter")


def test_counters() -> None:
    """MON-08: one that falls, or disappears, fails by its name and figures."""
    fine: dict[str, Any] = {"status": 200, "counters": 3, "down": {}}
    fell = fine | {"down": {'a_total{b="c"}': [5.0, 2.0], "b_total": [1.0, None]}}
    assert judge_counters({"10.0.0.2:8000": fine}) == Outcome(State.PASS, "3 counters of 1 container")
    assert judge_counters({"10.0.0.2:8000": fine, "10.0.0.3:8000": fell}).evidence == (
        '10.0.0.3:8000: a_total{b="c"} from 5 to 2',
        "10.0.0.3:8000: b_total from 1 to nothing",
    )
    assert judge_counters({"10.0.0.2:8000": fine | {"counters": 0}}).state == State.WARN
    assert judge_counters({"10.0.0.2:8000": fine | {"status": 500}}).state == State.FAIL
    with pytest.raises(SkipCheck):
        judge_counters({"10.0.0.2:8000": fine | {"status": 404}})


def test_excuses_name_what_may_be_left_out() -> None:
    """An excuse for a service that every stack has would excuse its failure."""
    assert set(monitoring.ELSEWHERE.values()) <= {"cadvisor", "loki", "nginx-exporter", "celery-exporter"}
