"""What a check is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from cotai_tasks.settings import ENVIRONMENTS, Environment
from cotai_tasks.validate.subject import SkipCheck as SkipCheck  # noqa: PLC0414 - for checks, which raise it

if TYPE_CHECKING:
    from collections.abc import Callable

    from cotai_tasks.validate.subject import Subject

Profile = Literal["quick", "full"]

PATIENCE = 60.0
"""Seconds that a check has, where it does not ask for more."""


class Severity(StrEnum):
    """What a failure means: a blocker or a major one forbids to go live, a minor one does not."""

    BLOCKER = "blocker"
    MAJOR = "major"
    MINOR = "minor"


class Effect(StrEnum):
    """What a check does to the stack that it looks at."""

    READS = "reads"
    WRITES = "writes"
    """Adds rows, keys or tasks of its own, and takes them away again."""
    DISRUPTS = "disrupts"
    """Stops, kills or fills something: for a throwaway stack alone."""


class State(StrEnum):
    """What came of a check."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    WARN = "warn"
    """Nothing that was promised is broken, but somebody should look."""
    SKIP = "skip"
    """Not looked at, for the reason given; it never counts as a pass."""
    ERROR = "error"
    """The check itself came to no end."""


@dataclass(frozen=True)
class Outcome:
    """What a check saw and what it thinks of it."""

    state: State
    figure: str = ""
    """What was measured, as a person reads it: `p95 38 ms, 0 of 500 failed`."""
    evidence: tuple[str, ...] = ()
    """Why: one line for each thing that is wrong, or that was looked at."""
    cure: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    """What reports draw, as plain data: series of milliseconds, bytes by container, who reaches whom."""


def passed(figure: str = "", *evidence: str, **data: Any) -> Outcome:  # noqa: ANN401 - plain data of any kind
    """Say that the promise holds."""
    return Outcome(State.PASS, figure, evidence, data=data)


def failed(figure: str, *evidence: str, cure: str, **data: Any) -> Outcome:  # noqa: ANN401
    """Say that the promise is broken, by what, and what to do."""
    return Outcome(State.FAIL, figure, evidence, cure, data)


def warned(figure: str, *evidence: str, cure: str = "", **data: Any) -> Outcome:  # noqa: ANN401
    """Say that somebody should look."""
    return Outcome(State.WARN, figure, evidence, cure, data)


def judged(faults: list[str], figure: str, *, cure: str, **data: Any) -> Outcome:  # noqa: ANN401
    """Pass without faults, fail with them: most checks end so."""
    return failed(figure, *faults, cure=cure, **data) if faults else passed(figure, **data)


@dataclass(frozen=True)
class Check:
    """One promise about a stack, and how it is tried."""

    id: str
    """Its group and number, `NET-02`."""
    promise: str
    """The sentence that holds when it passes."""
    threshold: str
    """What the figure is held against."""
    severity: Severity
    run: Callable[[Subject], Outcome]
    effect: Effect = Effect.READS
    envs: tuple[Environment, ...] = ENVIRONMENTS
    profile: Profile = "quick"
    """The smaller profile that it belongs to; `full` has all of `quick`."""
    alone: bool = False
    """Whether nothing else may run beside it: what measures time, and what disturbs."""
    patience: float = PATIENCE
    """Seconds until it is given up."""
    live: bool = True
    """Whether it needs a running stack; what reads files alone does not."""

    @property
    def group(self) -> str:
        """The first half of its id: `NET`."""
        return self.id.partition("-")[0]


@dataclass(frozen=True)
class Result:
    """A check with what came of it."""

    check: Check
    outcome: Outcome
    seconds: float

    @property
    def state(self) -> State:
        """What came of it."""
        return self.outcome.state

    @property
    def forbids(self) -> bool:
        """Whether it forbids to go live: a blocker or major that failed, or that could not be tried to its end."""
        return self.state in {State.FAIL, State.ERROR} and self.check.severity != Severity.MINOR


CATALOGUE: dict[str, Check] = {}
"""Every check by its id, filled as the modules of `groups` are imported."""


def check(
    id: str,  # noqa: A002 - what it is called everywhere
    promise: str,
    threshold: str,
    severity: Severity,
    **more: Any,  # noqa: ANN401 - the fields of `Check`
) -> Callable[[Callable[[Subject], Outcome]], Callable[[Subject], Outcome]]:
    """Enter a function into the catalogue; `more` are further fields of `Check`."""

    def enter(run: Callable[[Subject], Outcome]) -> Callable[[Subject], Outcome]:
        if id in CATALOGUE:
            raise ValueError(f"{id} is in the catalogue already")
        CATALOGUE[id] = Check(id, promise, threshold, severity, run, **more)
        return run

    return enter
