"""Which backups stay, and why: a decision on what the store shows, without a look at anything else."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from cotai_tasks.backup.verification import LEVELS, deepest
from cotai_tasks.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from cotai_tasks.backup.catalogue import Entry
    from cotai_tasks.backup.verification import Level

_PERIODS: dict[str, Callable[[datetime], str]] = {
    "hourly": lambda time: f"{time:%Y-%m-%d %H}h",
    "daily": lambda time: f"{time:%Y-%m-%d}",
    "weekly": lambda time: f"{time:%G-W%V}",
    "monthly": lambda time: f"{time:%Y-%m}",
    "yearly": lambda time: f"{time:%Y}",
}
"""How each period is named; all of them in UTC, so that no clock that is put back makes an hour twice."""

RULES = ("last", *_PERIODS)


@dataclass(frozen=True)
class Decision:
    """What is to become of one backup."""

    entry: Entry
    reasons: tuple[str, ...]
    """Why it stays; with none it goes."""

    @property
    def keeps(self) -> bool:
        """Whether it stays."""
        return bool(self.reasons)


def read_keep(text: str) -> dict[str, int]:
    """Read `last=3 daily=7`; raise `UsageError` for a rule that is none."""
    pairs = [word.partition("=") for word in text.split()]
    for rule, _, count in pairs:
        if rule not in RULES:
            raise UsageError(f"no such rule: {rule!r}", cure=nearest(rule, RULES))
        if not count.isdecimal():
            raise UsageError(f"{rule}={count}: not a count", cure="Write it as last=3 daily=7 weekly=4.")
    return {rule: int(count) for rule, _, count in pairs}


def plan(entries: Sequence[Entry], *, keep: Mapping[str, int], min_keep: int, now: datetime) -> list[Decision]:
    """Decide on each backup, the newest first.

    A rule keeps the newest backup of each of its latest periods, and counts only periods that have one: days without a
    backup make no older one go. A backup that would not restore fills no place and is never removed, nor is one whose
    time lies in the future; of the others at least `min_keep` stay, and the one that was verified most closely does.
    Those that hold only some of the components have a place of their own.
    """
    newest_first = sorted(entries, key=lambda one: one.time, reverse=True)
    usable = [one for one in newest_first if not one.fault and not one.is_ahead(now)]
    whole = [one for one in usable if not one.is_partial]
    reasons: dict[str, list[str]] = defaultdict(list)
    for rule, count in keep.items():
        for one, reason in _kept(rule, count, whole):
            reasons[one.id].append(reason)
    if proved := _proved_best(whole):
        one, level = proved
        reasons[one.id].append(f"newest verified by {level}")
    for held, one in _newest_by_parts(usable).items():
        reasons[one.id].append(f"newest of {held}")
    for one in usable:
        if one.manifest and one.manifest.tag:
            reasons[one.id].append(f"tag {one.manifest.tag}")
    missing = min_keep - sum(one.id in reasons for one in whole)
    for one in [one for one in whole if one.id not in reasons][: max(missing, 0)]:
        reasons[one.id].append(f"one of at least {min_keep}")
    for one in newest_first:
        reasons[one.id] += _untouchable(one, now)
    return [Decision(one, tuple(reasons[one.id])) for one in newest_first]


def _untouchable(one: Entry, now: datetime) -> Iterator[str]:
    """Say why no rule may remove a backup."""
    if one.fault:
        yield "damaged: only a person removes it"
    elif one.is_ahead(now):
        yield "its time lies in the future"
    if one.locked_until and one.locked_until > now:
        yield f"locked until {one.locked_until.astimezone(UTC):%Y-%m-%d %H:%M}"


def _proved_best(newest_first: Sequence[Entry]) -> tuple[Entry, Level] | None:
    """Give the backup that was verified most closely, the newest of several; sizes alone prove too little to count."""
    verified = [(one, best.level) for one in newest_first if (best := deepest(one.verified)) and best.level != "quick"]
    return max(verified, key=lambda pair: LEVELS.index(pair[1]), default=None)


def _newest_by_parts(newest_first: Sequence[Entry]) -> dict[str, Entry]:
    """Give the newest partial backup of each distinct set of components: a hundred of one part push no other out."""
    newest: dict[str, Entry] = {}
    for one in newest_first:
        if one.manifest and one.is_partial:
            newest.setdefault(",".join(one.manifest.components), one)
    return newest


def _kept(rule: str, count: int, newest_first: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Give what one rule keeps, with the reason in words."""
    if rule == "last":
        return [(one, f"last {count}") for one in newest_first[:count]]
    newest: dict[str, Entry] = {}
    for one in newest_first:
        newest.setdefault(_PERIODS[rule](one.time.astimezone(UTC)), one)
    return [(one, f"{rule} {period}") for period, one in list(newest.items())[:count]]
