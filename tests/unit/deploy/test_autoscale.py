"""How many workers the queues want."""

from __future__ import annotations

import pytest

from cotai_tasks.deploy.autoscale import Bounds, autoscale, decide, queued
from cotai_tasks.errors import UsageError
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.deploy.stacks import settings, stack

BOUNDS = Bounds(fewest=2, most=6, tasks=10, calm=300)


@pytest.mark.parametrize(
    ("waiting", "running", "since", "wanted"),
    [
        (20, 2, 1000, 2),  # enough for them
        (21, 2, 0, 3),  # more at once, however young
        (57, 2, 0, 6),
        (1000, 2, 0, 6),  # never more than may be
        (10, 3, 299, 3),  # not calm for long enough
        (10, 3, 300, 2),  # those that stay have half of their share
        (11, 3, 300, 3),
        (0, 6, 300, 5),  # one at a time
        (0, 2, 9999, 2),  # never fewer than may be
        (0, 1, 0, 2),
        (0, 9, 0, 6),
    ],
)
def test_the_decision(waiting: int, running: int, since: float, wanted: int) -> None:
    """Up at once, down slowly, within bounds."""
    assert decide(waiting, running, since, BOUNDS) == wanted


def test_it_does_not_flutter() -> None:
    """What was started for a crowd is not stopped for a moment's lull that ends: no depth wants both ways."""
    for running in range(2, 7):
        for waiting in range(100):
            fewer = decide(waiting, running, 9999, BOUNDS)
            if fewer < running:
                assert decide(waiting, fewer, 0, BOUNDS) == fewer


def test_the_broker_counts_all_queues_at_once() -> None:
    """By one question."""
    engine = FakeEngine(answers={"execute": ["57"]})
    assert queued(stack(), ["default", "slow"], engine) == 57
    assert engine.calls[0][-4:-2] == (engine.calls[0][-4], "2")
    assert engine.calls[0][-2:] == ("default", "slow")


@pytest.mark.parametrize(
    ("service", "bounds"),
    [("backend", BOUNDS), ("celery-worker", Bounds(3, 2, 10, 0)), ("celery-worker", Bounds(1, 2, 0, 0))],
)
def test_what_makes_no_sense_is_refused(service: str, bounds: Bounds) -> None:
    """Before the engine is asked."""
    with pytest.raises(UsageError):
        autoscale(
            service,
            bounds,
            every=1,
            once=True,
            dry_run=False,
            settings=settings(),
            engine=FakeEngine(),
            console=RecordingConsole(),
        )
