"""Stacks broken on purpose, as only a whole one can be: the check that looks for it fails, and then passes again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stack.validation import state, validate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.conftest import Development

pytestmark = pytest.mark.stack

BROKEN = {"HLT-06": "no worker takes tasks from the default queue"}


def test_tasks_that_nobody_takes_are_found(running: Development, tmp_path: Path) -> None:
    """HLT-06 fails while the workers run and are healthy, but leave the queue alone."""
    worker = running.container("celery-worker")
    celery = ("exec", worker, "celery", "--app", "cotai_runtime.celery", "control", "--timeout", "20")
    running.docker(*celery, "cancel_consumer", "default")
    try:
        broken = validate(running, tmp_path, "--id", "HLT-06", "--allow-writes")
    finally:
        running.docker(*celery, "add_consumer", "default")
    assert state(broken, "HLT-06") == "fail"
    assert "never came back" in str(broken["checks"])
    mended = validate(running, tmp_path, "--id", "HLT-06", "--allow-writes")
    assert "never came back" not in str(mended["checks"])
