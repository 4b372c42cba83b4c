"""What the integration tests find on the engine: every image of the development stack, and an S3 where they ask."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.build import ensure_images
from cotai_tasks.settings import load_settings
from cotai_tasks.stack import choose_source, open_stack
from cotai_tasks.testing import RecordingConsole
from tests.integration.s3.service import Service, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.engine import Engine

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def images(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make what a fresh host lacks, in one process: whichever test comes first, it measures nobody's build."""
    settings = load_settings(ROOT, "dev", environ=os.environ)
    with (tmp_path_factory.getbasetemp().parent / "images").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stack = open_stack(settings, engine, choose_source(settings, engine)[0])
        ensure_images(stack, rebuild=False, settings=settings, engine=engine, console=RecordingConsole())


@pytest.fixture(scope="module")
def s3(engine: Engine) -> Iterator[Service]:
    """Give a SeaweedFS that every test of a module leaves as it is."""
    with service(engine) as running:
        yield running
