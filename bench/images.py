"""How large the images are and how fast they are built again, beside `docker/Dockerfile.naive`."""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.figures import Figure, measured
from bench.workbench import REPOSITORY, quiet
from cotai_tasks.build import build_images
from cotai_tasks.build.bake import run_bake, stages_bake
from cotai_tasks.build.sizes import find_module, measure_sizes
from cotai_tasks.stack import known_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.workbench import Workbench
    from cotai_tasks.settings import Settings

TAG = "bench"
"""Of the images that are built here: nobody else's are touched, and they are removed in the end."""
STAGE = "production"
ADDED = ("iniconfig", "pluggy", "pathspec", "identify", "cfgv", "distlib")
"""Packages of our own lock file that the application does not need: each round adds another one to it."""
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__")


def measure(bench: Workbench) -> Iterator[Figure]:
    """Build every stage and the naive image, then both again after each kind of change, in turns."""
    settings = bench.settings("prod", COTAI_TAG=TAG)
    try:
        yield from _sizes(bench, settings)
        yield from _rebuilds(bench, settings)
    finally:
        if tags := _tags(bench, settings):
            bench.engine.command("image", "rm", *tags)


def _sizes(bench: Workbench, settings: Settings) -> Iterator[Figure]:
    with bench.console.step("building every stage"):
        build_images([], settings=settings, engine=bench.engine, console=quiet())
    with bench.console.step("building the naive image"):
        report = measure_sizes(settings=settings, engine=bench.engine, console=quiet())
    naive, note = ((report.naive / 10**6,), "") if report.naive else ((), "it could not be built")
    for one in report.stages:
        yield measured(f"size-{one.stage}", one.size / 10**6, naive, note)


def _rebuilds(bench: Workbench, settings: Settings) -> list[Figure]:
    """Build both from copies of the application; what was built before is in the cache of either."""
    pins = (REPOSITORY / "requirements-dev.lock").read_text()
    took: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with TemporaryDirectory(prefix="cotai-bench-") as scratch:
        ways = _ways(bench, settings, Path(scratch))
        for name, (copy, build) in ways.items():
            with bench.console.step(f"{name}, for the first time"):
                build(copy)
        for turn, package in zip(range(bench.rounds), ADDED, strict=False):
            mark = uuid.uuid4().hex  # no cache of an earlier run knows it
            for change in ("nothing", "code", "dependency"):
                for name, (copy, build) in ways.items():
                    apply(change, copy, settings.variables.APP_MODULE, mark, pin(pins, package))
                    with bench.console.step(f"round {turn + 1}: {change} changed, {name}"):
                        begun = time.monotonic()
                        build(copy)
                        took[change][name].append(time.monotonic() - begun)
    return [measured(f"rebuild-{change}", runs["ours"], runs["naive"]) for change, runs in took.items()]


def apply(change: str, copy: Path, module: str, mark: str, dependency: str) -> None:
    """Change an application's folder: a line of its code, or a package that it needs."""
    if change == "code":
        with find_module(copy, module).open("a") as code:
            code.write(f"\n# {mark}\n")
    elif change == "dependency":
        with (copy / "requirements.txt").open("a") as needed:
            needed.write(f"\n# {mark}\n{dependency}\n")


def pin(lock: str, package: str) -> str:
    """Give the lines of a lock file that name a package's version and its hashes."""
    found = re.search(rf"^{package}==\S+(?: \\\n    --hash=\S+)+", lock, re.MULTILINE)
    if not found:
        raise LookupError(f"the lock file has no {package}")
    return found[0]


def _ways(bench: Workbench, settings: Settings, scratch: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    """Give each way to build with a copy of the application for it alone."""
    source = known_source(settings, bench.engine)

    def ours(copy: Path) -> object:
        bake = stages_bake(settings, source, APP_CONTEXT=str(copy))
        return run_bake(bake, [STAGE], engine=bench.engine, console=quiet(), what=STAGE)

    def naive(copy: Path) -> object:
        base = stages_bake(settings, source).variables["PYTHON_IMAGE"]
        arguments = [
            *("build", "--builder", bench.engine.command("context", "show").strip(), "--provenance=false"),
            *("--file", str(settings.home / "docker/Dockerfile.naive"), "--tag", _image(settings, "naive")),
            *("--build-arg", f"PYTHON_IMAGE={base}"),
            *(["--secret", f"id=ca,src={settings.ca_file}"] if settings.ca_file else []),
            str(copy),
        ]
        return [*bench.engine.build(arguments, {}, settings.home)]

    copies = {name: scratch / name for name in ("ours", "naive")}
    for copy in copies.values():
        shutil.copytree(settings.app_context, copy, ignore=_LEFT_OUT)
    return {"ours": (copies["ours"], ours), "naive": (copies["naive"], naive)}


def _image(settings: Settings, name: str) -> str:
    return f"{settings.variables.COTAI_REPOSITORY}/{name}:{TAG}"


def _tags(bench: Workbench, settings: Settings) -> list[str]:
    only = f"reference={_image(settings, '*')}"
    return bench.engine.command("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", only).split()
