"""Markdown for the page of a run in continuous integration: the verdict first, then what to do."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cotai_tasks.console import duration
from cotai_tasks.validate.catalogue import GROUPS
from cotai_tasks.validate.check import State
from cotai_tasks.validate.reports.ranks import MARKS, ranked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN = 20
"""Lines of evidence of a check; report.json has all of them."""

_LOUD = {State.FAIL, State.ERROR, State.WARN}


def summary(document: dict[str, Any]) -> str:
    """Write the document as Markdown of GitHub's kind."""
    checks = ranked(document["checks"])
    loud = [one for one in checks if one["state"] in _LOUD]
    skipped = [one for one in checks if one["state"] == State.SKIP]
    mark = "✅" if document["verdict"]["fit"] else "❌"
    about = f"{document['environment']}, {document['profile']}, {document['started']}, {duration(document['seconds'])}"
    parts = [
        f"## {mark} {_inline(document['verdict']['text'])}",
        _inline(about),
        _counts(document["counts"]["states"]),
        *_loud(loud),
        *_skips(skipped),
        *_changes(document["changes"]),
        *_every(document["checks"]),
    ]
    return "\n\n".join(parts) + "\n"


def _counts(states: dict[str, int]) -> str:
    return _table([f"{MARKS[one]} {one}" for one in states], [[str(number) for number in states.values()]])


def _loud(checks: Sequence[dict[str, Any]]) -> Iterable[str]:
    if checks:
        yield "### What to look at"
        head = ("", "check", "severity", "promise", "figure", "threshold", "what to do")
        names = ("id", "severity", "promise", "figure", "threshold", "cure")
        rows = [[f"{MARKS[one['state']]} {one['state']}", *(_inline(one[name]) for name in names)] for one in checks]
        yield _table(head, rows)
        for one in checks:
            if one["evidence"]:
                yield _folded(f"{one['id']}: {one['figure']}", _fenced(one["evidence"]))


def _skips(checks: Sequence[dict[str, Any]]) -> Iterable[str]:
    if checks:
        yield "### Skipped, and no pass"
        yield _table(
            ("check", "promise", "why"), [[_inline(one[n]) for n in ("id", "promise", "figure")] for one in checks]
        )


def _changes(changes: dict[str, Any] | None) -> Iterable[str]:
    if changes and changes["states"]:
        yield f"### Since the last run, {changes['since']}"
        yield _table(
            ("check", "before", "now"),
            [
                [one["id"], *(f"{MARKS[one[when]]} {one[when]}" for when in ("before", "now"))]
                for one in changes["states"]
            ],
        )


def _every(checks: Sequence[dict[str, Any]]) -> Iterable[str]:
    for group, found in groupby(checks, key=lambda one: one["group"]):
        listed = list(found)
        passed = sum(one["state"] == State.PASS for one in listed)
        rows = [
            [
                f"{MARKS[one['state']]} {one['state']}",
                *(_inline(one[n]) for n in ("id", "promise", "figure", "threshold")),
            ]
            for one in listed
        ]
        table = _table(("", "check", "promise", "figure", "threshold"), rows)
        yield _folded(f"{group} {GROUPS[group]}: {passed} of {len(listed)} passed", table)


def _inline(text: str) -> str:
    """Write a text so that nothing in it is read as Markdown or HTML, nor ends a cell of a table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$#!])", r"\\\1", text)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    listed = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in listed)


def _folded(title: str, body: str) -> str:
    """Fold something away below a title, which is HTML."""
    safe = title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<details><summary>{safe}</summary>\n\n{body}\n\n</details>"


def _fenced(lines: Sequence[str]) -> str:
    """Put lines between fences that none of them can close."""
    more = [f"and {len(lines) - _SHOWN} more: report.json"] if len(lines) > _SHOWN else []
    text = "\n".join([*lines[:_SHOWN], *more])
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}text\n{text}\n{fence}"
