"""Which tests run where: those that need a Docker Engine, and those that take minutes."""

from __future__ import annotations

import os
from functools import cache

import pytest

from cotai_tasks.engine import Engine
from cotai_tasks.errors import EngineError


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, and say why; where CI is set, a missing engine is a failure."""
    if item.get_closest_marker("slow") and os.environ.get("COTAI_SLOW") != "1":
        pytest.skip("takes minutes; COTAI_SLOW=1 runs it")
    if item.get_closest_marker("integration") or item.get_closest_marker("stack"):
        fault = engine_fault()
        if fault and os.environ.get("CI"):
            pytest.fail(f"needs a Docker Engine: {fault}", pytrace=False)
        elif fault:
            pytest.skip(f"needs a Docker Engine: {fault}")


@cache
def engine_fault() -> str:
    """Say why no Docker Engine can be used; the empty string when one answers."""
    try:
        Engine(os.environ.get("COTAI_DOCKER", "")).info()
    except EngineError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Give the real engine, to tests marked `integration` or `stack`."""
    return Engine(os.environ.get("COTAI_DOCKER", ""))
