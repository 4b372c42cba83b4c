"""Images from a registry and to one."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.build.bake import read_targets, stages_bake
from cotai_tasks.build.progress import registry_error
from cotai_tasks.console import duration
from cotai_tasks.errors import EngineError, PreflightError, RegistryError, UsageError
from cotai_tasks.stack import known_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

_FINISHED = ("Pull complete", "Already exists", "Layer already exists", "Pushed")
_LAYER = re.compile(r"[0-9a-f]{12}: (.+)")


@dataclass(frozen=True)
class Pushed:
    """One image in a registry."""

    image: str
    digest: str


def pull_images(images: Sequence[str], *, engine: Engine, console: Console) -> tuple[str, ...]:
    """Pull images one after the other; raise `RegistryError` naming the one that could not be had, and why."""
    for number, image in enumerate(images, 1):
        begun = time.monotonic()
        last = _follow(engine.pull(image), f"pulling {image} ({number} of {len(images)})", console=console)
        if isinstance(last, EngineError):
            raise registry_error(image, _cause(last)) from last
        console.done(f"pulled {image} in {duration(time.monotonic() - begun)}")
    return tuple(images)


def push_images(
    *, registry: str, settings: Settings, engine: Engine, console: Console, dry_run: bool = False
) -> tuple[Pushed, ...]:
    """Push every stage that was built, under COTAI_REPOSITORY or under `registry`.

    Raises `UsageError` when neither names a registry, `PreflightError` when nothing was built.
    """
    repository = registry.rstrip("/") or settings.variables.COTAI_REPOSITORY
    if not names_registry(repository):
        raise UsageError(
            f"{repository} names no registry to push to",
            cure="Say --registry HOST/REPOSITORY, or set COTAI_REPOSITORY to one (docker.io/team for Docker Hub).",
        )
    targets = read_targets(stages_bake(settings, known_source(settings, engine)), engine=engine)
    built = sorted(engine.images(*(targets.tag(name) for name in targets.default)))
    if not built:
        raise PreflightError("nothing was built that could be pushed", cure="inv build.all")
    pushed = []
    for image in built:
        target = f"{repository}/{image.rpartition('/')[2]}"
        if dry_run:
            console.say(f"would push {image} as {target}")
            continue
        told = _push(image, target, engine=engine, console=console)
        digest = re.search(r"sha256:[0-9a-f]{64}", told)
        pushed.append(Pushed(target, digest[0] if digest else ""))
        console.done(f"pushed {target}")
    return tuple(pushed)


def _push(image: str, target: str, *, engine: Engine, console: Console) -> str:
    """Push an image under a name that it has for this long only; give the registry's last words.

    An image that had the name before has it again afterwards.
    """
    before = _image_id(target, engine) if target != image else ""
    if target != image:
        engine.command("image", "tag", image, target)
    try:
        told = _follow(engine.push(target), f"pushing {target}", console=console)
    finally:
        if before:
            engine.command("image", "tag", before, target)
        elif target != image:
            engine.remove_images([target])
    if isinstance(told, EngineError):
        raise _push_error(target, _cause(told)) from told
    return told


def _image_id(reference: str, engine: Engine) -> str:
    """Give the id of an image, empty when there is none; the engine knows that docker.io/team/x is its team/x."""
    try:
        return engine.command("image", "inspect", "--format", "{{.Id}}", reference).strip()
    except EngineError:
        return ""


def names_registry(repository: str) -> bool:
    """Tell whether a repository begins with a host, as Docker decides it: a dot, a port, or localhost."""
    host, slash, _ = repository.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def _follow(lines: Iterable[str], text: str, *, console: Console) -> str | EngineError:
    """Show how many layers are done; give the last line, or the engine's refusal with its last line as evidence."""
    layers: dict[str, bool] = {}
    last = ""
    with console.live() as display:
        try:
            for line in lines:
                last = line or last
                if found := _LAYER.match(line):
                    layers[line[:12]] = found[1].startswith(_FINISHED)
                display.update(f"{text}: {sum(layers.values())} of {len(layers)} layers")
        except EngineError as error:
            if "docker daemon" in last.lower():
                raise
            error.evidence = last
            return error
    return last


def _cause(error: EngineError) -> str:
    return error.evidence.removeprefix("Error response from daemon: ") or str(error)


def _push_error(image: str, cause: str) -> RegistryError:
    denied = any(word in cause.lower() for word in ("denied", "unauthorized", "no basic auth"))
    host = image.partition("/")[0]
    cure = f"docker login {host}" if denied else "Repeat when the registry answers: what was pushed stays."
    return RegistryError(f"{image} could not be pushed: {cause}", cure=cure)
