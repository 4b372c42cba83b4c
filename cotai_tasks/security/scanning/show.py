"""Showing a scan's report: a table for a person, JSON or SARIF for a program, and an exit code for a script."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, get_args

from rich.console import Console as RichConsole
from rich.markup import escape

from cotai_tasks.console import count, make_table
from cotai_tasks.errors import FindingsError, PreflightError, UsageError, nearest
from cotai_tasks.security.scanning.exemptions import FILE
from cotai_tasks.security.scanning.flaws import Severity
from cotai_tasks.security.scanning.sarif import write_sarif

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.table import Table

    from cotai_tasks.console import Console
    from cotai_tasks.security.scanning.flaws import Flaw, Report

Form = Literal["table", "json", "sarif"]
FORMS: tuple[Form, ...] = get_args(Form)

_COLOURS = {Severity.CRITICAL: "bold red", Severity.HIGH: "red", Severity.MEDIUM: "yellow"}
_WIDTH = 160


def show_report(report: Report, *, severity: Severity, form: Form, output: Path | None, console: Console) -> None:
    """Show or write a report; raise `FindingsError` where a flaw is at least as bad as `severity`."""
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        fresh = output.with_name(f".{output.name}.new")
        fresh.write_text(_text(report, severity, form), encoding="utf-8")
        fresh.replace(output)
        console.done(f"{form} written to {output}")
    elif form == "table":
        if report.worse_than(severity):
            console.render(_table(report, severity))
    else:
        console.out(_text(report, severity, form).rstrip())
    _tell(report, severity, console)
    raise_for(report, severity)


def raise_for(report: Report, severity: Severity) -> None:
    """Raise `FindingsError` where a flaw is as bad as `severity` or worse, `PreflightError` where nobody looked."""
    counting = report.worse_than(severity)
    if counting:
        cure = f"Mend them, or excuse each in {FILE}, with a reason and a date."
        told = f"{count(len(counting), 'finding')} of {severity.name} or worse"
        raise FindingsError(f"{told}: {_by_severity(counting)}", cure=cure)
    if not report.looked:
        raise PreflightError("nothing was looked at, so nothing has passed", cure="The reasons stand above.")


def read_form(name: str) -> Form:
    """Read a format as it is typed; raise `UsageError` for one that does not exist."""
    if name not in FORMS:
        raise UsageError(f"--format {name}: no such format", cure=nearest(name, FORMS))
    return next(one for one in FORMS if one == name)


def as_facts(report: Report, severity: Severity) -> dict[str, Any]:
    """Give a report as JSON takes it."""
    return {
        "severity": severity.name,
        "counting": len(report.worse_than(severity)),
        "flaws": [_facts(one) for one in report.flaws],
        "ignored": [_facts(one) for one in report.ignored],
        "looked": [asdict(one) for one in report.looked],
        "skipped": [asdict(one) for one in report.skipped],
        "warnings": list(report.warnings),
    }


def _facts(flaw: Flaw) -> dict[str, Any]:
    return asdict(flaw) | {"severity": flaw.severity.name}


def _text(report: Report, severity: Severity, form: Form) -> str:
    if form == "table":
        paper = io.StringIO()
        RichConsole(file=paper, width=_WIDTH, emoji=False).print(_table(report, severity))
        return paper.getvalue()
    what = write_sarif(report) if form == "sarif" else as_facts(report, severity)
    return json.dumps(what, indent=2) + "\n"


def _table(report: Report, severity: Severity) -> Table:
    return make_table(("severity", "where", "rule", "what"), [_row(one) for one in report.worse_than(severity)])


def _row(flaw: Flaw) -> tuple[str, ...]:
    colour = _COLOURS.get(flaw.severity, "")
    name = f"[{colour}]{flaw.severity.name}[/]" if colour else flaw.severity.name
    told = (flaw.message, f"→ {flaw.cure}" if flaw.cure else "", f"({flaw.note})" if flaw.note else "")
    return name, escape(flaw.place), escape(f"{flaw.tool} {flaw.rule}"), escape(" ".join(one for one in told if one))


def _tell(report: Report, severity: Severity, console: Console) -> None:
    """Tell what was looked at, what was not, and what is not in the table."""
    for looked in report.looked:
        console.done(f"{looked.part}: {looked.at}, {looked.tool}")
    for text in report.warnings:
        console.warn(text)
    for one in report.skipped:
        console.warn(f"SKIP {one.part} ({one.kind}): {one.reason}")
    less = [one for one in report.flaws if one.severity < severity]
    if less:
        least = min(one.severity for one in less).name
        console.say(f"below {severity.name}: {_by_severity(less)}; --severity {least} shows them")
    if report.ignored:
        console.say(f"excused in {FILE}: {len(report.ignored)}")
    if report.skipped:
        console.say(f"skipped: {len(report.skipped)}; what nobody looked at has not passed")


def _by_severity(flaws: Iterable[Flaw]) -> str:
    counted = Counter(one.severity for one in flaws)
    return ", ".join(f"{counted[one]} {one.name}" for one in sorted(counted, reverse=True))
