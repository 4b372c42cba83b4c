"""Validating a stack: which checks, on which stack, and what came of all of them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from cotai_tasks.console import duration, size
from cotai_tasks.errors import UnhealthyError, UsageError, VerdictError, nearest
from cotai_tasks.facts import running_services
from cotai_tasks.validate.catalogue import TIMED, catalogue, select
from cotai_tasks.validate.check import Effect, State
from cotai_tasks.validate.reports.document import document
from cotai_tasks.validate.reports.terminal import show
from cotai_tasks.validate.reports.write import previous, write_reports
from cotai_tasks.validate.run import run, skipped
from cotai_tasks.validate.subject import Subject
from cotai_tasks.validate.throwaway import throwaway

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.validate.check import Check, Profile, Result
    from cotai_tasks.variables import Variables

PROFILES: tuple[Profile, ...] = ("quick", "full")

_REASONS = {
    Effect.WRITES: "it writes: --allow-writes lets it",
    Effect.DISRUPTS: "it breaks things on purpose: only on validation's own stack, --throwaway",
}


@dataclass(frozen=True)
class Wish:
    """What is to be tried, and where the reports go."""

    profile: str = "quick"
    groups: str = ""
    """Separated by commas; empty means all."""
    ids: str = ""
    writes: bool = False
    """Whether checks may write on a stack that validation did not start."""
    output: Path = Path("reports")
    as_json: bool = False
    report_times: bool = False
    """Whether what is slow is told, and not held against the stack: on a machine that others use, too."""


def validate(
    wish: Wish, *, settings: Settings, engine: Engine, console: Console, started_after: float | None = None
) -> None:
    """Try the checks on the stack of the settings, write the reports, and show what came of it.

    `started_after` are the seconds that validation itself needed to start the stack: then anything may be done to it.
    Raises `VerdictError` when a blocker or a major check failed, `UsageError` for what does not exist,
    `UnhealthyError` where nothing runs.
    """
    profile = _profile(wish.profile)
    own = started_after is not None
    effects = {Effect.READS, *([Effect.WRITES] if wish.writes or own else []), *([Effect.DISRUPTS] if own else [])}
    meant, forbidden = select(
        catalogue(),
        env=settings.environment,
        profile=profile,
        effects=effects,
        groups=wish.groups,
        ids=wish.ids,
    )
    subject = Subject(settings, engine, started_after=started_after)
    _require_stack(meant, subject)
    started, begun = datetime.now(UTC), time.monotonic()
    with _shown(len(meant), console) as (told, ended):
        results = []
        for result in run(meant, subject, told):
            told_as = tolerated(result) if wish.report_times else result
            ended(told_as)
            results.append(told_as)
    results += [skipped(one, _REASONS[one.effect]) for one in forbidden]
    folder = wish.output / f"{settings.environment}-{profile}"
    made = document(
        results,
        env=settings.environment,
        profile=profile,
        stack=subject.project,
        started=started,
        seconds=time.monotonic() - begun,
        previous=previous(folder),
        secrets=_secrets(settings.variables),
        host=_host(engine.info()),
    )
    files = write_reports(made, folder)
    if wish.as_json:
        console.json(made)
    else:
        show(made, console)
        console.say(f"Reports: {files['html']}")
    _judge(made["verdict"], console)


def validate_throwaway(
    wish: Wish, *, environ: Mapping[str, str], keep: bool, settings: Settings, engine: Engine, console: Console
) -> None:
    """Try the checks on a stack of validation's own, which is like the one of the settings; then remove it."""
    with throwaway(settings, environ=environ, keep=keep, console=console) as own:
        validate(wish, started_after=own.seconds, settings=own.settings, engine=engine, console=console)


def tolerated(result: Result) -> Result:
    """Turn the failure of a check that measures time into something to look at."""
    if result.check.id not in TIMED or result.state != State.FAIL:
        return result
    return replace(result, outcome=replace(result.outcome, state=State.WARN))


def _profile(text: str) -> Profile:
    for one in PROFILES:
        if text == one:
            return one
    raise UsageError(f"--profile {text}: no such profile", cure=nearest(text, PROFILES))


def _require_stack(meant: Sequence[Check], subject: Subject) -> None:
    if not meant:
        raise UsageError("no check is left of what was asked for", cure="inv monitor.checks lists them all.")
    if any(one.live for one in meant) and not running_services(subject.containers):
        raise UnhealthyError(
            f"{subject.project} is not running: there is nothing to validate",
            cure=f"inv deploy.{subject.environment} starts it, --throwaway one of its own; CFG reads files alone.",
        )


@contextmanager
def _shown(total: int, console: Console) -> Iterator[tuple[Any, Any]]:
    """Show what is being tried: a bar for a person, a line for each result where nobody watches."""
    trying: list[str] = []
    with console.progress("validating", total) as bar:

        def told(check: Check) -> None:
            trying.append(check.id)
            bar.update(bar.task_ids[0], description=" ".join(trying[:6]))

        def ended(result: Result) -> None:
            if result.check.id in trying:
                trying.remove(result.check.id)
            bar.update(bar.task_ids[0], advance=1, description=" ".join(trying[:6]))
            if not console.interactive:
                line = f"{result.state.upper():5} {result.check.id:8} {result.outcome.figure}"
                console.say(f"  {line} ({duration(result.seconds)})")

        yield told, ended


def _host(told: Mapping[str, Any]) -> dict[str, object]:
    """Say on what it was measured."""
    return {
        "processors": told["NCPU"],
        "memory": size(told["MemTotal"]),
        "engine": told["ServerVersion"],
        "system": told["OperatingSystem"],
        "kernel": told["KernelVersion"],
    }


def _secrets(variables: Variables) -> list[str]:
    """Give the values that no report may show: whoever knows the address of a webhook may write to it."""
    secret = [one.get_secret_value() for _, one in variables if isinstance(one, SecretStr)]
    return secret + [one for name, one in variables if name.endswith("_WEBHOOK_URL") and one]


def _judge(verdict: Mapping[str, Any], console: Console) -> None:
    """Say the last word."""
    if not verdict["fit"]:
        names = f" ({', '.join(verdict['forbidding'])})" if verdict["forbidding"] else ""
        raise VerdictError(f"{verdict['text']}{names}", cure="Each one's evidence and cure stand above.")
    console.done(verdict["text"])
