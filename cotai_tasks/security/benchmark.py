"""`security.audit`: the points of the CIS Docker Benchmark 1.6 that apply to a running stack and its engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

State = Literal["PASS", "FAIL", "WARN", "SKIP"]


@dataclass(frozen=True)
class Point:
    """One recommendation of the benchmark, and how the stack stands to it."""

    number: str
    """Its number there: `5.4`."""
    title: str
    state: State
    evidence: tuple[str, ...] = ()
    """What was seen: containers that fail, exceptions with their reasons, why it was skipped."""
    cure: str = ""


def audit(*, settings: Settings, engine: Engine) -> tuple[Point, ...]:
    """Look at every container of the stack and at its engine."""
    raise NotImplementedError
