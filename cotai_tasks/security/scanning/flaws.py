"""What scanners find, in one form for all of them, and what they could not look at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, get_args

from cotai_tasks.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

Part = Literal["images", "dockerfiles", "compose", "nginx", "workflows", "dependencies", "repository"]
PARTS: tuple[Part, ...] = get_args(Part)

Kind = Literal["misconfiguration", "secret", "vulnerability"]


class Severity(IntEnum):
    """How bad a flaw is, in the words that every scanner's own are translated to."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True)
class Flaw:
    """One thing that a scanner found."""

    part: Part
    kind: Kind
    tool: str
    """The scanner's name, `hadolint`."""
    rule: str
    """The scanner's own id of it: `DL3008`, `CVE-2026-1234`."""
    severity: Severity
    where: str
    """A file, as it is seen from the project, or an image, and what in it."""
    message: str
    line: int = 0
    """In that file; 0 where there is none."""
    cure: str = ""
    """What to do. A vulnerability that nobody has fixed yet has none."""
    link: str = ""
    note: str = ""
    """Why it counts although it is on the list of what is ignored."""

    @property
    def place(self) -> str:
        """Give file and line as editors and terminals take them."""
        return f"{self.where}:{self.line}" if self.line else self.where


@dataclass(frozen=True)
class Looked:
    """One scanner that came to its end, and at how many things it looked: at least one."""

    part: Part
    tool: str
    """With its version: `hadolint 2.15.1`."""
    at: str
    """`12 files`, `6 images`."""


@dataclass(frozen=True)
class Skipped:
    """What nobody looked at, and why. It is no pass."""

    part: Part
    kind: Kind
    reason: str


@dataclass(frozen=True)
class Report:
    """What came of a scan."""

    flaws: tuple[Flaw, ...] = ()
    """The worst first."""
    looked: tuple[Looked, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    ignored: tuple[Flaw, ...] = ()
    """What the project's list of exceptions takes out."""
    warnings: tuple[str, ...] = ()

    def worse_than(self, severity: Severity) -> tuple[Flaw, ...]:
        """Give the flaws of at least this severity."""
        return tuple(one for one in self.flaws if one.severity >= severity)


def join(reports: Iterable[Report]) -> Report:
    """Give several reports as one, the worst flaws first."""
    every = list(reports)
    return Report(
        flaws=worst_first(one for report in every for one in report.flaws),
        looked=tuple(one for report in every for one in report.looked),
        skipped=tuple(one for report in every for one in report.skipped),
        ignored=worst_first(one for report in every for one in report.ignored),
        warnings=tuple(one for report in every for one in report.warnings),
    )


def worst_first(flaws: Iterable[Flaw]) -> tuple[Flaw, ...]:
    """Sort flaws by severity, then by what is scanned and where; the same one is listed once."""
    return tuple(
        sorted(
            dict.fromkeys(flaws), key=lambda one: (-one.severity, PARTS.index(one.part), one.where, one.line, one.rule)
        )
    )


def read_severity(text: str) -> Severity:
    """Read a severity as it is typed; raise `UsageError` for what is none."""
    try:
        return Severity[text.upper()]
    except KeyError:
        cure = nearest(text.upper(), Severity.__members__)
        raise UsageError(f"--severity {text}: no such severity", cure=cure) from None
