"""Bringing a backup back: staged beside the live data, compared, then swapped in while nobody uses it."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from cotai_tasks.backup.catalogue import open_catalogue
from cotai_tasks.backup.components.base import Site
from cotai_tasks.backup.components.config import kept_files
from cotai_tasks.backup.components.registry import all_components
from cotai_tasks.backup.keys import open_identities
from cotai_tasks.backup.live import (
    both_locks,
    clear_staged,
    discard_replaced,
    half_done,
    put_back,
    replace,
    survey,
)
from cotai_tasks.backup.rehearse import Outcome, choose, make_feed, rehearse_backup, require_equal
from cotai_tasks.console import duration, size
from cotai_tasks.errors import (
    Finding,
    PreflightError,
    RefusedError,
    UsageError,
    nearest,
)
from cotai_tasks.facts import running_services
from cotai_tasks.lock import stack_lock
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.backup.components.base import Component, Leftovers
    from cotai_tasks.backup.manifest import Manifest
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

Target = Literal["scratch", "new", "live"]
_HEADROOM = 1.3
"""Free disk that a restore wants, as a multiple of the dump: indexes are made anew, and the old data stays."""


@dataclass(frozen=True)
class Restored:
    """What a restore did."""

    backup: str
    into: str
    components: tuple[str, ...]
    seconds: float
    stopped_for: float = 0.0
    """Seconds during which the services that use the data did not run."""
    rehearsal: Outcome | None = None


def restore(  # noqa: PLR0913 - a flag each
    *,
    backup: str = "",
    only: str = "",
    into: str = "scratch",
    identity: str = "",
    store: str = "",
    signer: str = "",
    queued_tasks: bool = False,
    yes: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> Restored | None:
    """Restore a backup, the newest where none is named: into scratch containers, an empty stack, or the live one.

    Whatever fails before the swap leaves the live data untouched; what fails in it is put back. None for a rehearsal.
    """
    if into not in get_args(Target):
        raise UsageError(f"--into {into} means nothing", cure=nearest(into, get_args(Target)))
    site = Site(open_stack(settings, engine), settings, engine)
    catalogue = open_catalogue(store, signer, settings=settings, stack=site.stack.project.name)
    manifest = catalogue.find(backup)
    # The configuration of another day must not slip under a stack that runs: it is restored by name.
    names = choose(only, manifest, without=() if into == "scratch" else ("config", "postgres-physical"))
    identities = open_identities(manifest, identity, settings=settings, console=console)
    feed = make_feed(catalogue.store, identities, console)
    console.say(
        f"backup {manifest.id} of {manifest.stack}, {manifest.started_at:%Y-%m-%d %H:%M} UTC:"
        f" {', '.join(names)} into {into}"
    )
    if newer := catalogue.passed_over(manifest, backup):
        console.warn(f"newer, but damaged or of some components alone: {', '.join(newer)}; inv backup.list says which")
    parts = {name: all_components(encrypted=manifest.encrypted, queued_tasks=queued_tasks)[name] for name in names}
    _preflight(parts, manifest, into, site)
    if dry_run:
        _foretell(parts, manifest, into, site, console, as_json=as_json)
        return None
    begun = time.monotonic()
    if into == "scratch":
        with stack_lock(site.stack, engine, "backup.restore", "backup"):
            outcome = rehearse_backup(
                manifest, names, keep=True, store=catalogue.store, identities=identities, site=site, console=console
            )
        require_equal(outcome)
        return Restored(manifest.id, into, names, time.monotonic() - begun, rehearsal=outcome)
    if into == "live":
        question = f"Replace {', '.join(names)} of {site.stack.project.name} by what they were then?"
        console.confirm_name(question, site.stack.project.name, yes=yes)
    with both_locks(site, "backup.restore"):
        clear_staged(survey(site), site)
        stopped_for = replace(parts, manifest, feed, site, console)
        if into == "new":  # what was replaced was empty, but for files that came with a checkout
            for name, one in parts.items():
                if not (name == "config" and kept_files(site, manifest.id)):
                    one.discard(site, manifest.id)
    return Restored(manifest.id, into, names, time.monotonic() - begun, stopped_for)


def show_restored(done: Restored | None, *, as_json: bool, console: Console) -> None:
    """Say what came of it, and what to do next."""
    if done is None:
        return
    if as_json:
        console.json(asdict(done))
    what = f"{', '.join(done.components)} of backup {done.backup}"
    if done.rehearsal:
        console.done(f"restored {what} into scratch containers, as the manifest says ({duration(done.seconds)})")
        for part in done.rehearsal.parts:
            for hint in part.hints:
                console.say(f"  {part.component}: {hint}")
        console.say("inv backup.discard removes them.")
        return
    console.done(f"restored {what} ({duration(done.seconds)}; services were stopped for {duration(done.stopped_for)})")
    if done.into == "live":
        console.say(f"What it replaced is kept until: inv backup.discard --id {done.backup}")


def discard(
    *, backup: str = "", yes: bool = False, dry_run: bool = False, settings: Settings, engine: Engine, console: Console
) -> tuple[str, ...]:
    """Remove what restores left: scratch containers, what was staged, and for good what `backup` replaced."""
    site = Site(open_stack(settings, engine), settings, engine)
    return discard_replaced(backup, site, console, yes=yes, dry_run=dry_run)


def undo(
    *, backup: str = "", yes: bool = False, dry_run: bool = False, settings: Settings, engine: Engine, console: Console
) -> str:
    """Put the data back that a restore replaced, or was replacing when it was interrupted; newer data is lost."""
    site = Site(open_stack(settings, engine), settings, engine)
    return put_back(backup, site, console, yes=yes, dry_run=dry_run)


def _preflight(parts: Mapping[str, Component], manifest: Manifest, into: str, site: Site) -> None:
    """Find everything that stands against it, before anything is touched."""
    findings = [finding for name, one in parts.items() for finding in one.unfit(site, manifest.of(name))]
    findings += _space(parts, manifest, site)
    if into == "new":
        full = [name for name, one in parts.items() if not one.is_empty(site)]
        if full:
            raise RefusedError(
                f"{', '.join(full)} of {site.stack.project.name} holds data already",
                cure="--into live replaces it after a question, and keeps it; --into scratch only looks.",
            )
    if into != "scratch":
        findings += _left(manifest, survey(site))
    if findings:
        raise PreflightError(f"backup {manifest.id} cannot be restored into {into}", findings=findings)


def _left(manifest: Manifest, found: Mapping[str, Leftovers]) -> list[Finding]:
    """Find what earlier restores left in the way, in whatever component: it is told apart by the backup's id alone."""
    half = [
        Finding(one, "its restore was interrupted half-way", "inv backup.undo puts the old data back.")
        for one in half_done(found)
    ]
    kept = [
        name for name, left in found.items() if manifest.id in left.replaced and manifest.id not in half_done(found)
    ]
    cure = f"inv backup.discard --id {manifest.id} removes it, inv backup.undo --id {manifest.id} puts it back."
    return half + [
        Finding(name, "what an earlier restore of this backup replaced is still kept", cure) for name in kept
    ]


def _space(parts: Mapping[str, Component], manifest: Manifest, site: Site) -> list[Finding]:
    """Compare the size of the data with the engine's disk, where that is one of this host."""
    root = Path(site.engine.info().get("DockerRootDir", ""))
    wanted = _HEADROOM * sum(stream.plain_bytes for name in parts for stream in manifest.of(name))
    free = shutil.disk_usage(root).free if root.is_absolute() and root.is_dir() else wanted
    if free >= wanted:
        return []
    return [Finding(str(root), f"{size(free)} free, about {size(wanted)} are needed", "inv build.prune frees some.")]


def _foretell(
    parts: Mapping[str, Component], manifest: Manifest, into: str, site: Site, console: Console, *, as_json: bool
) -> None:
    """Say what a restore would do."""
    users = frozenset[str]()
    if into != "scratch":
        users = users.union(*(one.users(site, manifest.of(name)) for name, one in parts.items()))
    stopped = sorted(users & running_services(site.engine.containers(site.stack.project.name)))
    if as_json:
        console.json({"backup": manifest.id, "into": into, "would_restore": list(parts), "would_stop": stopped})
    console.say(f"would restore {', '.join(parts)} of backup {manifest.id} into {into}")
    if into != "scratch":
        console.say(f"would stop meanwhile, and start again: {', '.join(stopped) or 'nothing'}")
