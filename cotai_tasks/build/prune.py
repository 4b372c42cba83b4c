"""Giving disk space back: images of ours that nothing uses, and build cache that nobody used for a week."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.build.bake import OWNER_LABEL, read_targets, stages_bake
from cotai_tasks.console import size
from cotai_tasks.facts import read_size
from cotai_tasks.places import KEPT
from cotai_tasks.stack import known_source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

_CACHE_AGE = "168h"


@dataclass(frozen=True)
class Removal:
    """An image to remove."""

    reference: str
    """Its tag; its id where it has none."""
    replaced: bool
    """Whether it lost its tag to a newer build; else its tag is an old one."""
    size: int
    """Bytes that no other image shares."""


@dataclass(frozen=True)
class PruneResult:
    """What was removed, or would be."""

    images: tuple[Removal, ...]
    cache: int
    """Bytes of build cache; 0 on a dry run."""


def prune_images(
    *, settings: Settings, engine: Engine, console: Console, yes: bool = False, dry_run: bool = False
) -> PruneResult:
    """Remove images of ours that are dangling or have an old tag, unless a container uses them, and old build cache.

    Raises `RefusedError` when it is not confirmed.
    """
    repository = settings.variables.COTAI_REPOSITORY
    targets = read_targets(stages_bake(settings, known_source(settings, engine)), "stage", engine=engine)
    removals = choose_removals(
        _disk_usage(engine),
        dangling=_dangling(engine, f"{OWNER_LABEL}={repository}"),
        repositories={f"{repository}/{stage}" for stage in [*targets.known, "naive"]},
        tag=settings.variables.COTAI_TAG,
    )
    _announce(removals, console)
    if dry_run:
        return PruneResult(removals, 0)
    if removals:
        console.confirm("Remove these images?", yes=yes)
        engine.remove_images([one.reference for one in removals])
    with console.step("build cache that was not used for a week"):
        builder = engine.command("context", "show").strip()
        said = engine.command("buildx", "prune", "--builder", builder, "--force", "--filter", f"until={_CACHE_AGE}")
    total = re.search(r"Total:\s+(\S+)", said)
    return PruneResult(removals, read_size(total[1]) if total else 0)


def choose_removals(
    images: Iterable[Mapping[str, str]], *, dangling: Collection[str], repositories: Collection[str], tag: str
) -> tuple[Removal, ...]:
    """Decide which images go: of ours, used by no container, and without a tag or with another than the current one."""

    def removal(image: Mapping[str, str]) -> Removal | None:
        if image["Containers"] != "0":
            return None
        unique = read_size(image["UniqueSize"])
        if image["ID"] in dangling:
            return Removal(image["ID"], replaced=True, size=unique)
        old = image["Tag"] not in {tag, "<none>"} and not image["Tag"].startswith(KEPT)  # those go with their release
        if image["Repository"] in repositories and old:
            return Removal(f"{image['Repository']}:{image['Tag']}", replaced=False, size=unique)
        return None

    found = {one.reference: one for image in images if (one := removal(image))}
    return tuple(found[reference] for reference in sorted(found))


def _announce(removals: Iterable[Removal], console: Console) -> None:
    replaced = [one.size for one in removals if one.replaced]
    if replaced:
        console.say(
            f"to remove: what newer builds replaced, {len(replaced)} in number ({size(sum(replaced))} of their own)"
        )
    for one in removals:
        if not one.replaced:
            console.say(f"to remove: {one.reference}, an old tag ({size(one.size)} of its own)")


def _disk_usage(engine: Engine) -> list[dict[str, str]]:
    told: list[dict[str, str]] = json.loads(
        engine.command("system", "df", "--verbose", "--format", "{{json .Images}}") or "[]"
    )
    return told


def _dangling(engine: Engine, label: str) -> set[str]:
    filters = ["--filter", "dangling=true", "--filter", f"label={label}"]
    return set(engine.command("image", "ls", "--quiet", "--no-trunc", *filters).split())
