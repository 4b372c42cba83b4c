"""The images without a registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.build.bake import Targets
from cotai_tasks.build.offline import BASE, INPUTS_LABEL, OfflineResult, inputs, make_base, make_offline, outdated
from cotai_tasks.errors import BuildError, EngineError, PreflightError
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.build.reports import image
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.settings import Settings

PYTHON, REDIS = "cotai-offline/python:3", "cotai-offline/redis:8"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a `docker/offline` of two images, of which redis builds on python."""
    offline = tmp_path / "docker/offline"
    for name in ("python", "redis"):
        (offline / name).mkdir(parents=True)
        (offline / name / "Dockerfile").write_text("FROM cotai-offline/base:13\n")
    script(offline, "echo up to date")
    return offline


def script(folder: Path, body: str) -> Path:
    path = folder / "make-base"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def definitions(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "python": {"context": str(folder / "python"), "tags": [PYTHON]},
        "redis": {"context": str(folder / "redis"), "contexts": {PYTHON: "target:python"}, "tags": [REDIS]},
    }


def targets(folder: Path) -> Targets:
    return Targets(("python", "redis"), definitions(folder))


def engine(folder: Path, *current: str) -> FakeEngine:
    """Give an engine that has the base image and those of the named targets, up to date."""
    known = {"group": {"default": {"targets": ["python", "redis"]}}, "target": definitions(folder)}
    digests = inputs(targets(folder), folder, f"id-{BASE}")
    images = {targets(folder).tag(name): digests[name] for name in current}
    found = {tag: image(tag, labels={INPUTS_LABEL: digest}) for tag, digest in images.items()}
    return FakeEngine(
        found_images={BASE: image(BASE), **found},
        answers={"buildx bake --file": json.dumps(known).splitlines(), "context": ["default"]},
    )


def offline_settings(folder: Path) -> Settings:
    return settings().model_copy(update={"home": folder.parents[1]})


def make(folder: Path, fake: FakeEngine, *only: str, dry_run: bool = False) -> OfflineResult:
    return make_offline(
        only, dry_run=dry_run, settings=offline_settings(folder), engine=fake, console=RecordingConsole()
    )


def builds(fake: FakeEngine) -> list[tuple[str, ...]]:
    return [call for call in fake.calls if call[:3] == ("buildx", "bake", "--builder")]


def test_what_is_up_to_date_is_not_built_again(folder: Path) -> None:
    """A second run says that there is nothing to do, and starts no build."""
    fake = engine(folder, "python", "redis")
    assert make(folder, fake) == OfflineResult((), 2)
    assert builds(fake) == []


def test_a_missing_image_is_built_and_labelled_with_its_inputs(folder: Path) -> None:
    """Only the missing one is built; its label lets the next run know it."""
    fake = engine(folder, "python")
    digest = inputs(targets(folder), folder, f"id-{BASE}")["redis"]
    assert make(folder, fake) == OfflineResult((REDIS,), 1)
    assert [call[-3:] for call in builds(fake)] == [("--set", f"redis.labels.{INPUTS_LABEL}={digest}", "redis")]


def test_a_changed_file_outdates_its_image_and_what_is_built_on_it(folder: Path) -> None:
    """The digest covers every file of a context and, through it, of the images below."""
    fake = engine(folder, "python", "redis")
    (folder / "redis/entrypoint.sh").write_text("exec redis-server\n")
    assert make(folder, fake, dry_run=True) == OfflineResult((REDIS,), 1)
    (folder / "redis/entrypoint.sh").unlink()
    (folder / "python/Dockerfile").write_text("FROM cotai-offline/base:13\nRUN true\n")
    assert make(folder, fake, dry_run=True) == OfflineResult((PYTHON, REDIS), 0)
    assert builds(fake) == []


class Replacing(FakeEngine):
    """An engine where a build gives its image a new id."""

    def build(self, arguments: Sequence[str], environ: Mapping[str, str], directory: Path) -> Iterator[str]:
        """Build, and note it."""
        if "--builder" in arguments:
            self.found_images[REDIS] = image("new")
        return super().build(arguments, environ, directory)


def test_a_replaced_image_does_not_stay_behind(folder: Path) -> None:
    """What the build itself replaced is removed by its id; an engine that refuses, because it is in use, is obeyed."""
    old = engine(folder, "python")
    fake = Replacing(found_images={**old.found_images, REDIS: image(REDIS)}, answers=old.answers)
    fake.errors = {"image rm": EngineError("conflict: image is being used by running container")}
    assert make(folder, fake) == OfflineResult((REDIS,), 1)
    assert fake.calls[-1] == ("image", "rm", f"id-{REDIS}")


def test_inputs_do_not_depend_on_where_the_checkout_is(tmp_path: Path, folder: Path) -> None:
    """Two checkouts of the same files agree, so that neither rebuilds the other's images."""
    other = (tmp_path / "docker").rename(tmp_path / "elsewhere") / "offline"
    moved = inputs(targets(other), other, "base")
    (tmp_path / "elsewhere").rename(tmp_path / "docker")
    assert moved == inputs(targets(folder), folder, "base")
    assert moved != inputs(targets(folder), folder, "another base")


def test_a_stack_that_lacks_an_image_leaves_outdated_ones_alone(folder: Path) -> None:
    """`deploy.dev` makes what is missing; replacing a database's image is `build.offline`'s decision."""
    old = {PYTHON: image(PYTHON)}
    assert outdated(["python", "redis"], targets(folder), old, {"python": "new"}, check_inputs=False) == ["redis"]


def test_a_host_that_has_the_base_needs_no_mmdebstrap(folder: Path) -> None:
    """What is missing is built on the base that is there, however old; what is there asks for nothing at all."""
    script(folder, "exit 1")
    assert make(folder, engine(folder, "python"), PYTHON) == OfflineResult((), 1)
    assert make(folder, engine(folder, "python"), REDIS) == OfflineResult((REDIS,), 0)


def test_a_host_without_mmdebstrap_gets_the_cure(folder: Path) -> None:
    """The missing program is named with the command that installs it."""
    broken = script(folder, "echo 'make-base: mmdebstrap is missing: install it' >&2; exit 1")
    with pytest.raises(PreflightError, match="need mmdebstrap on this host") as caught:
        make_base(broken, fresh=False, engine=FakeEngine(), console=RecordingConsole())
    assert "apt-get install --no-install-recommends mmdebstrap" in caught.value.cure


def test_a_failing_base_shows_its_last_words(folder: Path) -> None:
    """Whatever else goes wrong is a build error with the script's output."""
    broken = script(folder, "echo no mirror answers >&2; exit 1")
    with pytest.raises(BuildError, match=r"cotai-offline/base:13 could not be made") as caught:
        make_base(broken, fresh=False, engine=FakeEngine(), console=RecordingConsole())
    assert caught.value.evidence == "no mirror answers"


def test_the_base_is_made_with_the_same_docker(folder: Path, tmp_path: Path) -> None:
    """The script talks to the engine that the settings name, and is forced only where fresh packages are wanted."""
    noting = script(folder, f'echo "$DOCKER $*" >>{tmp_path}/said')
    for fresh in (False, True):
        make_base(noting, fresh=fresh, engine=FakeEngine(), console=RecordingConsole())
    assert (tmp_path / "said").read_text() == "docker \ndocker --force\n"
