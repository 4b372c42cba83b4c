"""Freshness: whether there is a backup that is whole, and young enough."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cotai_tasks.backup.catalogue import open_catalogue
from cotai_tasks.console import duration
from cotai_tasks.errors import CotaiError, Finding, StaleError, UsageError
from cotai_tasks.notify import notify as send

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.backup.catalogue import Entry
    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Freshness:
    """How old the newest backup is that would restore the whole stack."""

    newest: Entry | None
    age: timedelta
    """Of its data: since the backup began."""
    limit: timedelta
    damaged: tuple[Finding, ...]
    """What is wrong with those that are newer, or seem to be."""

    @property
    def fresh(self) -> bool:
        """Whether that is young enough."""
        return bool(self.newest) and self.age <= self.limit


def read_age(text: str) -> timedelta:
    """Read `26h`, `90m` or `8d`."""
    if not (found := re.fullmatch(r"(\d+)([mhd])", text)):
        raise UsageError(f"--max-age {text}: no length of time", cure="Write it as 26h, 90m or 8d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def judge(entries: Sequence[Entry], *, limit: timedelta, now: datetime) -> Freshness:
    """Find the newest backup that would restore the whole stack, and say what is wrong with newer ones."""
    newest_first = sorted(entries, key=lambda one: one.time, reverse=True)
    faults = {one.id: fault for one in newest_first if (fault := one.fault or _ahead(one, now))}
    newest = next((one for one in newest_first if one.id not in faults and not one.is_partial), None)
    newer = newest_first[: newest_first.index(newest)] if newest else newest_first
    age = now - newest.time if newest else timedelta.max
    return Freshness(newest, age, limit, tuple(faults[one.id] for one in newer if one.id in faults))


def check(
    max_age: str = "26h",
    *,
    notify: bool = False,
    store: str = "",
    signer: str = "",
    as_json: bool = False,
    settings: Settings,
    console: Console,
) -> Freshness:
    """Look for a backup that is whole and young enough, and print what there is.

    Raises `StaleError` where there is none. `notify` tells BACKUP_WEBHOOK_URL of that, and of a store that does not
    answer: nobody knows then whether there is one.
    """
    limit = read_age(max_age)
    try:
        catalogue = open_catalogue(store, signer, settings=settings)
        found = judge(catalogue.entries(), limit=limit, now=datetime.now(UTC))
        if as_json:
            console.json(as_facts(found, catalogue.stack, catalogue.store.url))
        text = summary(found, catalogue.stack, catalogue.store.url)
        if not found.fresh:
            cure = f"Make one: inv backup.create. Why none was made: journalctl -u {catalogue.stack}-backup."
            raise StaleError(text, cure=cure, findings=found.damaged)
    except CotaiError as error:
        if notify:
            send(settings, "stale", str(error), console=console, detail=[str(one) for one in error.findings])
        raise
    console.done(text)
    for fault in found.damaged:
        console.warn(str(fault))
    return found


def summary(found: Freshness, stack: str, store: str) -> str:
    """Say in one line what there is."""
    if not found.newest:
        return f"no whole backup of {stack} in {store}"
    limit = duration(found.limit.total_seconds())
    age = duration(max(found.age.total_seconds(), 0))
    return f"the newest whole backup of {stack}, {found.newest.id}, is {age} old (limit {limit})"


def _ahead(entry: Entry, now: datetime) -> Finding | None:
    """Say of a backup from the future that it is one."""
    if not entry.is_ahead(now):
        return None
    ahead = duration((entry.time - now).total_seconds())
    cure = f"Set the clocks of the hosts right. It says nothing of its age: inv backup.delete --id {entry.id}."
    return Finding(entry.id, f"its time lies {ahead} in the future", cure)


def as_facts(found: Freshness, stack: str, store: str) -> dict[str, object]:
    """Give what was found as JSON takes it."""
    return {
        "stack": stack,
        "store": store,
        "fresh": found.fresh,
        "backup": found.newest.id if found.newest else None,
        "age_seconds": round(found.age.total_seconds()) if found.newest else None,
        "limit_seconds": round(found.limit.total_seconds()),
        "damaged": [str(one) for one in found.damaged],
    }
