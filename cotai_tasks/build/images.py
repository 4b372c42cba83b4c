"""Building our stages, and making sure that a stack has every image it needs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.build.bake import OWNER_LABEL, Targets, read_targets, run_bake, stages_bake
from cotai_tasks.build.offline import make_offline
from cotai_tasks.build.registry import pull_images
from cotai_tasks.console import duration
from cotai_tasks.errors import UsageError, nearest
from cotai_tasks.stack import choose_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Image
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Source, Stack


APPLICATION_LABEL = "cotai.application"
"""On an image of ours: the modules that it runs, as docker-bake.hcl writes them."""


@dataclass(frozen=True)
class BuildResult:
    """What a build made."""

    images: tuple[str, ...]
    steps: int
    """Dockerfile steps that were executed; those shared by several images count once."""
    cached: int
    """Steps that came from the cache."""
    seconds: float


@dataclass(frozen=True)
class EnsureResult:
    """Where a stack's images came from."""

    built: tuple[str, ...]
    pulled: tuple[str, ...]
    already: int
    """How many were there before."""


def build_images(
    stages: Sequence[str],
    *,
    settings: Settings,
    engine: Engine,
    console: Console,
    no_cache: bool = False,
    dry_run: bool = False,
) -> BuildResult:
    """Build stages in parallel, all of the bake file's default group when none is named.

    Raises `UsageError` for an unknown stage, `BuildError` naming the failing step, `RegistryError` when the base image
    cannot be fetched.
    """
    source, why = choose_source(settings, engine)
    targets = read_targets(stages_bake(settings, source), "stage", engine=engine)
    chosen = choose_stages(stages, targets)
    images = tuple(targets.tag(name) for name in chosen)
    bases = sorted({targets.base(name) for name in chosen})
    if dry_run:
        console.say(f"would build {', '.join(images)} from {', '.join(bases)} ({source}: {why})")
        return BuildResult(images, 0, 0, 0.0)
    if source == "offline":
        console.say(f"images come from docker/offline: {why}")
        make_offline(bases, settings=settings, engine=engine, console=console)
    return _build(chosen, images, source, settings=settings, engine=engine, console=console, no_cache=no_cache)


def ensure_images(stack: Stack, *, rebuild: bool, settings: Settings, engine: Engine, console: Console) -> EnsureResult:
    """Pull or build what a stack lacks; `rebuild` builds our own stages in any case.

    What was fetched before an error stays, and a second run goes on from there.
    """
    images = {one.image for one in stack.services.values()}
    own = {image for image in images if is_own(image, settings)}
    wanted = images | {stack.variables["PYTHON_IMAGE"]} | {stack.variables[_base(image)] for image in own}
    found = engine.images(*sorted(wanted))
    strange = strangers({image: one for image, one in found.items() if image in own}, settings)
    if strange:
        console.warn(f"{', '.join(strange)}: made from another application (APP_MODULE …), made anew")
    present = found.keys() - strange
    missing = sorted(wanted - own - present)
    built: tuple[str, ...] = ()
    if stack.source == "offline" and missing:
        built = make_offline(missing, settings=settings, engine=engine, console=console).built
    pulled = pull_images([image for image in missing if image not in built], engine=engine, console=console)
    ours = tuple(sorted(own if rebuild else own - present))
    if ours:
        names = [_stage(image) for image in ours]
        _build(names, ours, stack.source, settings=settings, engine=engine, console=console)
    return EnsureResult((*built, *ours), pulled, len(wanted) - len(built) - len(pulled) - len(ours))


def strangers(images: Mapping[str, Image], settings: Settings) -> list[str]:
    """Name the images that were made from another application than the one that the settings name."""
    named = settings.variables
    application = f"{named.APP_MODULE} {named.CELERY_APP} {named.LLM_MODULE}"
    return sorted(name for name, one in images.items() if one.labels.get(APPLICATION_LABEL, application) != application)


def is_own(image: str, settings: Settings) -> bool:
    """Tell whether an image is one of our stages."""
    return image.startswith(f"{settings.variables.COTAI_REPOSITORY}/")


def _stage(image: str) -> str:
    """Give the name that the bake file has for an image of ours."""
    return image.rpartition("/")[2].rpartition(":")[0]


def _base(image: str) -> str:
    """Give the variable that names what an image of ours is built on."""
    return "NGINX_IMAGE" if _stage(image) == "nginx" else "PYTHON_IMAGE"


def choose_stages(stages: Iterable[str], targets: Targets) -> list[str]:
    """Check the names of stages; none means all of the default group."""
    names = list(stages)
    for name in names:
        if name not in targets.known:
            raise UsageError(f"no such stage: {name!r}", cure=nearest(name, targets.known))
    return names or list(targets.default)


def _build(
    names: Sequence[str],
    images: tuple[str, ...],
    source: Source,
    *,
    settings: Settings,
    engine: Engine,
    console: Console,
    no_cache: bool = False,
) -> BuildResult:
    if settings.ca_file:
        console.say(f"packages are fetched with the certificates of {settings.ca_file} (BUILD_CA_FILE)")
    label = f"*.labels.{OWNER_LABEL}={settings.variables.COTAI_REPOSITORY}"
    flags = ["--set", label, *(["--no-cache"] if no_cache else [])]
    what = names[0] if len(names) == 1 else f"{len(names)} images"
    begun = time.monotonic()
    log = run_bake(stages_bake(settings, source), names, *flags, engine=engine, console=console, what=what)
    seconds = time.monotonic() - begun
    console.done(f"built {what} in {duration(seconds)}: {log.built} steps, {log.cached} more from the cache")
    return BuildResult(images, log.built, log.cached, seconds)
