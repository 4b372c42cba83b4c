"""Bringing a backup back: staged beside the live data, compared, then swapped in while nobody uses it."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from cotai_tasks.backup.catalogue import open_catalogue
from cotai_tasks.backup.component import Site
from cotai_tasks.backup.components import all_components
from cotai_tasks.backup.keys import open_identities
from cotai_tasks.backup.rehearse import Outcome, choose, make_feed, rehearse_backup, require_equal
from cotai_tasks.backup.scratch import drop_scratch
from cotai_tasks.console import duration, size
from cotai_tasks.errors import (
    Finding,
    IntegrityError,
    PreflightError,
    RefusedError,
    UnhealthyError,
    UsageError,
    nearest,
)
from cotai_tasks.facts import running_services
from cotai_tasks.stack import open_stack, stack_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cotai_tasks.backup.component import Component, Difference, Feed
    from cotai_tasks.backup.manifest import Manifest
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

Target = Literal["scratch", "new", "live"]
_HEADROOM = 1.3
"""Free disk that a restore wants, as a multiple of the dump: indexes are made anew, and the old data stays."""
_PATIENCE = 300.0
"""Seconds for the services to become healthy again."""


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
    parts = {name: all_components(encrypted=manifest.encrypted, queued_tasks=queued_tasks)[name] for name in names}
    _preflight(parts, manifest, into, site)
    if dry_run:
        _foretell(parts, manifest, into, site, console)
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
    with ExitStack() as locks:
        for name in ("lock", "backup"):
            locks.enter_context(stack_lock(site.stack, engine, "backup.restore", name))
        tidy(site, console)
        stopped_for = replace(parts, manifest, feed, site, console)
        if into == "new":  # what was replaced was empty
            for one in parts.values():
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
    """Remove scratch containers, undo interrupted restores, and remove for good what `backup` replaced."""
    site = Site(open_stack(settings, engine), settings, engine)
    found = {one.name: one.leftovers(site) for one in all_components().values()}
    replaced = sorted({known for left in found.values() for known in left.replaced})
    if backup and not any(one.startswith(backup) for one in replaced):
        known = nearest(backup, replaced) if replaced else "No restore left any."
        raise UsageError(f"nothing that backup {backup} replaced is kept", cure=known)
    chosen = tuple(one for one in replaced if backup and one.startswith(backup))
    if dry_run:
        console.say(f"would remove scratch containers and {', '.join(chosen) or 'nothing else'}")
        return chosen
    if chosen:
        console.confirm(f"Remove for good the data that {', '.join(chosen)} replaced?", yes=yes)
    with stack_lock(site.stack, engine, "backup.discard", "backup"):
        dropped = drop_scratch(site)
        tidy(site, console)
        for one in all_components().values():
            for each in chosen:
                one.discard(site, each)
    gone = [*dropped, *(f"the data that {one} replaced" for one in chosen)]
    console.done(f"removed {', '.join(gone)}" if gone else "nothing to do")
    kept = [one for one in replaced if one not in chosen]
    if kept:
        console.say(f"kept: the data that {', '.join(kept)} replaced (inv backup.discard --id …)")
    return chosen


def undo(
    *, backup: str, yes: bool = False, dry_run: bool = False, settings: Settings, engine: Engine, console: Console
) -> None:
    """Put the data back that the restore of a backup replaced; what was written since then is lost."""
    site = Site(open_stack(settings, engine), settings, engine)
    parts = {name: one for name, one in all_components().items() if backup in one.leftovers(site).replaced}
    if not parts:
        raise UsageError(
            f"nothing that backup {backup or '(none named)'} replaced is kept", cure="--id names it whole."
        )
    users = frozenset().union(*(one.users(site, ()) for one in parts.values()))
    if dry_run:
        console.say(f"would put back {', '.join(parts)} as before the restore of {backup}")
        return
    question = f"Put {', '.join(parts)} of {site.stack.project.name} back as before the restore of {backup}?"
    console.confirm_name(question, site.stack.project.name, yes=yes)
    with ExitStack() as locks:
        for name in ("lock", "backup"):
            locks.enter_context(stack_lock(site.stack, engine, "backup.undo", name))
        with _stopped(users, site, console):
            for name, one in parts.items():
                with console.step(f"putting {name} back"):
                    one.revert(site, backup)
        for one in parts.values():
            one.unstage(site, backup)
    console.done(f"{', '.join(parts)}: as before the restore of {backup}")


def tidy(site: Site, console: Console) -> None:
    """Undo restores that were interrupted: put back what they had moved, remove what they had staged."""
    parts = all_components().values()
    staged = {backup for one in parts for backup in one.leftovers(site).staged}
    for backup in sorted(staged):
        console.warn(f"the restore of {backup} was interrupted: its data is put back as it was")
        for one in parts:
            one.revert(site, backup)
            one.unstage(site, backup)


def replace(parts: Mapping[str, Component], manifest: Manifest, feed: Feed, site: Site, console: Console) -> float:
    """Stage, compare and swap; give the seconds that the users of the data were stopped."""
    try:
        differences: list[Difference] = []
        for name, one in parts.items():
            differences += one.stage(site, manifest.id, manifest.of(name), feed)
        if differences:
            raise IntegrityError(
                f"what was staged of backup {manifest.id} is not what its manifest says",
                cure="The live data was not touched.",
                findings=[Finding(one.where, f"{one.found} instead of {one.expected}", "") for one in differences],
            )
        users = frozenset().union(*(one.users(site, manifest.of(name)) for name, one in parts.items()))
        with _stopped(users, site, console) as since:
            _swap(parts, manifest.id, site, console)
        return time.monotonic() - since
    finally:
        for one in parts.values():
            one.unstage(site, manifest.id)


def _swap(parts: Mapping[str, Component], backup: str, site: Site, console: Console) -> None:
    begun: list[Component] = []
    try:
        for name, one in parts.items():
            begun.append(one)
            with console.step(f"putting {name} in place"):
                one.swap(site, backup)
    except BaseException:
        console.warn("putting the old data back")
        for one in reversed(begun):
            one.revert(site, backup)
        raise


@contextmanager
def _stopped(users: frozenset[str], site: Site, console: Console) -> Iterator[float]:
    """Stop those services that run, and start just these again whatever happens."""
    running = sorted(users & running_services(site.engine.containers(site.stack.project.name)))
    since = time.monotonic()
    try:
        if running:
            with console.step(f"stopping {', '.join(running)}"):
                _finish(site.engine.stop(site.stack.project, running))
        yield since
    finally:
        if running:
            with console.step(f"starting {', '.join(running)}"):
                _finish(site.engine.compose(site.stack.project, "start", *running))
                _wait_until_healthy(running, site)


def _wait_until_healthy(services: Sequence[str], site: Site) -> None:
    end = time.monotonic() + _PATIENCE
    while late := [
        one
        for one in site.engine.glance(site.stack.project.name)
        if one.service in services and (one.state != "running" or one.health not in {"healthy", ""})
    ]:
        if time.monotonic() > end:
            raise UnhealthyError(
                f"not healthy with the restored data: {', '.join(sorted({one.service for one in late}))}",
                cure="inv deploy.logs shows why; inv db.migrate, where the application is newer than the backup.",
            )
        time.sleep(1)


def _finish(lines: Iterator[str]) -> None:
    for _ in lines:
        pass


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
    if into == "live":
        left = {name: one.leftovers(site) for name, one in parts.items()}
        kept = [name for name, found in left.items() if manifest.id in found.replaced - found.staged]
        findings += [
            Finding(
                name, "keeps what an earlier restore of this backup replaced", f"inv backup.discard --id {manifest.id}"
            )
            for name in kept
        ]
    if findings:
        raise PreflightError(f"backup {manifest.id} cannot be restored into {into}", findings=findings)


def _space(parts: Mapping[str, Component], manifest: Manifest, site: Site) -> list[Finding]:
    """Compare the size of the data with the engine's disk, where that is one of this host."""
    root = Path(site.engine.info().get("DockerRootDir", ""))
    wanted = _HEADROOM * sum(stream.plain_bytes for name in parts for stream in manifest.of(name))
    free = shutil.disk_usage(root).free if root.is_absolute() and root.is_dir() else wanted
    if free >= wanted:
        return []
    return [Finding(str(root), f"{size(free)} free, about {size(wanted)} are needed", "inv build.prune frees some.")]


def _foretell(parts: Mapping[str, Component], manifest: Manifest, into: str, site: Site, console: Console) -> None:
    """Say what a restore would do."""
    console.say(f"would restore {', '.join(parts)} of backup {manifest.id} into {into}")
    if into != "scratch":
        users = frozenset().union(*(one.users(site, manifest.of(name)) for name, one in parts.items()))
        running = sorted(users & running_services(site.engine.containers(site.stack.project.name)))
        console.say(f"would stop meanwhile, and start again: {', '.join(running) or 'nothing'}")
