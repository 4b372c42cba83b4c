"""Monitoring, read by the servers' own programs: configurations, rules that fire, probes and queries that answer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
import yaml

from cotai_tasks.backup.metrics import FILE, render
from cotai_tasks.backup.metrics import METRICS as METRICS_OF_BACKUPS
from cotai_tasks.deploy.alerting import alerting_files
from cotai_tasks.envfile import read_env_file
from cotai_tasks.security.certificates import issue, make_authority
from tests.unit.deploy.stacks import settings
from tests.unit.monitoring.queries import DOCKER, FIRING, RULE_FILES, queries, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

NAME = "cotai.example.org"
DOCKER_CLIENT = os.environ.get("COTAI_DOCKER") or "docker"
LIVE = os.environ.get("COTAI_TEST_PROMETHEUS", "http://127.0.0.1:9090")
METRICS = Path(__file__).parents[1] / "unit/monitoring/metrics.yaml"
PATIENCE = 20
"""Seconds for a small server to listen."""


def image(variable: str, engine: Engine) -> str:
    """Give the image of that variable that is on this host, from whichever source; skip when there is none."""
    files = (DOCKER / "images.env", DOCKER / "offline/images.env")
    names = [read_env_file(path, path.name).values[variable] for path in files]
    present = engine.images(*names)
    found = [name for name in names if name in present]
    if not found:
        pytest.skip(f"neither of {', '.join(names)} is on this host")
    return found[0]


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DOCKER_CLIENT, *arguments], capture_output=True, text=True, check=False)


def program(
    image_name: str, entrypoint: str, folders: dict[Path, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a server's own program on folders of this host, without a network."""
    mounts = [f"--volume={source}:{target}:ro" for source, target in folders.items()]
    return docker("run", "--rm", "--network=none", f"--entrypoint={entrypoint}", *mounts, image_name, *arguments)


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """Give docker/ as the volume `config` has it, with what is rendered for a name and a webhook."""
    for name in ("prometheus", "alertmanager", "blackbox"):
        shutil.copytree(DOCKER / name, tmp_path / name)
    given = settings(SERVER_NAME=NAME, ALERT_WEBHOOK_URL="https://hooks.example.org/token")
    for folder, files in alerting_files(given).items():
        for path, file in files.items():
            target = tmp_path / folder.removeprefix("config/") / path
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file.content)
    tmp_path.chmod(0o755)
    return tmp_path


def check_rules(rules: Path, engine: Engine) -> subprocess.CompletedProcess[str]:
    folders = {rules: "/etc/prometheus", FIRING.parent: "/tests"}
    return program(image("PROMETHEUS_IMAGE", engine), "promtool", folders, "test", "rules", f"/tests/{FIRING.name}")


@pytest.mark.parametrize("name", ["prometheus.yml", "production.yml"])
def test_prometheus_takes_its_configuration(name: str, rendered: Path, engine: Engine) -> None:
    """With its rules and the rendered targets; not a word of warning."""
    folders = {rendered / "prometheus": "/etc/prometheus"}
    done = program(
        image("PROMETHEUS_IMAGE", engine),
        "promtool",
        folders,
        "check",
        "config",
        "--lint-fatal",
        f"/etc/prometheus/{name}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


def test_every_alert_fires_on_its_history_and_nothing_else_does(engine: Engine) -> None:
    """Promtool plays each history; a quiet one stays quiet."""
    done = check_rules(DOCKER / "prometheus", engine)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_that_cannot_fire_is_found(rendered: Path, engine: Engine) -> None:
    """The histories do look at each alert: none of them passes on rules that never fire."""
    for path in RULE_FILES:
        rules = read(path)
        for rule in (rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule):
            rule["expr"] = "vector(0) > 1"
        (rendered / path.relative_to(DOCKER)).write_text(yaml.safe_dump(rules))
    done = check_rules(rendered / "prometheus", engine)
    assert done.returncode != 0
    assert (done.stdout + done.stderr).count("exp:") == len(read(FIRING)["tests"])


@pytest.mark.parametrize("webhook", [False, True])
def test_alertmanager_takes_its_configuration(webhook: bool, rendered: Path, engine: Engine) -> None:  # noqa: FBT001 - a case
    """Both the plain one and the one with a webhook; a receiver that does not exist is refused."""
    folder = rendered / "alertmanager" if webhook else DOCKER / "alertmanager"
    name = image("ALERTMANAGER_IMAGE", engine)
    arguments = ("amtool", {folder: "/etc/alertmanager"}, "check-config", "/etc/alertmanager/alertmanager.yml")
    done = program(name, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 receivers" in done.stdout
    if webhook:
        configuration = folder / "alertmanager.yml"
        configuration.write_text(configuration.read_text().replace("receiver: webhook", "receiver: nobody"))
        assert program(name, *arguments).returncode != 0


@pytest.fixture
def probe(rendered: Path, engine: Engine) -> Iterator[Callable[[str], dict[str, float]]]:
    """Give the blackbox exporter beside a page with TLS, in a network of their own; ask it for a name."""
    now = datetime.now(UTC)
    certificate = issue(make_authority("nobody knows me", now=now), [NAME], days=30, now=now)
    page = rendered / "page"
    page.mkdir()
    (page / "chain.pem").write_bytes(certificate.chain_pem)
    (page / "key.pem").write_bytes(certificate.key_pem)
    shutil.copy(Path(__file__).parent / "monitoring/page.py", page)
    name = f"cotai-test-{uuid.uuid4().hex[:6]}"
    server = (
        "--network=none",
        f"--volume={page}:/page:ro",
        image("PYTHON_IMAGE", engine),
        "python3",
        "/page/page.py",
        NAME,
    )
    blackbox = (f"--volume={rendered / 'blackbox'}:/blackbox:ro", image("BLACKBOX_EXPORTER_IMAGE", engine))
    made = []
    try:
        made.append(docker("run", "--detach", f"--name={name}", *server).stdout.strip())
        started = docker(
            "run", "--detach", f"--network=container:{name}", *blackbox, "--config.file=/blackbox/blackbox.yml"
        )
        made.append(started.stdout.strip())

        def ask(hostname: str) -> dict[str, float]:
            url = f"http://127.0.0.1:9115/probe?module=https&target=https://127.0.0.1:8443/health&hostname={hostname}"
            end = time.monotonic() + PATIENCE
            while (answer := docker("exec", made[1], "wget", "-qO-", url)).returncode and time.monotonic() < end:
                time.sleep(0.2)
            found = re.findall(r"^(probe_\w+) (\S+)$", answer.stdout, re.MULTILINE)
            return {metric: float(value) for metric, value in found}

        yield ask
    finally:
        docker("rm", "--force", *filter(None, reversed(made)))


def test_a_page_is_probed_by_the_name_that_users_type(probe: Callable[[str], dict[str, float]]) -> None:
    """Host and TLS server name are the parameter; the end of a certificate is read from an unknown authority, too."""
    end = time.monotonic() + PATIENCE
    while (found := probe(NAME)).get("probe_success") != 1 and time.monotonic() < end:
        time.sleep(0.5)
    assert (found["probe_success"], found["probe_http_status_code"]) == (1, 200)
    left = timedelta(seconds=found["probe_ssl_earliest_cert_expiry"] - time.time())
    assert timedelta(days=29) < left <= timedelta(days=30)
    assert probe("other.example.org")["probe_success"] == 0


def test_node_exporter_shows_what_backups_write(tmp_path: Path, engine: Engine) -> None:
    """Each metric, with the figure and the stack that were written, by the flags of production's Compose file."""
    flags = read(DOCKER / "compose.prod.yaml")["services"]["node-exporter"]["command"]
    [folder] = [Path(one.partition("=")[2]) for one in flags if one.startswith("--collector.textfile.directory=")]
    values = {name: 1763900000.5 + count for count, name in enumerate(METRICS_OF_BACKUPS)}
    (tmp_path / folder.name).mkdir()
    (tmp_path / folder.name / FILE).write_text(render("cotai-prod", values))
    tmp_path.chmod(0o755)
    name = f"cotai-test-{uuid.uuid4().hex[:6]}"
    mount = f"--volume={tmp_path}:{folder.parent}:ro"
    try:
        docker(
            *("run", "--detach", f"--name={name}", "--network=none", mount, image("NODE_EXPORTER_IMAGE", engine)),
            *(flag for flag in flags if "textfile" in flag or "disable-defaults" in flag),
        )
        end = time.monotonic() + PATIENCE
        ask = ("exec", name, "wget", "-qO-", "http://127.0.0.1:9100/metrics")
        while (answer := docker(*ask)).returncode and time.monotonic() < end:
            time.sleep(0.2)
    finally:
        docker("rm", "--force", name)
    shown = re.findall(r'^(cotai_\w+)\{stack="cotai-prod"\} (\S+)$', answer.stdout, re.MULTILINE)
    assert {metric: float(value) for metric, value in shown} == values
    assert "node_textfile_scrape_error 0" in answer.stdout


def test_promtool_has_nothing_against_what_backups_write(engine: Engine) -> None:
    """Names, units, kinds and explanations are as Prometheus' own linter wants them."""
    arguments = ("--network=none", "--entrypoint=promtool", image("PROMETHEUS_IMAGE", engine), "check", "metrics")
    done = subprocess.run(
        [DOCKER_CLIENT, "run", "--rm", "--interactive", *arguments],
        input=render("cotai-prod", dict.fromkeys(METRICS_OF_BACKUPS, 1.0)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.fixture(scope="module")
def live() -> str:
    """Give the address of a Prometheus of the development stack that runs; COTAI_TEST_PROMETHEUS names another."""
    try:
        requests.get(f"{LIVE}/-/ready", timeout=5).raise_for_status()
    except requests.RequestException:
        pytest.skip(f"no Prometheus answers at {LIVE}: inv deploy.dev starts one")
    return LIVE


@pytest.mark.parametrize("query", queries())
def test_prometheus_answers_every_query(query: str, live: str) -> None:
    """Each query of a rule or a dashboard is one that a server takes, with data or without."""
    answer = requests.get(f"{live}/api/v1/query", params={"query": query}, timeout=10).json()
    assert answer["status"] == "success", answer


def test_metrics_that_are_recorded_as_shown_are_shown(live: str) -> None:
    """What metrics.yaml says the parts of a running stack show at once is there."""
    names = set(requests.get(f"{live}/api/v1/label/__name__/values", timeout=10).json()["data"])
    shown = {name for metrics in read(METRICS)["shown"].values() for name in metrics}
    assert shown - names == set()
