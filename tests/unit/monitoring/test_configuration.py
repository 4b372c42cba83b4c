"""What the parts of monitoring say of one another: addresses, ports, networks, folders, labels of the logs."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from cotai_tasks.deploy.production import CONFIGURATION
from tests.unit.monitoring.queries import DOCKER, ROOT, read

FILES = ("docker/compose.yaml", "docker/compose.prod.yaml")
SERVICES: dict[str, list[dict[str, Any]]] = {}
for _file in FILES:
    for _name, _service in read(ROOT / _file)["services"].items():
        SERVICES.setdefault(_name, []).append(_service)

PORTS = {
    "mongodb-exporter": 9216,
    "nginx-exporter": 9113,
    "loki": 3100,
    "tempo": 3200,
    "otel-collector": 8888,
}
"""Of services whose health check shows none: by default, or by their own configuration."""
FOLDERS = ("prometheus", "alertmanager", "blackbox", "loki", "tempo", "otel", "grafana")


def networks(service: str) -> set[str]:
    """Give the networks of a service in production."""
    return {network for part in SERVICES[service] for network in part.get("networks", [])}


def port(service: str) -> int:
    checks = [str(part["healthcheck"].get("test", "")) for part in SERVICES[service] if "healthcheck" in part]
    found = re.findall(r"127\.0\.0\.1:(\d+)", checks[-1]) if checks else []
    return int(found[0]) if found else PORTS[service]


def addresses(configuration: dict[str, Any]) -> set[tuple[str, int]]:
    """Give the services and ports that a Prometheus asks or sends to, itself left out."""
    found = set()
    for job in configuration["scrape_configs"]:
        found |= {(one["names"][0], one["port"]) for one in job.get("dns_sd_configs", [])}
        for target in (target for one in job.get("static_configs", []) for target in one["targets"]):
            host, number = re.fullmatch(r"(?:http://)?([\w-]+):(\d+)(?:/.*)?", target).groups()  # type: ignore[union-attr]
            found.add((host, int(number)))
    return found - {("localhost", 9090)}


@pytest.mark.parametrize("name", ["prometheus.yml", "production.yml"])
def test_every_address_exists(name: str) -> None:
    """Each target is a service of the stack, at the port that it listens on, on a network that Prometheus is on."""
    configuration = read(DOCKER / "prometheus" / name)
    found = addresses(configuration)
    assert {service for service, _ in found} <= SERVICES.keys()
    assert dict(found) == {service: port(service) for service, _ in found}
    assert [service for service, _ in found if not networks(service) & networks("prometheus")] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("blackbox-exporter", "nginx"),
        ("blackbox-exporter", "backend"),
        ("nginx-exporter", "nginx"),
        ("grafana", "prometheus"),
        ("grafana", "loki"),
        ("grafana", "tempo"),
        ("alloy", "loki"),
        ("loki", "alertmanager"),
        ("otel-collector", "tempo"),
        ("backend", "otel-collector"),
        ("celery-worker", "otel-collector"),
        ("celery-worker-ai", "otel-collector"),
        ("llm-service", "otel-collector"),
    ],
)
def test_who_asks_another_can_reach_it(one: str, other: str) -> None:
    """They share a network."""
    assert networks(one) & networks(other)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_yaml(folder: str) -> None:
    """What the servers refuse to read would be found at the next deployment only."""
    files = [path for path in (DOCKER / folder).rglob("*") if path.suffix in {".yml", ".yaml"}]
    assert files
    for path in files:
        assert yaml.safe_load(path.read_text()), path


def test_production_prometheus_is_asked_below_its_prefix() -> None:
    """By itself, by Grafana and by its health check."""
    configuration = read(DOCKER / "prometheus/production.yml")
    own = next(job for job in configuration["scrape_configs"] if job["job_name"] == "prometheus")
    sources = read(DOCKER / "grafana/production/datasources/datasources.yaml")["datasources"]
    _, service = SERVICES["prometheus"]
    assert "--web.route-prefix=/metrics" in service["command"]
    assert own["metrics_path"] == "/metrics/metrics"
    assert sources[0]["url"] == "http://prometheus:9090/metrics"


def test_every_module_of_a_probe_exists() -> None:
    """Those of the configurations, and those of the targets that a deployment writes."""
    modules = read(DOCKER / "blackbox/blackbox.yml")["modules"].keys()
    named = {"https", "redirect"}
    for name in ("prometheus.yml", "production.yml"):
        for job in read(DOCKER / "prometheus" / name)["scrape_configs"]:
            named |= set(job.get("params", {}).get("module", []))
    assert named == modules


def test_every_mounted_folder_is_filled() -> None:
    """A folder of the volume `config` that nobody fills stops its container from being created."""
    _, production = (read(ROOT / file) for file in FILES)
    folders = {
        mount["volume"]["subpath"]
        for service in production["services"].values()
        for mount in service.get("volumes", [])
        if isinstance(mount, dict) and mount.get("source") == "config"
    }
    filled = {folder: CONFIGURATION.get(folder.split("/")[0], "") for folder in folders}
    assert {folder for folder, source in filled.items() if not source} == set()
    for folder, source in filled.items():
        assert (ROOT / source / folder.partition("/")[2]).is_dir(), folder


def test_every_line_of_a_log_names_its_service() -> None:
    """Alloy tells services apart by two labels that the engine writes beside each line, on every service."""
    wanted = {"com.docker.compose.project", "com.docker.compose.service"}
    configuration = (DOCKER / "alloy/config.alloy").read_text()
    assert set(re.findall(r'attrs\.\\"([\w.]+)\\"', configuration)) == wanted
    for name, parts in SERVICES.items():
        logging = parts[-1]["logging"]
        if logging["driver"] != "none":  # the helper that prints private keys
            assert set(logging["options"].get("labels", "").split(",")) == wanted, name


def test_the_parts_of_alloy_are_joined() -> None:
    """Every component that another one names is there."""
    text = (DOCKER / "alloy/config.alloy").read_text()
    made = {".".join(found) for found in re.findall(r'^([\w.]+) "(\w+)" \{', text, re.MULTILINE)}
    used = set(re.findall(r"\b((?:local|loki)\.\w+\.\w+)\.\w+", text))
    assert used <= made
    assert text.count("{") == text.count("}")


def test_pipelines_of_the_collector_are_joined() -> None:
    """Each part that a pipeline names is configured, and each that is configured is used."""
    configuration = read(DOCKER / "otel/config.yaml")
    [pipeline] = configuration["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == configuration[kind].keys(), kind


def test_logs_and_traces_end() -> None:
    """Nothing is kept for ever: by time, and by what one program may send."""
    loki, tempo = read(DOCKER / "loki/loki.yaml"), read(DOCKER / "tempo/tempo.yaml")
    assert loki["compactor"]["retention_enabled"]
    assert loki["limits_config"]["retention_period"] == "14d"
    assert tempo["compactor"]["compaction"]["block_retention"] == "168h"
    assert tempo["overrides"]["defaults"]["ingestion"]["rate_limit_bytes"]
