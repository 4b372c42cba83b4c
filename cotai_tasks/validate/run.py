"""Runs checks: those that do not disturb one another side by side, the others one after the other."""

from __future__ import annotations

import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Thread
from typing import TYPE_CHECKING

from cotai_tasks.errors import CotaiError
from cotai_tasks.validate.check import Effect, Outcome, Result, SkipCheck, State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cotai_tasks.validate.check import Check
    from cotai_tasks.validate.subject import Subject

_SIDE_BY_SIDE = 4
"""Checks at a time: they wait for the engine more than they reckon."""


def run(checks: Collection[Check], subject: Subject, begun: Callable[[Check], None]) -> Iterator[Result]:
    """Try the checks and give each result as it comes; `begun` is told what is being tried.

    First those that may run side by side, then those that measure and want silence, then those that disrupt, each of
    which finds the stack as the last one left it: mended.
    """
    beside = [one for one in checks if not one.alone and one.effect != Effect.DISRUPTS]
    alone = [one for one in checks if one.alone and one.effect != Effect.DISRUPTS]
    disrupting = [one for one in checks if one.effect == Effect.DISRUPTS]

    def attempt(check: Check) -> Result:
        begun(check)
        return try_one(check, subject)

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        futures = [pool.submit(attempt, one) for one in beside]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    for one in alone:
        yield attempt(one)
    for one in disrupting:
        subject.look_again()
        yield attempt(one)
        subject.look_again()


def try_one(check: Check, subject: Subject) -> Result:
    """Try one check, and give it up when its time is over: what it left running ends by itself."""
    came: list[Outcome] = []
    start = time.monotonic()
    thread = Thread(target=lambda: came.append(_outcome(check, subject)), name=check.id, daemon=True)
    thread.start()
    thread.join(check.patience)
    late = Outcome(
        State.ERROR,
        f"no end after {check.patience:.0f} s",
        cure="Something does not answer: inv monitor.health, then this check alone.",
    )
    return Result(check, came[0] if came else late, time.monotonic() - start)


def skipped(check: Check, reason: str) -> Result:
    """Give the result of a check that was not tried."""
    return Result(check, Outcome(State.SKIP, reason), 0.0)


def _outcome(check: Check, subject: Subject) -> Outcome:
    try:
        return check.run(subject)
    except SkipCheck as skip:
        return Outcome(State.SKIP, str(skip))
    except CotaiError as error:
        return Outcome(State.ERROR, str(error), tuple(error.evidence.splitlines()[-5:]), error.cure)
    except Exception as error:  # noqa: BLE001 - a fault of the check is told as such, and the others go on
        last = traceback.format_exception(error)[-3:]
        lines = tuple("".join(last).splitlines()[-6:])
        return Outcome(
            State.ERROR, f"{type(error).__name__}: {error}", lines, "A fault of the check itself: report it."
        )
