"""Backups that are made by two commands at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.alone import alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
LOCKED = 7


@pytest.fixture
def begin(engine: Engine, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Give what begins a task of the namespace, on a project of its own whose Redis runs."""
    with alone(engine, "redis") as site:
        own = {
            "INVOKE_COTAI_PROJECT": site.settings.project,
            "COTAI_SECRETS": str(tmp_path / "secrets"),
            "BACKUP_STORE": str(tmp_path / "store"),
        }

        def run(task: str, *flags: str) -> subprocess.Popen[str]:
            argv = [str(Path(sys.executable).parent / "inv"), f"backup.{task}", "--env", "dev", *flags]
            environ = {**os.environ, **own}
            return subprocess.Popen(
                argv, cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )

        yield run


def test_of_two_at_once_the_second_is_told_who_makes_one(begin: Callable[..., subprocess.Popen[str]]) -> None:
    """It ends with its own exit code and leaves nothing; the first one goes on, and is the only one listed."""
    first = begin("create", "--only", "redis")
    seen = next(line for line in first.stdout or () if "backup 2" in line)
    second = begin("create", "--only", "redis")
    told = second.communicate(timeout=60)[0]
    assert (second.returncode, "(backup.create)" in told) == (LOCKED, True), told
    rest = first.communicate(timeout=60)[0]
    assert first.returncode == 0, seen + rest
    listed = json.loads(begin("list", "--json").communicate(timeout=60)[0])["backups"]
    assert [one["id"] in rest for one in listed] == [True]
