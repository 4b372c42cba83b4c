"""Thinning out: what the rules keep stays, the rest goes, and so does what interrupted backups left behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.markup import escape

from cotai_tasks.backup.catalogue import open_catalogue
from cotai_tasks.backup.listing import holds
from cotai_tasks.backup.retention import plan, read_keep
from cotai_tasks.console import duration, size
from cotai_tasks.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cotai_tasks.backup.catalogue import Catalogue
    from cotai_tasks.backup.retention import Decision
    from cotai_tasks.backup.store.base import Stat
    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings

ABANDONED = timedelta(hours=24)
"""Silence after which a backup under way counts as interrupted."""


@dataclass(frozen=True)
class Pruned:
    """What a prune did."""

    decisions: tuple[Decision, ...]
    removed: tuple[str, ...] = ()
    """Ids of backups."""
    cleared: tuple[str, ...] = ()
    """Ids of interrupted backups whose data was removed."""
    freed: int = 0
    """Bytes."""
    uploads: int = 0
    """Interrupted uploads that were removed."""


def prune(
    *,
    store: str = "",
    signer: str = "",
    yes: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
    settings: Settings,
    console: Console,
) -> Pruned:
    """Show what BACKUP_KEEP decides on each backup; after a question remove what it does not keep.

    It may run beside another prune and beside backups that are being made. Interrupted, it leaves nothing that would be
    listed, and the next prune goes on.
    """
    if as_json and not (yes or dry_run):  # the question would be of a table that nobody has seen
        raise RefusedError("--json shows no table, and removes nothing unseen", cure="Add --yes, or --dry-run to look.")
    catalogue = open_catalogue(store, signer, settings=settings)
    rules = read_keep(settings.variables.BACKUP_KEEP)
    now = datetime.now(UTC)
    decisions = _decide(catalogue, rules, settings, now)
    left = _removable(catalogue.leftovers(now - ABANDONED), catalogue, console)
    if not as_json:
        show_decisions(decisions, left, now=now, console=console)
    going = {one.entry.id for one in decisions if not one.keeps}
    if dry_run:
        result = Pruned(tuple(decisions))
    else:
        if going or left:
            console.confirm(f"Remove {_amount(going, left, decisions)} from {catalogue.store.url}?", yes=yes)
            if not yes:  # while a person read, backups may have come, gone, or turned out damaged
                going &= {one.entry.id for one in _decide(catalogue, rules, settings, now) if not one.keeps}
        result = _remove(going, left, decisions, catalogue, now, console)
    if as_json:
        console.json(as_facts(result, catalogue))
    return result


def delete(
    backup: str,
    *,
    store: str = "",
    signer: str = "",
    yes: bool = False,
    dry_run: bool = False,
    settings: Settings,
    console: Console,
) -> str:
    """Remove one backup for good, whatever the rules say: a tagged one, or a damaged one by its whole id."""
    catalogue = open_catalogue(store, signer, settings=settings)
    if not backup:
        raise UsageError("no backup is named", cure="--id ID; inv backup.list shows them.")
    found = backup if backup in catalogue.ids() else catalogue.find(backup).id
    if dry_run:
        console.say(f"would remove {found} from {catalogue.store.url}")
        return found
    console.confirm(f"Remove {found} from {catalogue.store.url} for good?", yes=yes)
    with console.step(f"removing {found}"):
        catalogue.remove(found)
    return found


def show_decisions(
    decisions: Sequence[Decision], left: Mapping[str, Sequence[Stat]], *, now: datetime, console: Console
) -> None:
    """Print which backups stay and why, and what else is to go."""
    rows = [
        (
            one.entry.id,
            duration(max((now - one.entry.time).total_seconds(), 0)),
            size(one.entry.manifest.stored_bytes) if one.entry.manifest else "?",
            holds(one.entry.manifest) if one.entry.manifest else "?",
            escape(f"stays: {', '.join(one.reasons)}") if one.keeps else "[red]goes[/]",
        )
        for one in decisions
    ]
    console.table(("backup", "age", "size", "components", "decision"), rows)
    for backup, files in left.items():
        console.say(f"interrupted: {backup}, {size(sum(one.size for one in files))}: goes")


def as_facts(result: Pruned, catalogue: Catalogue) -> dict[str, object]:
    """Give what was decided and done as JSON takes it."""
    return {
        "stack": catalogue.stack,
        "store": catalogue.store.url,
        "kept": {one.entry.id: list(one.reasons) for one in result.decisions if one.keeps},
        "to_remove": [one.entry.id for one in result.decisions if not one.keeps],
        "removed": list(result.removed),
        "cleared": list(result.cleared),
        "freed_bytes": result.freed,
        "uploads": result.uploads,
    }


def _decide(catalogue: Catalogue, rules: Mapping[str, int], settings: Settings, now: datetime) -> list[Decision]:
    return plan(catalogue.entries(), keep=rules, min_keep=settings.variables.BACKUP_MIN_KEEP, now=now)


def _removable(left: Mapping[str, Sequence[Stat]], catalogue: Catalogue, console: Console) -> dict[str, Sequence[Stat]]:
    """Leave out what the store has locked, and say until when."""
    found = {}
    for backup, files in left.items():
        if locks := [until for one in files if (until := catalogue.store.locked_until(one.key))]:
            console.say(f"interrupted: {backup} stays, locked until {max(locks):%Y-%m-%d %H:%M}")
        else:
            found[backup] = files
    return found


def _remove(
    going: set[str],
    left: Mapping[str, Sequence[Stat]],
    decisions: Sequence[Decision],
    catalogue: Catalogue,
    now: datetime,
    console: Console,
) -> Pruned:
    """Remove the oldest first: an interruption leaves the more useful ones."""
    removed = sorted(going)
    for backup in removed:
        catalogue.remove(backup)
        console.done(f"removed {backup}")
    for backup in left:
        catalogue.abandon(backup)
        console.done(f"removed what was left of {backup}")
    uploads = catalogue.store.sweep(f"{catalogue.stack}/", now - ABANDONED)
    freed = sum(one.entry.manifest.stored_bytes for one in decisions if one.entry.id in going and one.entry.manifest)
    freed += sum(one.size for files in left.values() for one in files)
    result = Pruned(tuple(decisions), tuple(removed), tuple(left), freed, uploads)
    if removed or left or uploads:
        console.done(f"removed {_amount(removed, left, decisions)}; {uploads} interrupted uploads; {size(freed)} freed")
    else:
        console.done("nothing to do: every backup stays")
    return result


def _amount(going: set[str] | list[str], left: Mapping[str, object], decisions: Sequence[Decision]) -> str:
    """Say how many of how many."""
    interrupted = f" and what {len(left)} interrupted ones left" if left else ""
    return f"{len(going)} of {len(decisions)} backups{interrupted}"
