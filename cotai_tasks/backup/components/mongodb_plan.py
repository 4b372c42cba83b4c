"""What a restore of MongoDB does with collections, decided on their names alone.

What is staged is called `restore_<id>.<name>` in its own database, what was replaced `before_<id>.<name>`. Between the
two halves of a swap an empty collection `before_<id>` is made: where it is, the live collections are the new ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cotai_tasks.backup.components.base import Difference, Leftovers
from cotai_tasks.console import count

Collections = Mapping[str, Mapping[str, str]]
"""By database and name: whether it is a `collection`, a `view` or a `timeseries`; the server's own left out."""
Facts = Mapping[str, Mapping[str, Any]]
"""By namespace: its type, the names of its indexes, and where the server was quiet its documents and their hash."""

LEFT_BEHIND = r"(?s:(restore|before)_(\d{8}T\d{6}Z-[0-9a-f]{6})(\..*)?)"
"""Names that restores have given: no dump holds them."""
_LEFT_BEHIND = re.compile(LEFT_BEHIND)
_COMPARED = ("type", "documents", "content", "indexes")


@dataclass(frozen=True)
class Step:
    """One thing that the server does at once."""

    do: Literal["move", "make", "drop"]
    database: str
    name: str
    to: str = ""


def staged_name(backup: str, name: str = "") -> str:
    """Give the name under which a collection waits beside the live data; without one the prefix."""
    return f"restore_{backup}.{name}"


def live(found: Collections) -> list[tuple[str, str]]:
    """Give the collections that are the application's own."""
    return [(database, name) for database, name in _all(found) if not _LEFT_BEHIND.fullmatch(name)]


def staged(found: Collections, backup: str) -> list[tuple[str, str]]:
    """Give the collections that wait, by the names that they shall have."""
    return _named(found, staged_name(backup))


def swap_steps(found: Collections, backup: str) -> list[Step]:
    """Move all that is live aside, then what is staged into its place."""
    marker = _marker(found, backup)
    if marker:
        return _moves(staged(found, backup), before=staged_name(backup))
    named = [database for database, _ in _all(found)]
    return [
        *_moves(live(found), after=_replaced_name(backup)),
        *([Step("make", min(named), _marker_name(backup))] if named else []),
        *_moves(staged(found, backup), before=staged_name(backup)),
    ]


def revert_steps(found: Collections, backup: str) -> list[Step]:
    """Undo a swap from wherever it stands: the steps of it, backwards."""
    marker = _marker(found, backup)
    back = _moves(_named(found, _replaced_name(backup)), before=_replaced_name(backup))
    if not marker:
        return back
    return [*_moves(live(found), after=staged_name(backup)), Step("drop", *marker), *back]


def unstage_steps(found: Collections, backup: str) -> list[Step]:
    """Drop what is staged; in the middle of a swap nothing, as what still waits then tells it from a finished one."""
    if _marker(found, backup) or _named(found, _replaced_name(backup)):
        return []
    return [Step("drop", database, staged_name(backup, name)) for database, name in staged(found, backup)]


def discard_steps(found: Collections, backup: str) -> list[Step]:
    """Drop what was replaced; the mark last, so that an interruption leaves no doubt about which data is live."""
    prefix = _replaced_name(backup)
    marker = _marker(found, backup)
    drops = [Step("drop", database, prefix + name) for database, name in _named(found, prefix)]
    return [*drops, Step("drop", *marker)] if marker else []


def clear_steps(found: Collections) -> list[Step]:
    """Drop what other restores had left on the server that was dumped."""
    return [Step("drop", database, name) for database, name in _all(found) if _LEFT_BEHIND.fullmatch(name)]


def leftovers(found: Collections) -> Leftovers:
    """Tell interrupted restores from finished ones: what was moved aside without the mark was not replaced."""
    hits = [hit for _, name in _all(found) if (hit := _LEFT_BEHIND.fullmatch(name))]
    replaced = {hit[2] for hit in hits if hit[1] == "before" and not hit[3]}
    return Leftovers(
        staged=frozenset(hit[2] for hit in hits if hit[1] == "restore" or hit[2] not in replaced),
        replaced=frozenset(replaced),
    )


def compare(expected: Facts, found: Facts, *, quiet: bool) -> list[Difference]:
    """Compare what was restored with what was dumped; a server that was not quiet may have had more or less."""
    differences = [
        Difference(f"collection {name}", "one that is not there", "there")
        for name in sorted(found.keys() - expected.keys())
        if quiet
    ]
    for name, facts in sorted(expected.items()):
        if name not in found:
            differences.append(Difference(f"collection {name}", "there", "nothing"))
            continue
        wrong = [key for key in _COMPARED if key in facts and facts[key] != found[name].get(key)]
        differences += [  # of what is wrong the first: the hash differs with the number of documents
            Difference(f"collection {name}, {key}", str(facts[key]), str(found[name].get(key))) for key in wrong[:1]
        ]
    return differences


def compared(facts: Facts, *, quiet: bool) -> str:
    """Say what a comparison has looked at."""
    if not quiet:
        return f"{count(len(facts), 'collection')} and their indexes (not counted: they changed during the dump)"
    documents = sum(one.get("documents", 0) for one in facts.values())
    return f"{count(len(facts), 'collection')}, {count(documents, 'document')}, content hashes, indexes"


def _all(found: Collections) -> list[tuple[str, str]]:
    return [(database, name) for database, names in sorted(found.items()) for name in sorted(names)]


def _named(found: Collections, prefix: str) -> list[tuple[str, str]]:
    return [(database, name.removeprefix(prefix)) for database, name in _all(found) if name.startswith(prefix)]


def _moves(names: list[tuple[str, str]], before: str = "", after: str = "") -> list[Step]:
    return [Step("move", database, before + name, after + name) for database, name in names]


def _replaced_name(backup: str) -> str:
    return f"before_{backup}."


def _marker_name(backup: str) -> str:
    return f"before_{backup}"


def _marker(found: Collections, backup: str) -> tuple[str, str] | None:
    return next((one for one in _all(found) if one[1] == _marker_name(backup)), None)
