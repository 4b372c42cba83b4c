"""How checks are run: side by side or alone, to their end or given up."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.errors import EngineError
from cotai_tasks.validate.check import Check, Effect, Outcome, Severity, SkipCheck, State, failed, judged, passed
from cotai_tasks.validate.run import run, try_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from cotai_tasks.validate.subject import Subject


class Looked:
    """A subject that nobody looks at; it counts how often it is told to look again."""

    times = 0

    def look_again(self) -> None:
        self.times += 1


def made(identity: str, body: Callable[[Any], Outcome], **fields: Any) -> Check:  # noqa: ANN401 - any field of a check
    return Check(identity, "a promise", "a threshold", Severity.BLOCKER, body, **fields)


def subject() -> Subject:
    return Looked()  # type: ignore[return-value]


def raising(error: Exception) -> Callable[[Any], Outcome]:
    def body(_: Any) -> Outcome:  # noqa: ANN401
        raise error

    return body


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (lambda _: passed("fine"), Outcome(State.PASS, "fine")),
        (lambda _: failed("broken", "this line", cure="mend"), Outcome(State.FAIL, "broken", ("this line",), "mend")),
        (lambda _: judged([], "1 of 1", cure="mend"), Outcome(State.PASS, "1 of 1")),
        (lambda _: judged(["that"], "0 of 1", cure="mend"), Outcome(State.FAIL, "0 of 1", ("that",), "mend")),
        (raising(SkipCheck("no such service")), Outcome(State.SKIP, "no such service")),
        (
            raising(EngineError("no answer", cure="start it", evidence="last words")),
            Outcome(State.ERROR, "no answer", ("last words",), "start it"),
        ),
    ],
)
def test_every_end_is_an_outcome(body: Callable[[Any], Outcome], outcome: Outcome) -> None:
    """A check that passes, fails, has nothing to look at, or cannot look."""
    assert try_one(made("X-01", body), subject()).outcome == outcome


def test_a_fault_of_a_check_is_told_as_one() -> None:
    """It neither passes nor ends the others."""
    outcome = try_one(made("X-01", raising(KeyError("name"))), subject()).outcome
    assert (outcome.state, outcome.figure) == (State.ERROR, "KeyError: 'name'")
    assert Path(__file__).name in "".join(outcome.evidence)


def test_what_hangs_is_given_up() -> None:
    """After its own patience, and the others go on."""
    hung = threading.Event()
    try:
        results = list(
            run(
                [
                    made("X-01", lambda _: passed(str(hung.wait(60))), patience=0.2),
                    made("X-02", lambda _: passed()),
                ],
                subject(),
                lambda _: None,
            )
        )
    finally:
        hung.set()
    assert {one.check.id: one.state for one in results} == {"X-01": State.ERROR, "X-02": State.PASS}


def test_what_measures_is_alone() -> None:
    """Reading checks meet one another; one that wants silence meets nobody, and what disrupts comes last."""
    together = threading.Barrier(2, timeout=10)
    at_work: set[str] = set()
    met: dict[str, set[str]] = {}

    def body(name: str, wait: Callable[[], object]) -> Callable[[Any], Outcome]:
        def work(_: Any) -> Outcome:  # noqa: ANN401
            at_work.add(name)
            wait()
            met[name] = at_work - {name}
            time.sleep(0.05)
            at_work.discard(name)
            return passed()

        return work

    looked = Looked()
    checks = [
        made("X-01", body("disrupting", lambda: None), effect=Effect.DISRUPTS),
        made("X-02", body("measuring", lambda: None), alone=True),
        made("X-03", body("one", together.wait)),
        made("X-04", body("other", together.wait)),
    ]
    results = list(run(checks, looked, lambda _: None))  # type: ignore[arg-type]
    assert [one.check.id for one in results][2:] == ["X-02", "X-01"]
    assert met["measuring"] == met["disrupting"] == set()
    assert met["one"] == {"other"} or met["other"] == {"one"}
    assert looked.times == 2
