"""The catalogue of checks, whole, and which of them are meant."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from cotai_tasks.errors import UsageError, nearest
from cotai_tasks.stack import split
from cotai_tasks.validate import groups
from cotai_tasks.validate.check import CATALOGUE, Effect

if TYPE_CHECKING:
    from collections.abc import Collection

    from cotai_tasks.console import Console
    from cotai_tasks.settings import Environment
    from cotai_tasks.validate.check import Check, Profile

GROUPS = {
    "CFG": "configuration",
    "HLT": "health",
    "END": "endpoints",
    "DB": "databases",
    "NET": "network",
    "PERF": "performance",
    "RES": "resources",
    "SEC": "security",
    "MON": "monitoring",
    "BAK": "backups",
}
"""Each group by the first half of its checks' ids, and its name."""

TIMED = {"HLT-01", "HLT-06", "DB-01", "DB-04", "DB-06", "PERF-01", "PERF-02", "PERF-03", "PERF-05", "PERF-06"}
"""Checks whose figure is a time, and so the machine's as much as the stack's."""


def catalogue() -> list[Check]:
    """Give every check in the order of groups and numbers."""
    for module in iter_modules(groups.__path__):
        import_module(f"{groups.__name__}.{module.name}")
    order = list(GROUPS)
    return sorted(CATALOGUE.values(), key=lambda one: (order.index(one.group), one.id))


def select(
    checks: Collection[Check],
    *,
    env: Environment,
    profile: Profile,
    effects: Collection[Effect],
    groups: str = "",
    ids: str = "",
) -> tuple[list[Check], list[Check]]:
    """Choose the checks that are meant, and those among them that the stack at hand forbids.

    `groups` and `ids` are comma-separated; a group may be told by its name, `network`. A check named by its id runs in
    either profile. Raises `UsageError` with the nearest name for one that does not exist.
    """
    letters = {name: key for key, name in GROUPS.items()} | {key.lower(): key for key in GROUPS}
    wanted = set()
    for name in split(groups):
        if name.lower() not in letters:
            raise UsageError(f"no such group: {name!r}", cure=nearest(name, GROUPS))
        wanted.add(letters[name.lower()])
    known = {one.id for one in checks}
    named = [name.upper() for name in split(ids)]
    for name in named:
        if name not in known:
            raise UsageError(f"no such check: {name!r}", cure=nearest(name, known))
    meant = [
        one
        for one in checks
        if env in one.envs
        and (one.id in named or one.group in wanted or not (named or wanted))
        and (profile == "full" or one.profile == "quick" or one.id in named)
    ]
    return [one for one in meant if one.effect in effects], [one for one in meant if one.effect not in effects]


def show_catalogue(checks: Collection[Check], *, as_json: bool, console: Console) -> None:
    """Print the catalogue."""
    names = ("id", "severity", "promise", "threshold", "env", "profile", "effect")
    rows = [
        (one.id, one.severity, one.promise, one.threshold, ", ".join(one.envs), one.profile, one.effect)
        for one in checks
    ]
    if as_json:
        console.json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        console.table(names, rows)
