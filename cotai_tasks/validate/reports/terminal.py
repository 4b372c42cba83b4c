"""The document at a terminal: the worst first, what passed folded by its group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.text import Text

from cotai_tasks.console import duration, make_table
from cotai_tasks.validate.catalogue import GROUPS
from cotai_tasks.validate.check import State
from cotai_tasks.validate.reports.ranks import MARKS, ranked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cotai_tasks.console import Console

COLOURS: dict[str, str] = {
    State.PASS: "green",
    State.FAIL: "red",
    State.WARN: "yellow",
    State.SKIP: "dim",
    State.ERROR: "magenta",
}
_SHOWN = 12
"""Lines of evidence of a check; the page has all of them."""


def show(document: dict[str, Any], console: Console) -> None:
    """Print the document: every check that did not pass, then why and what to do, what was skipped, the counts."""
    checks = ranked(document["checks"])
    console.render(make_table(("check", "state", "promise", "figure", "threshold"), _rows(checks)))
    for one in checks:
        if one["state"] in {State.FAIL, State.ERROR, State.WARN} and (one["evidence"] or one["cure"]):
            console.render(_story(one))
    if skipped := [one for one in checks if one["state"] == State.SKIP]:
        rows = ((one["id"], escape(one["promise"]), escape(one["figure"])) for one in skipped)
        console.render("")
        console.render(make_table(("skipped", "promise", "why; it is no pass"), rows))
    told = (
        f"[{COLOURS[state]}]{number} {state}[/]" for state, number in document["counts"]["states"].items() if number
    )
    console.render(Text.from_markup(f"\n{', '.join(told)}, in {duration(document['seconds'])}"))


def _rows(checks: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for one in checks:
        if one["state"] not in {State.PASS, State.SKIP}:
            yield _row(
                one["id"], one["state"], one["promise"], one["figure"], f"{one['threshold']} ({one['severity']})"
            )
    for group, name in GROUPS.items():
        own = [one for one in checks if one["group"] == group]
        passed = sorted(one["id"].partition("-")[2] for one in own if one["state"] == State.PASS)
        if passed:
            yield _row(group, State.PASS, f"{name}: {' '.join(passed)}", f"{len(passed)} of {len(own)}", "")


def _row(name: str, state: str, *cells: str) -> tuple[str, ...]:
    return name, f"[{COLOURS[state]}]{MARKS[state]} {state}[/]", *map(escape, cells)


def _story(check: dict[str, Any]) -> Text:
    """Tell one check's evidence and cure."""
    told = Text(f"\n{check['id']} {check['promise']}", style="bold", overflow="fold")
    for one in check["evidence"][:_SHOWN]:
        told.append(f"\n  {one}", style="not bold")
    if (more := len(check["evidence"]) - _SHOWN) > 0:
        told.append(f"\n  and {more} more", style="not bold dim")
    if check["cure"]:
        told.append(f"\n  → {check['cure']}", style="not bold cyan")
    return told
