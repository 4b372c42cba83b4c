"""Building real images: another team's application, and what goes wrong on the way."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import requests

from cotai_tasks.build import build_images, ensure_images
from cotai_tasks.build.bake import OWNER_LABEL
from cotai_tasks.build.prune import prune_images
from cotai_tasks.build.registry import push_images
from cotai_tasks.errors import BuildError, RegistryError
from cotai_tasks.facts import Project
from cotai_tasks.settings import Settings, load_settings
from cotai_tasks.stack import Service, Stack
from cotai_tasks.testing import RecordingConsole

if TYPE_CHECKING:
    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
CANTINA = ROOT / "tests/apps/cantina"
PATIENCE = 60
"""Seconds for an application to answer its first request on a busy machine."""

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="module")
def make_settings(engine: Engine) -> Iterator[MakeSettings]:
    """Give settings of a repository of this module's own, whose images are removed at the end."""
    repository = f"cotai-test/build-{uuid4().hex[:8]}"
    cantina = {
        "COTAI_REPOSITORY": repository,
        "APP_CONTEXT": str(CANTINA),
        "APP_MODULE": "cantina.asgi:application",
        "CELERY_APP": "cantina.celery:app",
    }

    def make(**changes: str) -> Settings:
        return load_settings(ROOT, "dev", environ={**os.environ, **cantina, **changes})

    yield make
    for filters in (["--filter", f"reference={repository}/*"], ["--filter", f"label={OWNER_LABEL}={repository}"]):
        shown = engine.command("image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", *filters)
        images = [line.split() for line in shown.splitlines()]
        if images:
            engine.remove_images([ident if name.startswith("<none>") else name for name, ident in images])


@pytest.fixture
def docker_copy(tmp_path: Path) -> Path:
    """Copy our Docker files, for a test that breaks them."""
    shutil.copytree(ROOT / "docker", tmp_path / "docker", ignore=shutil.ignore_patterns("reference"))
    return tmp_path


def break_dockerfile(home: Path, instruction: str) -> None:
    """Put an instruction behind the first of the stage `base`."""
    path = home / "docker/Dockerfile"
    head, stage, rest = path.read_text().partition(" AS base\n")
    path.write_text(f"{head}{stage}{instruction}\n{rest}")


def test_another_teams_application_runs_unchanged(engine: Engine, make_settings: MakeSettings) -> None:
    """Django with its own layout and module names, dependencies in pyproject.toml, builds and serves requests."""
    settings = make_settings()
    (image,) = build_images(["production"], settings=settings, engine=engine, console=RecordingConsole()).images
    running = engine.command("run", "--detach", "--publish", "127.0.0.1::8000", "--read-only", "--tmpfs", "/tmp", image)
    try:
        address = engine.command("port", running.strip(), "8000").strip()
        assert answer(f"http://{address}/kitchen/open") == {"open": True}
    finally:
        engine.command("rm", "--force", "--volumes", running.strip())


def answer(url: str) -> object:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return requests.get(url, timeout=5).json()
        except requests.ConnectionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_a_change_of_code_installs_no_dependency_again(
    engine: Engine, make_settings: MakeSettings, tmp_path: Path
) -> None:
    """One changed line runs the steps that take the code in; every step of the dependencies comes from the cache."""
    code = tmp_path / "app"
    shutil.copytree(CANTINA, code)
    settings = make_settings(APP_CONTEXT=str(code))
    build_images(["production"], settings=settings, engine=engine, console=RecordingConsole())
    with (code / "src/cantina/views.py").open("a") as file:
        file.write(f"# {uuid4()}\n")
    console = RecordingConsole()
    result = build_images(["production"], settings=settings, engine=engine, console=console)
    assert "app-code 2/2" in console.text()
    assert "dependencies" not in console.text()
    assert result.steps < result.cached


def test_a_missing_module_fails_in_one_clear_line(engine: Engine, make_settings: MakeSettings) -> None:
    """The variable, its value and the nearest module are named; there is nothing else to read."""
    settings = make_settings(APP_MODULE="cantina.asgy:application")
    with pytest.raises(BuildError) as caught:
        build_images(["production"], settings=settings, engine=engine, console=RecordingConsole())
    said = "APP_MODULE=cantina.asgy:application: the package cantina has no module 'asgy'; did you mean cantina.asgi?"
    assert str(caught.value).startswith(f"production could not be built: {said}")
    assert caught.value.evidence == ""


def test_a_failing_step_is_shown_last(engine: Engine, make_settings: MakeSettings, docker_copy: Path) -> None:
    """A Dockerfile that breaks half-way names stage and step, and ends with what that step printed."""
    break_dockerfile(docker_copy, "RUN echo first && echo the reason && exit 7")
    settings = make_settings().model_copy(update={"home": docker_copy})
    with pytest.raises(BuildError) as caught:
        build_images(["base"], settings=settings, engine=engine, console=RecordingConsole())
    assert str(caught.value) == (
        "base failed in stage base, step 2/6 (RUN echo first && echo the reason && exit 7): exit code: 7"
    )
    assert caught.value.evidence == "first\nthe reason"


def test_a_misspelt_instruction_is_shown_with_its_line(
    engine: Engine, make_settings: MakeSettings, docker_copy: Path
) -> None:
    """A Dockerfile that cannot be read is quoted."""
    break_dockerfile(docker_copy, "RUM true")
    settings = make_settings().model_copy(update={"home": docker_copy})
    with pytest.raises(BuildError, match="unknown instruction: RUM") as caught:
        build_images(["base"], settings=settings, engine=engine, console=RecordingConsole())
    assert ">>> RUM true" in caught.value.evidence


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_an_unreachable_registry_is_named_with_the_image(engine: Engine, make_settings: MakeSettings) -> None:
    """Whether an image is pulled, built upon or pushed: the registry's error has its own class and says which image."""
    missing = f"localhost:{closed_port()}/python:3"
    settings = make_settings(COTAI_IMAGES="upstream", PYTHON_IMAGE=missing)
    console = RecordingConsole()
    with pytest.raises(RegistryError, match=f"^{missing} could not be fetched: .*connection refused"):
        build_images(["base"], settings=settings, engine=engine, console=console)
    one = Service("db", missing, "core", one_shot=False, depends_on=frozenset(), description="", url="", login="",
                  awaited=True, ports=(), volumes=frozenset())  # fmt: skip
    project = Project("cotai-test", ROOT, (), (), ROOT, frozenset())
    stack = Stack(project, "upstream", {"db": one}, {}, {}, {"PYTHON_IMAGE": missing}, {})
    with pytest.raises(RegistryError, match=f"^{missing} could not be fetched: .*connection refused"):
        ensure_images(stack, rebuild=False, settings=settings, engine=engine, console=console)
    built = make_settings()
    build_images(["production"], settings=built, engine=engine, console=console)
    target = f"localhost:{closed_port()}/{built.variables.COTAI_REPOSITORY}"
    with pytest.raises(RegistryError, match=r"could not be pushed: .*connection refused"):
        push_images(registry=target, settings=built, engine=engine, console=console)
    assert engine.images(f"{target}/production:dev") == {}


def test_pruning_takes_only_what_is_ours_and_unused(
    engine: Engine, make_settings: MakeSettings, docker_copy: Path, tmp_path: Path
) -> None:
    """An old tag and a replaced image go; the tag in use, one that a container has, and a stranger's image stay."""
    repository = make_settings().variables.COTAI_REPOSITORY
    console = RecordingConsole()

    def build(tag: str, line: str) -> str:
        shutil.copy(ROOT / "docker/Dockerfile", docker_copy / "docker/Dockerfile")
        break_dockerfile(docker_copy, f"ENV MADE_FOR={line}")
        settings = make_settings(COTAI_TAG=tag).model_copy(update={"home": docker_copy})
        build_images(["base"], settings=settings, engine=engine, console=console)
        return engine.images(f"{repository}/base:{tag}")[f"{repository}/base:{tag}"].id

    replaced, current = build("dev", "replaced"), build("dev", "current")
    old, held = build("old", "old"), build("held", "held")
    (tmp_path / "Dockerfile.stranger").write_text(f"FROM {repository}/base:old\nLABEL {OWNER_LABEL}=\nENV STRANGER=1\n")
    stranger = tmp_path / "stranger"
    engine.command(
        *("build", "--quiet", "--iidfile", str(stranger), "--file", str(tmp_path / "Dockerfile.stranger")),
        str(tmp_path / "docker/runtime"),
    )
    container = engine.command("create", f"{repository}/base:held").strip()
    try:
        result = prune_images(settings=make_settings(), engine=engine, console=console, yes=True)
        removed = {one.reference for one in result.images}
        assert {replaced, f"{repository}/base:old"} <= removed
        left = set(engine.command("image", "ls", "--quiet", "--no-trunc").split())
        assert {current, held, stranger.read_text()} <= left
        assert not {replaced, old} & left
    finally:
        engine.command("rm", "--force", container)
        engine.command("image", "rm", stranger.read_text())
