"""What rules and dashboards ask: read from the files that Prometheus, Loki and Grafana read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
RULE_FILES = sorted(DOCKER.glob("prometheus/rules*/*.yml"))
LOG_RULE_FILES = sorted(DOCKER.glob("loki/rules/*/*.yaml"))
DASHBOARDS = sorted(DOCKER.glob("grafana/**/*.json"))
FIRING = DOCKER / "prometheus/tests/firing.yml"


def read(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    return yaml.safe_load(path.read_text())


def rules(files: list[Path]) -> list[dict[str, Any]]:
    return [rule for path in files for group in read(path)["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Give every alerting rule, of metrics and of logs."""
    return [rule for rule in rules(RULE_FILES + LOG_RULE_FILES) if "alert" in rule]


def panels() -> list[tuple[str, str, str]]:
    """Give every query of every dashboard: panel, kind of the data source, query."""
    return [
        (panel["title"], panel["datasource"]["type"], target["expr"])
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]


def queries() -> list[str]:
    """Give everything that Prometheus is asked, by rules and by dashboards."""
    return [rule["expr"] for rule in rules(RULE_FILES)] + [expr for _, kind, expr in panels() if kind == "prometheus"]
