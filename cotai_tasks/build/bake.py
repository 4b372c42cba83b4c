"""A bake file with everything that it interpolates: what it would build, and building it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from cotai_tasks.build.progress import BuildLog, follow_build
from cotai_tasks.errors import BuildError, EngineError
from cotai_tasks.stack import stack_variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Source

OWNER_LABEL = "cotai.repository"
"""Marks an image as ours, so that `build.prune` knows it once it has lost its tag."""

BASES = ("PYTHON_IMAGE", "NGINX_IMAGE")
"""The variables that name what our images are built on."""

_NO_ENTITLEMENTS = {"BUILDX_BAKE_ENTITLEMENTS_FS": "0"}
"""The bake files are ours: no question whether they may read the application's folder (Buildx 0.19 and later ask)."""


@dataclass(frozen=True)
class Bake:
    """One bake file and the variables it reads."""

    file: Path
    directory: Path
    """What its relative paths start from."""
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Targets:
    """What a bake file knows to build."""

    default: tuple[str, ...]
    """What is built when nothing is named."""
    known: dict[str, dict[str, Any]]
    """Every target as Buildx renders it, by name."""

    def tag(self, name: str) -> str:
        """Give the image that a target makes."""
        return str(self.known[name]["tags"][0])

    def base(self, name: str) -> str:
        """Give the upstream image that a target is built on."""
        arguments = self.known[name]["args"]
        return str(next(arguments[variable] for variable in BASES if variable in arguments))


def stages_bake(settings: Settings, source: Source, **changes: str) -> Bake:
    """Give the bake file of our own stages; `changes` replaces variables."""
    secret = {name for name, value in settings.variables if isinstance(value, SecretStr)}
    plain = {name: value for name, value in stack_variables(settings, source).items() if name not in secret}
    own = {
        "COTAI_VERSION": settings.variables.COTAI_TAG,
        "BUILD_CA_FILE": str(settings.ca_file or ""),
    }
    return Bake(settings.home / "docker/docker-bake.hcl", settings.home, plain | own | changes)


def offline_bake(settings: Settings) -> Bake:
    """Give the bake file of the offline images."""
    folder = settings.home / "docker/offline"
    return Bake(folder / "docker-bake.hcl", folder, {"OFFLINE_DIR": str(folder)})


def read_targets(bake: Bake, *groups: str, engine: Engine) -> Targets:
    """Ask Buildx what a bake file would build; `groups` are read beside its default group.

    Raises `BuildError` with Buildx's own words when the file is broken.
    """
    lines: list[str] = []
    arguments = ["bake", "--file", str(bake.file), "--progress", "quiet", "--print", "default", *groups]
    try:
        lines += engine.build(arguments, {**bake.variables, **_NO_ENTITLEMENTS}, bake.directory)
    except EngineError as error:
        raise BuildError(f"{bake.file.name} could not be read", evidence=error.evidence) from error
    rendered = json.loads("\n".join(lines))
    known = {name: raw for name, raw in rendered["target"].items() if raw.get("tags")}
    return Targets(tuple(_members(rendered["group"], "default", set(groups))), known)


def run_bake(
    bake: Bake, names: Sequence[str], *flags: str, engine: Engine, console: Console, what: str = "the image"
) -> BuildLog:
    """Build targets in parallel and show how it goes.

    The builder is the engine's own: one in a container of its own would not see the images that are only here.
    """
    builder = engine.command("context", "show").strip()
    arguments = ["bake", "--builder", builder, "--file", str(bake.file), "--progress", "rawjson", *flags, *names]
    lines = engine.build(arguments, {**bake.variables, **_NO_ENTITLEMENTS}, bake.directory)
    return follow_build(lines, what, console=console)


def _members(groups: Mapping[str, Any], group: str, beside: set[str]) -> Iterable[str]:
    """Name the targets of a group and of the groups within it."""
    for name in groups[group]["targets"]:
        if name in beside:
            continue
        if name in groups:
            yield from _members(groups, name, beside)
        else:
            yield name
