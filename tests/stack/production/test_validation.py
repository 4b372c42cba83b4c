"""The validation of a production stack: what it says of one that is well, and of one that is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stack.validation import faults, state, validate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.conftest import Production

pytestmark = pytest.mark.stack

BROKEN = {"CFG-05": "a directive of Nginx is unknown"}


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
