"""What was deployed when, by whom, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from cotai_tasks.console import count, duration
from cotai_tasks.deploy.release import Records, verify
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.deploy.release import Release
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

_COLOURS = {"live": "green", "under way": "yellow", "failed": "red", "aborted": "yellow"}


def history(*, as_json: bool, settings: Settings, engine: Engine, console: Console) -> None:
    """Print the releases, the newest first."""
    found = Records.read(open_stack(settings, engine), engine).releases.values()
    if as_json:
        console.json({"releases": [one.model_dump(mode="json") for one in found]})
    elif found:
        console.table(("release", "outcome", "took", "changed", "users saw", "by", "commit"), map(_row, found))
    else:
        console.say(f"{settings.stack_name}: nothing was deployed yet")


def show(release: str, *, as_json: bool, settings: Settings, engine: Engine, console: Console) -> None:
    """Print one release, the newest where none is named."""
    records = Records.read(open_stack(settings, engine), engine)
    found = records.find(release or next(iter(records.releases), ""))
    if as_json:
        console.json(found.model_dump(mode="json"))
        return
    rows = [
        ("release", found.id),
        ("outcome", _outcome(found)),
        ("begun", f"{found.begun:%Y-%m-%d %H:%M:%S} UTC by {escape(found.by)}"),
        ("commit", escape(found.commit)),
        ("users saw", str(found.seen or "")),
        *([("fault", escape(found.fault))] if found.fault else []),
    ]
    console.table(("", ""), rows)
    console.table(("service", "what", "why"), [(one.service, one.how, ", ".join(one.reasons)) for one in found.changes])
    console.table(("step", "took"), [(escape(step), duration(seconds)) for step, seconds in found.steps.items()])


def audit(*, check: bool, settings: Settings, engine: Engine, console: Console) -> None:
    """Print the audit log as it is, or check that no line of it was changed or left out."""
    log = Records.read(open_stack(settings, engine), engine).log
    if check:
        verify(log)
        console.done(f"{count(len(log), 'line')}, each with the hash of the line before: nothing was changed")
        return
    for line in log:
        console.out(line)


def _row(release: Release) -> tuple[str, ...]:
    took = duration((release.ended - release.begun).total_seconds()) if release.ended else ""
    changed = [one.service for one in release.changes]
    shown = ", ".join(changed) if len(changed) < 5 else f"{len(changed)} services"  # noqa: PLR2004 - more is no overview
    return (
        release.id,
        _outcome(release),
        took,
        shown,
        str(release.seen or ""),
        escape(release.by),
        escape(release.commit),
    )


def _outcome(release: Release) -> str:
    colour = _COLOURS.get(release.outcome)
    return f"[{colour}]{release.outcome}[/]" if colour else release.outcome
