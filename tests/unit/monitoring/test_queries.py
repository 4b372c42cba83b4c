"""Rules and dashboards name what exists, and every alert is explained and has been seen to fire."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cotai_tasks.validate.groups.monitoring import metric_names as metrics
from tests.unit.monitoring.queries import (
    DASHBOARDS,
    DOCKER,
    FIRING,
    ROOT,
    RULE_FILES,
    alerts,
    panels,
    queries,
    read,
    rules,
)

RECORDED: dict[str, dict[str, list[str]]] = read(Path(__file__).parent / "metrics.yaml")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ('sum by (le) (rate(a_bucket{b="c, d"}[5m])) > 0.5', {"a_bucket"}),
        ('a{x=~"y|z"} / on (instance) group_left (name) b unless on (instance) c == 1', {"a", "b", "c"}),
        ("predict_linear(a[6h], 24 * 3600) < 0 and b / c < 0.5", {"a", "b", "c"}),
        ("own:rule:ratio5m > 14.4 * 0.001 or vector(0)", set()),
        ("time() - a > 48 * 3600", {"a"}),
    ],
)
def test_names_of_metrics_are_found(query: str, named: set[str]) -> None:
    """The reader itself: labels, functions, operators and numbers are no metrics."""
    assert metrics(query) == named


def test_every_metric_exists() -> None:
    """A rule on a name that nobody shows is silent for ever; what is recorded and not used any more goes."""
    known = [name for group in RECORDED.values() for names in group.values() for name in names]
    assert {name: count for name, count in Counter(known).items() if count > 1} == {}
    assert {name for query in queries() for name in metrics(query)} == set(known)


def test_recorded_ratios_exist() -> None:
    """A rule or a dashboard that names a recording rule names one that is there."""
    recorded = {rule["record"] for rule in rules(RULE_FILES) if "record" in rule}
    used = {name for query in queries() for name in re.findall(r"\b\w+:\w+:\w+\b", query)}
    assert used == recorded


def test_every_alert_says_what_and_how_bad() -> None:
    """A name once, a severity that is routed, one sentence."""
    assert [name for name, count in Counter(rule["alert"] for rule in alerts()).items() if count > 1] == []
    for rule in alerts():
        assert rule["labels"].keys() == {"severity"}, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}, rule["alert"]
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]


def test_every_alert_has_been_seen_to_fire() -> None:
    """Each has a history in the rule tests in which it fires."""
    fired = set(re.findall(r'labels: \'\{alertname="(\w+)"\}\'', FIRING.read_text()))
    assert fired == {rule["alert"] for rule in rules(RULE_FILES) if "alert" in rule}


def test_every_alert_is_explained() -> None:
    """docs/monitoring.md says of each what to do, and of no other, at the anchor that `monitor.health` names."""
    page = (ROOT / "docs/monitoring.md").read_text()
    names = [rule["alert"] for rule in alerts()]
    found = re.findall(r'^\| <a id="(\w+)"></a>`(\w+)` \|', page, re.MULTILINE)
    assert found == [(name.lower(), name) for name in names]


def test_inhibitions_name_alerts() -> None:
    """What Alertmanager keeps back, and for what, exists."""
    names = {rule["alert"] for rule in alerts()}
    for path in sorted(DOCKER.glob("alertmanager/*.yml")):
        configuration: dict[str, Any] = read(path)
        matchers = [
            text
            for rule in configuration["inhibit_rules"]
            for text in rule["source_matchers"] + rule["target_matchers"]
        ] + [text for route in configuration["route"].get("routes", []) for text in route["matchers"]]
        named = {
            name
            for text in matchers
            if text.startswith("alertname")
            for name in re.sub(r"^alertname\s*=~?\s*", "", text).strip('"').split("|")
        }
        assert named <= names, path


def test_panels_ask_sources_that_are_there() -> None:
    """Each dashboard's data sources are provisioned; development has Prometheus alone."""
    sources = read(DOCKER / "grafana/production/datasources/datasources.yaml")["datasources"]
    assert {one["uid"] for one in sources} == {one["type"] for one in sources} == {"prometheus", "loki", "tempo"}
    shared = [path for path in DASHBOARDS if path.parent.name == "dashboards" and path.parent.parent.name == "grafana"]
    assert shared
    assert {kind for _, kind, _ in panels()} <= {"prometheus", "loki"}
    assert all("loki" not in path.read_text() for path in shared)
