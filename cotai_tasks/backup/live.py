"""Live data replaced while nobody uses it, and put back wherever that stopped.

From the moment that services are stopped until they are started, Ctrl-C is too late. What a kill leaves is told apart
by what the components have left, and by a note at the engine that says who ran: a volume with a label.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from cotai_tasks.backup.components.registry import all_components
from cotai_tasks.backup.components.scratch import drop_scratch
from cotai_tasks.errors import BackupError, CotaiError, Finding, IntegrityError, UnhealthyError, UsageError, nearest
from cotai_tasks.facts import running_services
from cotai_tasks.lock import restore_note, stack_lock
from cotai_tasks.stack import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cotai_tasks.backup.components.base import Component, Difference, Feed, Leftovers, Site
    from cotai_tasks.backup.manifest import Manifest
    from cotai_tasks.console import Console

_STOPPED = "cotai.stopped"
_PATIENCE = 300.0
"""Seconds for the services to become healthy again."""


def replace(parts: Mapping[str, Component], manifest: Manifest, feed: Feed, site: Site, console: Console) -> float:
    """Stage and compare, then swap while the users of the data are stopped; give the seconds that they were.

    What fails before the swap leaves everything as it is, what fails in it is put back.
    """
    try:
        _stage(parts, manifest, feed, site)
    except BaseException:
        _clear(parts, manifest.id, site, console)
        raise
    users = frozenset().union(*(one.users(site, manifest.of(name)) for name, one in parts.items()))
    with console.uninterrupted("the data is being put in place"):
        return _while_stopped(
            users,
            partial(_swap, parts, manifest.id, site, console),
            partial(_put_back, parts, manifest.id, site),
            site,
            console,
        )


def put_back(backup: str, site: Site, console: Console, *, yes: bool, dry_run: bool) -> str:
    """Put the data back that the restore of a backup replaced; where none is named, of the one that was interrupted."""
    found = survey(site)
    if not backup and not half_done(found) and restore_note(site.stack) in _notes(site):
        return _go_on(found, site, console, dry_run=dry_run)
    chosen = _meant(backup, found)
    parts = {name: one for name, one in all_components().items() if chosen in found[name].replaced | found[name].staged}
    names = ", ".join(name for name in parts if chosen in found[name].replaced)
    if dry_run:
        console.say(f"would put back {names} as before the restore of {chosen}")
        return chosen
    stack = site.stack.project.name
    if others := sorted({one for left in found.values() for one in left.replaced} - {chosen}):
        console.warn(f"kept too: what the restore of {', '.join(others)} replaced; the last restore is undone first")
    console.confirm_name(f"Put {names} of {stack} back as before the restore of {chosen}?", stack, yes=yes)
    users = frozenset().union(*(one.users(site, ()) for one in parts.values()))
    with both_locks(site, "backup.undo"), console.uninterrupted("the data is being put back"):
        back = partial(_put_back, parts, chosen, site)
        _while_stopped(users, back, back, site, console)
    console.done(f"{names}: as before the restore of {chosen}")
    return chosen


def discard_replaced(backup: str, site: Site, console: Console, *, yes: bool, dry_run: bool) -> tuple[str, ...]:
    """Remove scratch containers and what interrupted restores staged; and for good what `backup` replaced."""
    found = survey(site)
    replaced = sorted({one for left in found.values() for one in left.replaced} - {*half_done(found)})
    chosen = tuple(one for one in replaced if backup and one.startswith(backup))
    if backup and not chosen:
        known = nearest(backup, replaced) if replaced else "No restore left any."
        raise UsageError(f"nothing that backup {backup} replaced is kept", cure=known)
    if dry_run:
        console.say(f"would remove scratch containers and {', '.join(chosen) or 'nothing else'}")
        return chosen
    if chosen:
        console.confirm(f"Remove for good the data that {', '.join(chosen)} replaced?", yes=yes)
    parts = all_components()
    with both_locks(site, "backup.discard"):
        gone = [*drop_scratch(site), *clear_staged(found, site)]
        for each in chosen:
            for name, one in parts.items():
                if each in found[name].replaced:
                    one.discard(site, each)
            gone.append(f"the data that {each} replaced")
    console.done(f"removed {', '.join(gone)}" if gone else "nothing to do")
    for each in half_done(found):
        console.warn(f"the restore of {each} was interrupted half-way: inv backup.undo puts the old data back")
    if kept := [one for one in replaced if one not in chosen]:
        console.say(f"kept: the data that {', '.join(kept)} replaced (inv backup.discard --id …)")
    return chosen


def survey(site: Site) -> dict[str, Leftovers]:
    """Ask every component what earlier restores left."""
    return {name: one.leftovers(site) for name, one in all_components().items()}


def half_done(found: Mapping[str, Leftovers]) -> list[str]:
    """Name the restores that were interrupted after they had begun to move live data."""
    staged = {one for left in found.values() for one in left.staged}
    return sorted(staged & {one for left in found.values() for one in left.replaced})


def clear_staged(found: Mapping[str, Leftovers], site: Site) -> list[str]:
    """Remove what interrupted restores have staged where no live data was moved yet; say what it was."""
    idle = {one for left in found.values() for one in left.staged} - {*half_done(found)}
    for name, one in all_components().items():
        for backup in sorted(idle & found[name].staged):
            one.revert(site, backup)  # PostgreSQL may have closed a database for the swap
            one.unstage(site, backup)
    return [f"what the interrupted restore of {one} had staged" for one in sorted(idle)]


@contextmanager
def both_locks(site: Site, purpose: str) -> Iterator[None]:
    """Keep deploys and backups out."""
    with ExitStack() as locks:
        for name in ("lock", "backup"):
            locks.enter_context(stack_lock(site.stack, site.engine, purpose, name))
        yield


def _meant(backup: str, found: Mapping[str, Leftovers]) -> str:
    known = sorted({one for left in found.values() for one in left.replaced})
    fitting = [one for one in known if one.startswith(backup)] if backup else half_done(found)
    if len(fitting) != 1:
        cure = f"--id names one of: {', '.join(known)}." if known else "No restore left any."
        if known and not backup:
            raise UsageError("no restore was interrupted: name the one to undo", cure=cure)
        raise UsageError(f"nothing that backup {backup or '(none named)'} replaced is kept", cure=cure)
    return fitting[0]


def _stage(parts: Mapping[str, Component], manifest: Manifest, feed: Feed, site: Site) -> None:
    differences: list[Difference] = []
    for name, one in parts.items():
        differences += one.stage(site, manifest.id, manifest.of(name), feed)
    if differences:
        raise IntegrityError(
            f"what was staged of backup {manifest.id} is not what its manifest says",
            cure="The live data was not touched.",
            findings=[one.finding("") for one in differences],
        )


def _clear(parts: Mapping[str, Component], backup: str, site: Site, console: Console) -> None:
    for name, one in parts.items():
        try:
            one.unstage(site, backup)
        except (CotaiError, OSError) as error:
            console.warn(f"{name}: what was staged stays for now ({error}); inv backup.discard removes it")


def _swap(parts: Mapping[str, Component], backup: str, site: Site, console: Console) -> None:
    for name, one in parts.items():
        with console.step(f"putting {name} in place"):
            one.swap(site, backup)
    _clear(parts, backup, site, console)


def _put_back(parts: Mapping[str, Component], backup: str, site: Site) -> None:
    """Put everything back, the last first; one that fails does not keep the others from it."""
    failed = []
    for name, one in reversed([*parts.items()]):
        try:
            one.revert(site, backup)
            one.unstage(site, backup)
        except (CotaiError, OSError) as error:
            failed.append(Finding(name, str(error), getattr(error, "cure", "")))
    if failed:
        raise BackupError(
            f"not all could be put back as before the restore of {backup}",
            cure="The services stay stopped. Mend what is named, then: inv backup.undo",
            findings=failed,
        )


def _while_stopped(
    users: frozenset[str], change: Callable[[], None], mend: Callable[[], None], site: Site, console: Console
) -> float:
    """Change data while its users are stopped, and start just those again that ran; give the seconds.

    `mend` makes the data whole where the change has failed; where that fails too nobody is started on a mixture.
    """
    running = _remember(users, site)
    begun = time.monotonic()
    try:
        if running:
            with console.step(f"stopping {', '.join(running)}"):
                _finish(site.engine.stop(site.stack.project, running))
    except BaseException:
        _start(running, site)
        raise
    try:
        change()
    except BaseException:
        console.warn("it failed: the data is put back as it was")
        mend()
        _start(running, site)
        raise
    _start(running, site)
    with console.step(f"starting {', '.join(running) or 'nothing'}"):
        _wait_until_healthy(running, site)
    return time.monotonic() - begun


def _go_on(found: Mapping[str, Leftovers], site: Site, console: Console, *, dry_run: bool) -> str:
    """Start who was stopped by a restore that was killed before it moved anything."""
    running = _remember(frozenset(), site)
    if dry_run:
        console.say(f"would start {', '.join(running)}: no data was moved")
        return ""
    with both_locks(site, "backup.undo"):
        clear_staged(found, site)
        _start(running, site)
    console.done(f"no data was moved; started {', '.join(running) or 'nothing'}")
    return ""


def _notes(site: Site) -> dict[str, dict[str, str]]:
    return site.engine.volume_labels([restore_note(site.stack)])


def _remember(users: frozenset[str], site: Site) -> list[str]:
    """Write down at the engine who runs; after an interruption, who ran before it."""
    note, project = restore_note(site.stack), site.stack.project.name
    before = _notes(site).get(note, {}).get(_STOPPED, "")
    running = {*split(before), *(users & running_services(site.engine.containers(project)))}
    if not before:
        label = ",".join(sorted(running))
        site.engine.command("volume", "create", "--label", f"{_STOPPED}={label}", note)
    return sorted(running)


def _start(services: Sequence[str], site: Site) -> None:
    if services:
        _finish(site.engine.compose(site.stack.project, "start", *services))
    site.engine.command("volume", "rm", "--force", restore_note(site.stack))


def _wait_until_healthy(services: Sequence[str], site: Site) -> None:
    end = time.monotonic() + _PATIENCE
    while late := [
        one
        for one in site.engine.glance(site.stack.project.name)
        if one.service in services and (one.state != "running" or one.health not in {"healthy", ""})
    ]:
        if time.monotonic() > end:
            raise UnhealthyError(
                f"not healthy with the data as it is now: {', '.join(sorted({one.service for one in late}))}",
                cure="inv deploy.logs shows why; inv db.migrate, where the application is newer; inv backup.undo.",
            )
        time.sleep(1)


def _finish(lines: Iterator[str]) -> None:
    for _ in lines:
        pass
