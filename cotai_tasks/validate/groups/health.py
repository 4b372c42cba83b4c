"""Whether everything is well, stays well, and would say so if it were not."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cotai_tasks.console import count
from cotai_tasks.errors import EngineError
from cotai_tasks.facts import started_at
from cotai_tasks.validate.celery import with_tasks
from cotai_tasks.validate.check import Effect, Severity, SkipCheck, check, failed, judged, passed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cotai_tasks.facts import Container
    from cotai_tasks.stack import Service
    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.subject import Subject

FIRST_START, NEXT_START = 90.0, 30.0
"""Seconds until all is healthy: with volumes to be filled, and with those of last time."""
QUIET = 60.0
"""Seconds without a restart."""
TICK = 5.0
"""Seconds: the longest that the scheduler sleeps (docker/runtime/bin/beat)."""
SKEW = 1.0
TRIP = 2.0
"""Seconds for a task there and back."""

_SIDE_BY_SIDE = 4
_TRIPS = 10
_HEARTBEAT = "/tmp/celery-beat.heartbeat"  # noqa: S108 - a file of that container
_SIGNS = "date +%s.%N; cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null; true"


@check("HLT-01", "Everything is healthy, soon after a start", "< 90 s at first, < 30 s later", Severity.BLOCKER)
def everything_is_healthy(subject: Subject) -> Outcome:
    """Look at the state of each container; how long a start took is known where validation started the stack."""
    once = {name for name, one in subject.stack.services.items() if one.one_shot}
    containers = [one for one in subject.containers if one.service not in once]
    warm = bool(getattr(subject, "warm", False))
    return judge_health(containers, subject.started_after, warm=warm)


def judge_health(containers: Sequence[Container], seconds: float | None, *, warm: bool) -> Outcome:
    """Judge containers that should run, and the seconds that the start took; None where somebody else started them."""
    faults = [f"{one.name}: {_state(one)}" for one in containers if one.state != "running" or one.health not in FINE]
    well = len(containers) - len(faults)
    limit = NEXT_START if warm else FIRST_START
    if seconds is not None and seconds >= limit:
        faults.append(f"the start took {seconds:.0f} s")
    if not containers:
        faults.append("no container was looked at")
    figure = f"{well} of {len(containers)} healthy" + (f" after {seconds:.0f} s" if seconds is not None else "")
    return judged(faults, figure, cure="inv monitor.health says why.", seconds=seconds)


FINE = {"healthy", ""}
"""Without a health check, to run is all that can be asked."""


def _state(one: Container) -> str:
    said = f" ({one.health_output.splitlines()[-1][:120]})" if one.health_output and one.state == "running" else ""
    return f"{one.health or one.state}{said}" if one.state == "running" else f"{one.state}, exit code {one.exit_code}"


@check("HLT-02", "Nothing restarts for a minute", "0 in 60 s", Severity.BLOCKER, profile="full", patience=90)
def nothing_restarts(subject: Subject) -> Outcome:
    """Look back as far as everything has run, and wait for the rest of the minute."""
    before = subject.engine.containers(subject.project)
    now = engine_time(subject)
    youngest = min((now - started_at(one) for one in before if one.state == "running"), default=0.0)
    if youngest < QUIET:
        time.sleep(min(QUIET, QUIET - youngest))
    return judge_restarts(before, subject.engine.containers(subject.project))


def judge_restarts(before: Sequence[Container], after: Sequence[Container]) -> Outcome:
    """Judge the same containers at the beginning of a minute, or in it, and at its end."""
    later = {one.id: one for one in after}
    running = [one for one in before if one.state in {"running", "restarting"}]
    faults = []
    for one in running:
        now = later.get(one.id)
        if one.state == "restarting" or (now and now.state == "restarting"):
            faults.append(f"{one.name}: is restarting, exit code {(now or one).exit_code}")
        elif now is None or now.state != "running":
            faults.append(f"{one.name}: has gone")
        elif now.run != one.run or now.restarts > one.restarts:
            faults.append(f"{one.name}: was restarted")
    if not running:
        faults.append("no container was looked at")
    earlier = [f"{one.name}: restarted {count(one.restarts, 'time')} before" for one in running if one.restarts]
    figure = f"{len(faults)} of {count(len(running), 'container')}"
    if faults:
        return failed(figure, *faults, cure="inv monitor.health, inv deploy.logs --svc NAME.")
    return passed(figure, *earlier)


@check("HLT-03", "What runs once has ended well", "exit code 0", Severity.BLOCKER)
def one_shots_ended_well(subject: Subject) -> Outcome:
    """Look at the exit code of each container that runs once."""
    return judge_one_shots(subject.containers, subject.stack.services)


def judge_one_shots(containers: Sequence[Container], services: Mapping[str, Service]) -> Outcome:
    """Judge the containers of services that run once; one that nobody waits for may still be at it."""
    found = [one for one in containers if one.service in services and services[one.service].one_shot]
    if not found:
        raise SkipCheck("no container of a service that runs once is left")
    faults = []
    for one in found:
        busy = one.state == "running" and not services[one.service].awaited
        if not busy and (one.state != "exited" or one.exit_code):
            faults.append(f"{one.name}: {one.state}, exit code {one.exit_code}")
    told = ", ".join(f"{one.service}: {one.state} {one.exit_code}" for one in found)
    return judged(faults, told, cure="inv deploy.logs --svc NAME, then deploy again.")


@check("HLT-05", "The kernel has killed nothing for want of memory", "0", Severity.BLOCKER)
def nothing_was_killed(subject: Subject) -> Outcome:
    """Read the engine's word for each container, and the kernel's count in it."""
    kills = {one.container.name: one.kills for one in _signs(subject)}
    return judge_kills({one.name: (one.oom_killed, kills.get(one.name)) for one in subject.containers})


def judge_kills(told: Mapping[str, tuple[bool, int | None]]) -> Outcome:
    """Judge whether the engine saw a kill, and how many the kernel counted; None where it could not be asked."""
    faults = [
        f"{name}: {count(kills, 'process')} killed" if kills else f"{name}: was killed"
        for name, (seen, kills) in told.items()
        if seen or kills
    ]
    if not told:
        faults.append("no container was looked at")
    figure = f"{len(faults)} of {count(len(told), 'container')}"
    return judged(faults, figure, cure="More mem_limit or a larger COTAI_SIZE for it; inv monitor.top shows its use.")


@check(
    "HLT-06",
    "A task goes to a worker and its result comes back",
    "< 2 s",
    Severity.BLOCKER,
    effect=Effect.WRITES,
    alone=True,
    patience=120,
)
def tasks_go_there_and_back(subject: Subject) -> Outcome:
    """Send tasks of Celery's own through the application's broker, and wait for each result."""
    worker = subject.running("celery-worker")[0]
    told = with_tasks(subject, worker, {"do": "trips", "number": _TRIPS, "seconds": 4 * TRIP})
    return judge_trips(told["seconds"])


def judge_trips(seconds: Sequence[float | None]) -> Outcome:
    """Judge the seconds of each round trip; None never came back."""
    faults = [
        "one task never came back" if told is None else f"one task took {told:.1f} s"
        for told in seconds
        if told is None or told >= TRIP
    ]
    if not seconds:
        faults.append("no task was sent")
    known = sorted(told for told in seconds if told is not None)
    median = (
        f"median {known[len(known) // 2] * 1000:.0f} ms, slowest {known[-1] * 1000:.0f} ms" if known else "no answer"
    )
    cure = "inv deploy.logs --svc celery-worker; CELERY_QUEUES must name the default queue."
    return judged(faults, f"{median} of {len(seconds)}", cure=cure, seconds=list(seconds))


@check("HLT-07", "The scheduler ticks", f"last tick < {2 * TICK:.0f} s ago", Severity.MAJOR)
def the_scheduler_ticks(subject: Subject) -> Outcome:
    """Read how old its heartbeat is, by its own clock."""
    beat = subject.running("celery-beat")[0]
    program = f"import os, time; print(time.time() - os.stat({_HEARTBEAT!r}).st_mtime)"
    try:
        age = float(subject.within(beat, ["python3", "-S", "-E", "-c", program]))
    except EngineError as error:
        return failed("no heartbeat", str(error), cure="inv deploy.logs --svc celery-beat.")
    return judge_tick(age)


def judge_tick(age: float) -> Outcome:
    """Judge how long ago the scheduler ticked."""
    faults = [f"celery-beat: it last ticked {age:.0f} s ago"] if age >= 2 * TICK else []
    return judged(faults, f"{age:.1f} s ago", cure="inv deploy.restart --svc celery-beat.")


@check("HLT-09", "All clocks agree", "skew < 1 s", Severity.MINOR)
def clocks_agree(subject: Subject) -> Outcome:
    """Compare the clock of each container, and the engine's, with this machine's."""
    asked = time.time()
    engine = engine_time(subject)
    clocks = {"the engine": (asked, engine, time.time())}
    return judge_clocks(clocks | {one.container.name: one.clock for one in _signs(subject) if one.clock})


def judge_clocks(clocks: Mapping[str, tuple[float, float, float]]) -> Outcome:
    """Judge what clocks told, each between two moments of this machine: when it was asked, and when it had answered."""
    if not clocks:
        raise SkipCheck("no clock was asked")
    skews = {name: max(0.0, begun - told, told - ended) for name, (begun, told, ended) in clocks.items()}
    faults = [f"{name}: {skew:.1f} s off" for name, skew in skews.items() if skew >= SKEW]
    figure = f"{count(len(clocks), 'clock')}, largest skew {max(skews.values()):.2f} s"
    return judged(faults, figure, cure="Run NTP (chrony, systemd-timesyncd) on the engine's host and on this machine.")


@dataclass(frozen=True)
class Sign:
    """What one container told of itself."""

    container: Container
    clock: tuple[float, float, float] | None
    kills: int | None


def _signs(subject: Subject) -> list[Sign]:
    """Ask each container for its clock and its kills, in one go; one without a shell tells nothing."""

    def ask(one: Container) -> Sign:
        asked = time.time()
        try:
            text = subject.engine.command("exec", one.id, "sh", "-c", _SIGNS)
        except EngineError:
            return Sign(one, None, None)
        clock, kills = read_signs(text)
        return Sign(one, None if clock is None else (asked, clock, time.time()), kills)

    def look() -> list[Sign]:
        running = [one for one in subject.containers if one.state == "running"]
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            return list(pool.map(ask, running))

    return subject.once("signs", look)


def read_signs(text: str) -> tuple[float | None, int | None]:
    """Read a clock, and how many processes the kernel killed; a clock without fractions of seconds is none."""
    first, *lines = text.splitlines() or [""]
    counts = dict(line.split() for line in lines if len(line.split()) == 2)  # noqa: PLR2004 - name and number
    kills = counts.get("oom_kill")
    whole, _, fraction = first.partition(".")
    clock = float(first) if whole.isdecimal() and fraction.isdecimal() else None
    return clock, None if kills is None else int(kills)


def engine_time(subject: Subject) -> float:
    """Ask the engine for its time, in seconds since 1970."""
    told = subject.engine.command("info", "--format", "{{.SystemTime}}").strip()
    return read_time(told)


def read_time(told: str) -> float:
    """Read the engine's time, which has nanoseconds, where Python reads micro."""
    return datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", told)).timestamp()
