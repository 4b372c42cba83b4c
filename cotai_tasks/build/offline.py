"""The upstream images without a registry: built from packages of Debian, PyPI and npm."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cotai_tasks.build.bake import Targets, offline_bake, read_targets, run_bake
from cotai_tasks.errors import BuildError, EngineError, PreflightError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Image
    from cotai_tasks.settings import Settings

OFFLINE = "cotai-offline"
"""The repository of the offline images."""

BASE = f"{OFFLINE}/base:13"
"""What `docker/offline/make-base` makes, and every offline image starts from."""

INPUTS_LABEL = "cotai.inputs"
"""Holds the digest of everything that an image was made from: the same inputs need no second build."""


@dataclass(frozen=True)
class OfflineResult:
    """Which offline images were built."""

    built: tuple[str, ...]
    already: int
    """How many were there and up to date."""


def make_offline(
    only: Collection[str] = (),
    *,
    settings: Settings,
    engine: Engine,
    console: Console,
    no_cache: bool = False,
    dry_run: bool = False,
) -> OfflineResult:
    """Build those offline images that are missing or whose inputs changed; of `only`, where given, those missing.

    Raises `PreflightError` on a host that cannot make the base image, `BuildError` when a build fails.
    """
    bake = offline_bake(settings)
    targets = read_targets(bake, engine=engine)
    names = [name for name in targets.known if not only or targets.tag(name) in only]
    tags = [targets.tag(name) for name in names]
    present = engine.images(BASE, *tags)
    before = {one.id for one in present.values()}
    if only and all(tag in present for tag in tags):
        return OfflineResult((), len(tags))
    if not dry_run and not (only and BASE in present):
        make_base(bake.file.parent / "make-base", fresh=no_cache, engine=engine, console=console)
        present |= engine.images(BASE)
    digests = inputs(targets, bake.file.parent, present[BASE].id if BASE in present else "")
    todo = names if no_cache else outdated(names, targets, present, digests, check_inputs=not only)
    result = OfflineResult(tuple(targets.tag(name) for name in todo), len(names) - len(todo))
    if todo and not dry_run:
        labels = [part for name in todo for part in ("--set", f"{name}.labels.{INPUTS_LABEL}={digests[name]}")]
        flags = [*labels, *(["--no-cache"] if no_cache else [])]
        console.say(f"building {len(todo)} images from packages; the first time takes minutes: {', '.join(todo)}")
        run_bake(bake, todo, *flags, engine=engine, console=console, what="the offline images")
        for replaced in sorted(before - {one.id for one in engine.images(BASE, *tags).values()}):
            with suppress(EngineError):  # a container still has it
                engine.remove_images([replaced])
    return result


def outdated(
    names: Collection[str],
    targets: Targets,
    present: Mapping[str, Image],
    digests: Mapping[str, str],
    *,
    check_inputs: bool,
) -> list[str]:
    """Name the targets whose image is missing, or was made from other inputs."""

    def current(name: str) -> bool:
        image = present.get(targets.tag(name))
        return image is not None and (not check_inputs or image.labels.get(INPUTS_LABEL) == digests[name])

    return [name for name in names if not current(name)]


def inputs(targets: Targets, folder: Path, base: str) -> dict[str, str]:
    """Digest what each target is made from: its definition, the files of its contexts, the base image."""
    trees: dict[Path, bytes] = {}
    done: dict[str, str] = {}

    def digest(name: str) -> str:
        if name not in done:
            raw = targets.known[name]
            sha = hashlib.sha256((base + json.dumps(raw, sort_keys=True).replace(str(folder), "")).encode())
            for context in [raw["context"], *sorted((raw.get("contexts") or {}).values())]:
                kind, _, other = context.partition(":")
                sha.update(digest(other).encode() if kind == "target" else _tree(Path(context), trees))
            done[name] = sha.hexdigest()[:16]
        return done[name]

    return {name: digest(name) for name in targets.known}


def make_base(script: Path, *, fresh: bool, engine: Engine, console: Console) -> None:
    """Run `make-base`, which does nothing when its image is up to date; `fresh` makes it in any case."""
    command = [str(script), *(["--force"] if fresh else [])]
    environ = {**os.environ, "DOCKER": engine.versions().client}
    with console.step(f"{BASE}, the image that every other starts from"), script.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands on a bare host would both make it
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise _base_error(done.stderr.strip() or done.stdout.strip())


def _base_error(words: str) -> PreflightError | BuildError:
    if "mmdebstrap is missing" in words:
        return PreflightError(
            "the offline images need mmdebstrap on this host",
            cure="sudo apt-get install --no-install-recommends mmdebstrap (Debian, Ubuntu); elsewhere build them on "
            "such a host and carry them over with docker save and docker load.",
        )
    return BuildError(f"{BASE} could not be made", evidence="\n".join(words.splitlines()[-30:]))


def _tree(folder: Path, done: dict[Path, bytes]) -> bytes:
    """Digest every file under a folder with its name and its executable bit."""
    if folder not in done:
        sha = hashlib.sha256()
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            mode = path.stat().st_mode & 0o100
            sha.update(f"{path.relative_to(folder)}\0{mode}\0".encode() + path.read_bytes() + b"\0")
        done[folder] = sha.digest()
    return done[folder]
