"""Images: build, measure, push and prune them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from cotai_tasks.task import open_tools, task

if TYPE_CHECKING:
    from invoke.context import Context

    from cotai_tasks.build.sizes import RebuildReport, SizeReport
    from cotai_tasks.console import Console

_NO_CACHE = "Take nothing from the cache: today's packages and security updates."


@task(
    positional=["stage"],
    help={"stage": "A stage of docker/Dockerfile: production, celery-worker, …", "no_cache": _NO_CACHE},
)
def image(c: Context, stage: str, env: str = "", no_cache: bool = False, dry_run: bool = False) -> None:
    """Build the image of one stage."""
    tools = open_tools(c, env)
    from cotai_tasks.build.images import build_images

    build_images([stage], no_cache=no_cache, dry_run=dry_run, **tools)


@task(name="all", help={"no_cache": _NO_CACHE})
def all_(c: Context, env: str = "", no_cache: bool = False, dry_run: bool = False) -> None:
    """Build the images of every stage, in parallel."""
    tools = open_tools(c, env)
    from cotai_tasks.build.images import build_images

    build_images([], no_cache=no_cache, dry_run=dry_run, **tools)


@task(help={"registry": "HOST/REPOSITORY to push to (default: COTAI_REPOSITORY, which must name a registry then)."})
def push(c: Context, registry: str = "", env: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Push the images that were built to a registry."""
    tools = open_tools(c, env)
    from cotai_tasks.build.registry import push_images

    pushed = push_images(registry=registry, dry_run=dry_run, **tools)
    if json:
        tools["console"].json([asdict(one) for one in pushed])
    elif pushed:
        tools["console"].table(("image", "digest"), [(one.image, one.digest) for one in pushed])


@task(help={"rebuild": "Also measure a build from nothing against one after a change of code (minutes)."})
def sizes(c: Context, env: str = "", rebuild: bool = False, json: bool = False) -> None:
    """Show each image's size against the single-stage image that people write first."""
    tools = open_tools(c, env)
    from cotai_tasks.build import sizes

    report = sizes.measure_sizes(**tools)
    rebuilt = sizes.measure_rebuild(**tools) if rebuild else None
    if json:
        again = {**asdict(rebuilt), "ratio": rebuilt.ratio} if rebuilt else None
        tools["console"].json({**asdict(report), "rebuild": again})
        return
    _print_sizes(report, rebuilt, tools["console"])


@task(help={"no_cache": _NO_CACHE})
def offline(c: Context, env: str = "", no_cache: bool = False, dry_run: bool = False) -> None:
    """Build the upstream images from packages, for a host that reaches no image registry."""
    tools = open_tools(c, env)
    from cotai_tasks.build.offline import make_offline

    result = make_offline(no_cache=no_cache, dry_run=dry_run, **tools)
    if not result.built:
        tools["console"].done(f"nothing to do: {result.already} offline images are up to date")
    for name in result.built:
        tools["console"].done(f"{'would build' if dry_run else 'built'} {name}")


@task()
def prune(c: Context, env: str = "", yes: bool = False, dry_run: bool = False) -> None:
    """Remove images of ours that nothing uses, and build cache that was not used for a week."""
    tools = open_tools(c, env)
    from cotai_tasks.build.prune import prune_images
    from cotai_tasks.console import size

    result = prune_images(yes=yes, dry_run=dry_run, **tools)
    freed = size(sum(one.size for one in result.images))
    if dry_run:
        tools["console"].done(f"would free at least {freed} of images, and build cache that was not used for a week")
    else:
        tools["console"].done(f"freed at least {freed} of images, and {size(result.cache)} of build cache")


def _print_sizes(report: SizeReport, rebuilt: RebuildReport | None, console: Console) -> None:
    from cotai_tasks.console import duration, size

    rows = [
        (one.stage, size(one.size), "" if one.smaller is None else f"{one.smaller:.0%} smaller")
        for one in report.stages
    ]
    naive = [("Dockerfile.naive", size(report.naive), "")] if report.naive else []
    console.table(("stage", "size", "against naive"), [*rows, *naive])
    if rebuilt:
        console.out(
            f"{rebuilt.stage}: {duration(rebuilt.cold)} without cache, {duration(rebuilt.code_only)} after a change of "
            f"code: {rebuilt.ratio:.0f} times faster"
        )
