"""The validation of whole stacks: what it says of one that is well, and of one that is broken."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.validate.catalogue import TIMED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.conftest import Development, Live, Production

pytestmark = pytest.mark.stack

BROKEN = {"MON-01": "an exporter is stopped", "CFG-05": "a directive of Nginx is unknown"}


def validate(stack: Live, folder: Path, *arguments: str) -> dict[str, Any]:
    """Validate a stack, and give the document; whatever the verdict."""
    done = stack.inv("monitor.validate", "--json", "--output", str(folder), *arguments)
    assert done.returncode in {0, 19}, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def faults(document: dict[str, Any]) -> dict[str, str]:
    """Give the checks that failed or came to no end, with their figures; those that measure time may fail."""
    return {
        one["id"]: f"{one['figure']} {one['evidence']}"
        for one in document["checks"]
        if one["state"] == "error" or (one["state"] == "fail" and one["id"] not in TIMED)
    }


def state(document: dict[str, Any], identity: str) -> str:
    return next(str(one["state"]) for one in document["checks"] if one["id"] == identity)


def test_development_is_what_it_claims_to_be(running: Development, tmp_path: Path) -> None:
    """Every check that reads or writes: none fails, each skip has its reason, each report is there."""
    document = validate(running, tmp_path, "--allow-writes")
    assert faults(document) == {}
    assert [one["id"] for one in document["checks"] if one["state"] == "skip" and not one["figure"]] == []
    groups = {one["group"] for one in document["checks"] if one["state"] == "pass"}
    assert groups >= {"CFG", "HLT", "END", "DB", "NET", "RES", "SEC", "MON"}
    written = {path.name for path in (tmp_path / "dev-quick").iterdir()}
    assert written == {"report.html", "report.json", "report.sarif", "junit.xml", "summary.md", "history"}


def test_a_target_that_is_down_is_found(running: Development, tmp_path: Path) -> None:
    """MON-01 fails while an exporter is stopped, and names it."""
    exporter = running.container("redis-exporter")
    running.docker("stop", exporter)
    try:
        end = time.monotonic() + 60
        while True:
            document = validate(running, tmp_path, "--id", "MON-01")
            if state(document, "MON-01") == "fail" or time.monotonic() > end:
                break
    finally:
        running.docker("start", exporter)
    assert "redis" in str(faults(document)["MON-01"])


def test_production_is_what_it_claims_to_be(deployed: Production, tmp_path: Path) -> None:
    """The same of production, through Nginx and TLS."""
    document = validate(deployed, tmp_path, "--allow-writes")
    assert faults(document) == {}
    groups = {one["group"] for one in document["checks"] if one["state"] == "pass"}
    assert groups >= {"CFG", "HLT", "END", "DB", "NET", "RES", "SEC", "MON"}


def test_a_configuration_that_nginx_refuses_is_found(deployed: Production, tmp_path: Path) -> None:
    """CFG-05 fails before anybody reloads it: the file is broken where the running Nginx would read it."""
    project = deployed.name
    image = deployed.docker("inspect", "--format", "{{.Image}}", deployed.containers("nginx")[0])
    volume = ("run", "--rm", "--user", "0", "--volume", f"{project}_proxy:/proxy", "--entrypoint", "sh", image, "-c")
    kept = "/proxy/upstreams/upstreams.conf"
    deployed.docker(*volume, f"cp -p {kept} /proxy/kept && echo 'nonsense on;' >>{kept}")
    try:
        document = validate(deployed, tmp_path, "--id", "CFG-05")
    finally:
        deployed.docker(*volume, f"cp -p /proxy/kept {kept} && rm /proxy/kept")
    assert "nonsense" in faults(document)["CFG-05"]
    assert state(validate(deployed, tmp_path, "--id", "CFG-05"), "CFG-05") == "pass"
