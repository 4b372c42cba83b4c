"""How large the images are, and how fast a change of code becomes one."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cotai_tasks.build.bake import OWNER_LABEL, read_targets, run_bake, stages_bake
from cotai_tasks.build.progress import follow_build
from cotai_tasks.errors import BuildError, PreflightError
from cotai_tasks.stack import known_source

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

_MEASURED = "production"
_SCRATCH_TAG = "measured"
_NOT_CODE = shutil.ignore_patterns(".git", ".venv", "venv", "node_modules", "__pycache__")


@dataclass(frozen=True)
class StageSize:
    """One stage's image; sizes in bytes, all layers counted."""

    stage: str
    image: str
    size: int
    smaller: float | None
    """Than the naive image, as a fraction of it; None where that could not be built."""


@dataclass(frozen=True)
class SizeReport:
    """Every stage that was built, against one single-stage image with build tools and everything in it."""

    naive: int | None
    stages: tuple[StageSize, ...]


@dataclass(frozen=True)
class RebuildReport:
    """One stage, built from nothing and after a change of one line of code; seconds."""

    stage: str
    cold: float
    code_only: float

    @property
    def ratio(self) -> float:
        """How many times faster the second build was."""
        return self.cold / self.code_only


def measure_sizes(*, settings: Settings, engine: Engine, console: Console) -> SizeReport:
    """Measure what is built, and build the naive image to compare with when it is missing."""
    bake = stages_bake(settings, known_source(settings, engine))
    targets = read_targets(bake, engine=engine)
    # Nginx is no Python application: it has nothing to be compared with.
    stages = [name for name in targets.default if targets.base(name) == bake.variables["PYTHON_IMAGE"]]
    found = engine.images(*(targets.tag(name) for name in stages))
    if not found:
        raise PreflightError("no image was built that could be measured", cure="inv build.all")
    naive = _naive_size(settings=settings, engine=engine, console=console)
    return compare_sizes(
        {name: found[tag].size for name in stages if (tag := targets.tag(name)) in found},
        {name: targets.tag(name) for name in stages},
        naive,
    )


def compare_sizes(sizes: dict[str, int], images: dict[str, str], naive: int | None) -> SizeReport:
    """Set each stage against the naive image."""
    stages = (
        StageSize(stage, images[stage], size, round(1 - size / naive, 3) if naive else None)
        for stage, size in sizes.items()
    )
    return SizeReport(naive, tuple(stages))


def measure_rebuild(*, settings: Settings, engine: Engine, console: Console) -> RebuildReport:
    """Build the production stage without cache, then again with one line of code changed, in a copy of the code.

    Downloaded packages come from BuildKit's cache mounts both times, so the cold build is that of a warm network.
    """
    with TemporaryDirectory(prefix="cotai-") as scratch:
        copy = Path(scratch) / "app"
        shutil.copytree(settings.app_context, copy, ignore=_NOT_CODE)
        module = find_module(copy, settings.variables.APP_MODULE)
        bake = stages_bake(settings, known_source(settings, engine), APP_CONTEXT=str(copy), COTAI_TAG=_SCRATCH_TAG)
        image = f"{settings.variables.COTAI_REPOSITORY}/{_MEASURED}:{_SCRATCH_TAG}"
        label = ["--set", f"*.labels.{OWNER_LABEL}={settings.variables.COTAI_REPOSITORY}"]

        def build(*flags: str) -> float:
            begun = time.monotonic()
            run_bake(bake, [_MEASURED], *label, *flags, engine=engine, console=console, what=_MEASURED)
            return time.monotonic() - begun

        try:
            console.say(f"building {_MEASURED} without cache")
            cold = build("--no-cache")
            with module.open("a") as code:
                code.write("\n# One line changed.\n")
            console.say(f"building it again with one line of {module.relative_to(copy)} changed")
            return RebuildReport(_MEASURED, cold, build())
        finally:
            if engine.images(image):
                engine.remove_images([image])


def find_module(folder: Path, name: str) -> Path:
    """Find the file of `package.module:attribute` in an application's folder."""
    path = name.partition(":")[0].replace(".", "/")
    for pattern in (f"**/{path}.py", f"**/{path}/__init__.py"):
        if found := sorted(folder.glob(pattern)):
            return found[0]
    raise BuildError(f"APP_MODULE={name}: the application has no such module", cure="Set APP_MODULE in the env file.")


def _naive_size(*, settings: Settings, engine: Engine, console: Console) -> int | None:
    image = f"{settings.variables.COTAI_REPOSITORY}/naive:{settings.variables.COTAI_TAG}"
    if image not in engine.images(image):
        variables = stages_bake(settings, known_source(settings, engine)).variables
        arguments = [
            *("build", "--builder", engine.command("context", "show").strip(), "--progress", "rawjson"),
            *("--file", str(settings.home / "docker/Dockerfile.naive"), "--tag", image, "--provenance=false"),
            *("--build-arg", f"PYTHON_IMAGE={variables['PYTHON_IMAGE']}"),
            *("--label", f"{OWNER_LABEL}={settings.variables.COTAI_REPOSITORY}"),
            *(["--secret", f"id=ca,src={settings.ca_file}"] if settings.ca_file else []),
            str(settings.app_context),
        ]
        console.say(f"building {image} once, to compare with")
        try:
            follow_build(engine.build(arguments, {}, settings.home), image, console=console)
        except BuildError as error:
            console.warn(f"nothing to compare with: {error}")
            return None
    return engine.images(image)[image].size
