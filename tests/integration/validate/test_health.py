"""The checks of health and of resources, on containers that are well, and then on sick ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.validate.check import State
from cotai_tasks.validate.groups import disruption, health
from cotai_tasks.validate.groups.resources import judge_peaks, judge_throttling
from cotai_tasks.validate.strain import watch
from tests.integration.alone import eventually
from tests.integration.validate.little import LIMITS, little_stack, tried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cotai_tasks.engine import Engine
    from cotai_tasks.validate.check import Outcome
    from tests.integration.validate.little import Little

pytestmark = pytest.mark.integration

SLEEPS = "import time; time.sleep(600)"
GREEDY = "import time; kept = b'x' * 56_000_000; time.sleep(600)"
BUSY = "while True: pass"
FAILS = "raise SystemExit(1)"
DROWNS = "import time; time.sleep(1); kept = [b'x' * 10_000_000 for _ in range(40)]"
ANSWERS = "import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port=8000, bind='127.0.0.1')"
ASKS = "python3 -c 'import urllib.request as ask; ask.urlopen(\"http://127.0.0.1:8000/\", timeout=2)'"
OFTEN = ("--health-interval", "2s", "--health-timeout", "5s", "--health-retries", "1")

BROKEN = {
    "HLT-01": "a health check fails",
    "HLT-02": "a container dies, and its restart policy starts it again",
    "HLT-03": "the migration has ended with 1",
    "HLT-05": "a container has used more memory than it may",
    "RES-01": "a container has no limits",
    "RES-02": "a container uses nearly all the memory that it may",
}

BREAKING: dict[str, tuple[Callable[[Little], object], str]] = {
    "HLT-01": (
        lambda one: one.start("redis-cache", flags=("--health-cmd", "exit 1", *OFTEN), program=SLEEPS),
        ": unhealthy",
    ),
    "HLT-02": (
        lambda one: one.start(
            "redis-cache", flags=("--restart", "always"), program=f"import time; time.sleep(2); {FAILS}"
        ),
        ": ",
    ),
    "HLT-03": (lambda one: one.start("migrate", program=FAILS), ": exited, exit code 1"),
    "HLT-05": (lambda one: one.start("redis-cache", program=DROWNS), " killed"),
    "RES-01": (
        lambda one: one.start("redis-cache", limits=(), program=SLEEPS),
        ": no limit of memory, processors, processes",
    ),
}


@pytest.fixture(scope="module")
def little(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Little]:
    """Give the little stack as it should be; each test mends what it breaks."""
    with little_stack(engine, tmp_path_factory.mktemp("little")) as little:
        little.start("model-pull", program="")
        yield little


def fails_by(outcome: Outcome, fault: str) -> bool:
    """Tell whether a check failed for the reason that the test gave it."""
    return outcome.state == State.FAIL and any(fault in line for line in outcome.evidence)


@pytest.mark.parametrize("name", BREAKING)
def test_a_sick_stack_fails(little: Little, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each blocker passes on the stack as it should be, and fails on the broken one."""
    monkeypatch.setattr(health, "QUIET", 5.0)
    break_it, fault = BREAKING[name]
    fine = tried(little, name)
    assert fine.state == State.PASS, fine
    broken = break_it(little)
    try:
        eventually(lambda: fails_by(tried(little, name), fault), f"{name} to fail by {fault!r}")
    finally:
        little.engine.command("rm", "--force", str(broken))


def test_a_container_at_its_limits(little: Little) -> None:
    """RES-02 and RES-04: nearly all its memory used, and made to wait for its processor; the others are well."""
    greedy = little.start("redis-cache", program=GREEDY)
    busy = little.start("search", program=BUSY, limits=(*LIMITS, "--cpus", "0.1"))
    idle = little.made["redis"]
    try:
        end = time.monotonic() + 6
        watched = watch(little.engine, [greedy, busy, idle], lambda: time.monotonic() < end)
    finally:
        for service in ("redis-cache", "search"):
            little.remove(service)
    names = {greedy: "greedy", busy: "busy", idle: "idle"}
    memory = {names[one]: {"peak": peak, "limit": watched.last[one].limit} for one, peak in watched.peaks.items()}
    peaks = judge_peaks(memory, {"GET / 200": 1}, watched.looks)
    assert peaks.state == State.FAIL
    assert [line.partition(":")[0] for line in peaks.evidence] == ["greedy"]
    waits = judge_throttling({names[one]: watched.throttling(one) for one in watched.last})
    assert [line.partition(":")[0] for line in waits.evidence] == ["busy"]


def test_a_health_check_that_cannot_fail(little: Little, monkeypatch: pytest.MonkeyPatch) -> None:
    """HLT-04: everything stands still; what asks its service sees it, what asks nothing does not; then all goes on."""
    monkeypatch.setattr(disruption, "SICK", 12.0)
    asks = little.start("redis-cache", flags=("--health-cmd", ASKS, *OFTEN), program=ANSWERS)
    try:
        eventually(lambda: health.everything_is_healthy(little.subject).state == State.PASS, "health")
        assert tried(little, "HLT-04").state == State.PASS
        blind = little.start("search", flags=("--health-cmd", "true", *OFTEN), program=SLEEPS)
        eventually(lambda: health.everything_is_healthy(little.subject).state == State.PASS, "health")
        outcome = tried(little, "HLT-04")
        assert (outcome.state, len(outcome.evidence)) == (State.FAIL, 1), outcome
        assert outcome.evidence[0].endswith(": still healthy")
        states = {one.id: (one.state, one.health) for one in little.engine.containers(little.project)}
        assert {states[asks], states[blind]} == {("running", "healthy")}
    finally:
        for service in ("redis-cache", "search"):
            little.remove(service)
