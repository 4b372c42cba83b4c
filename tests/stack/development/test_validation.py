"""The validation of a development stack: what it says of one that is well, and of one that is broken."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.stack.validation import faults, state, validate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.conftest import Development

pytestmark = pytest.mark.stack

BROKEN = {"MON-01": "an exporter is stopped"}


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
