"""The engine's border, against the real docker command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from cotai_tasks.errors import EngineError
from cotai_tasks.facts import Project

if TYPE_CHECKING:
    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]


def test_what_was_resolved_wins_over_the_raw_environment(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compose prefers the shell's APP_CONTEXT to the env file's: ours, made absolute, is what it must see."""
    compose = tmp_path / "compose.yaml"
    compose.write_text("services: {api: {image: x, volumes: ['${APP_CONTEXT}:/app'], labels: {a: '${OTHER}'}}}\n")
    env_file = tmp_path / "variables.env"
    env_file.write_text(f"APP_CONTEXT='{tmp_path}/own'\n")
    monkeypatch.setenv("APP_CONTEXT", "../raw")
    monkeypatch.setenv("OTHER", "from the shell")
    project = Project("cotai-test-x", tmp_path, (compose,), (), env_file, frozenset({"APP_CONTEXT"}))
    api = engine.config(project)["services"]["api"]
    assert (api["volumes"][0]["source"], api["labels"]) == (f"{tmp_path}/own", {"a": "from the shell"})


def test_sigterm_leaves_no_secret_and_no_child_behind() -> None:
    """A CI runner that gives up sends SIGTERM: the variables for Compose, passwords among them, go with the process."""
    command = [str(Path(sys.executable).parent / "inv"), "deploy.logs", "--follow"]
    environ = os.environ | {"INVOKE_COTAI_PROJECT": "cotai-test-sigterm", "COTAI_ENV": "dev"}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as inv:
        end = time.monotonic() + 30
        written = Path(gettempdir())
        while not (found := list(written.glob(f"cotai-{inv.pid}-*/*.env"))) and time.monotonic() < end:
            if inv.poll() is not None:
                break
            time.sleep(0.02)
        inv.send_signal(signal.SIGTERM)
        inv.wait(timeout=30)
    assert found
    assert not list(written.glob(f"cotai-{inv.pid}-*"))


def test_only_images_that_are_there_are_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What means no image here, or nowhere, is left out; an engine that does not answer is an error."""
    assert engine.images("cotai-test/no-such:1", "no=such", "NO/such:2") == {}
    assert engine.images() == {}
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(EngineError):
        engine.images("python:3")


def test_a_tag_goes_though_a_container_uses_its_image(engine: Engine) -> None:
    """Whoever looks into an old release by its image hinders no deploy; a second removal is none."""
    name = f"cotai-test-{uuid4().hex[:6]}"
    tag = f"{name}/image:release"
    postgres = "cotai-offline/postgres:17"
    engine.command("create", "--name", f"{name}-base", postgres)
    try:
        engine.command("commit", f"{name}-base", tag)
        engine.command("run", "--detach", "--name", name, "--entrypoint", "sleep", tag, "60")
        with pytest.raises(EngineError, match="is using its referenced image"):
            engine.remove_images([tag])
        engine.untag([tag])
        engine.untag([tag])
        assert engine.images(tag) == {}
        assert engine.command("inspect", "--format", "{{.State.Running}}", name).strip() == "true"
        image = engine.command("inspect", "--format", "{{.Image}}", name).strip()
    finally:
        engine.command("rm", "--force", name, f"{name}-base")
    engine.remove_images([image])
