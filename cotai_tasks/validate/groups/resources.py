"""Whether the host is enough for all, and nobody takes another's share of it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cotai_tasks.console import count
from cotai_tasks.console import size as told_size
from cotai_tasks.validate.check import Severity, SkipCheck, check, failed, judged, passed
from cotai_tasks.validate.strain import watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cotai_tasks.facts import Container
    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.strain import Watched
    from cotai_tasks.validate.subject import Subject

SHARE = 0.9
"""Of the host's memory that all limits may take together."""
TIGHT = 0.8
"""Of its limit that a container may use under load."""
FULL = 0.95
"""Of its limit at which a container is about to be killed."""
THROTTLED = 0.25
FREE = 0.15
"""Of the disk."""

ROTATED = {"local", "none", "journald", "syslog", "awslogs", "gcplogs", "fluentd", "gelf", "splunk"}
"""Log drivers that rotate by themselves, or that write no file of the engine's."""

SECONDS = 15
CLIENTS = 10
_PAUSE = 0.02
"""Seconds between two requests of a client: a load that a host bears, not the most that it does."""
_READS = "/api/v1/quotations?size=20"
_WRITES = "/api/v1/tenders"
"""Of the reference application; another one has neither."""
_TENDER = {
    "title": "Pregão 12/2026: office chairs",
    "text": "The city of Campinas buys 40 office chairs. Deadline: 2026-12-15. Estimated value: R$ 32.000,00.",
}
_OK = "200"


@check("RES-01", "Every container has limits of memory, processors and processes", "all three", Severity.BLOCKER)
def everybody_has_limits(subject: Subject) -> Outcome:
    """Read the limits that the engine has for each container."""
    return judge_limits(subject.inspected)


def judge_limits(inspected: Sequence[Mapping[str, Any]]) -> Outcome:
    """Judge `docker inspect` of each container."""
    faults = []
    for one in inspected:
        host = one["HostConfig"]
        has = {
            "memory": (host.get("Memory") or 0) > 0,
            "processors": (host.get("NanoCpus") or 0) > 0 or (host.get("CpuQuota") or 0) > 0,
            "processes": (host.get("PidsLimit") or 0) > 0,
        }
        if missing := [name for name, found in has.items() if not found]:
            faults.append(f"{one['Name'].lstrip('/')}: no limit of {', '.join(missing)}")
    if not inspected:
        faults.append("no container was looked at")
    figure = f"{len(inspected) - len(faults)} of {count(len(inspected), 'container')}"
    return judged(faults, figure, cure="mem_limit, cpus and pids_limit in docker/compose.*.yaml.")


@check(
    "RES-02",
    "No container comes near its limit of memory under load",
    "peak < 80 %, a blocker from 95 %",
    Severity.BLOCKER,
    profile="full",
    alone=True,
    patience=120,
)
def memory_is_enough_under_load(subject: Subject) -> Outcome:
    """Look at every container's memory again and again while requests come in, without the cache of files."""
    watched, statuses = _under_load(subject)
    names = {one.id: one.name for one in subject.containers}
    peaks = {
        names[one]: {"peak": peak, "limit": watched.last[one].limit} for one, peak in sorted(watched.peaks.items())
    }
    return judge_peaks(peaks, statuses, watched.looks)


def judge_peaks(memory: Mapping[str, Mapping[str, int]], statuses: Mapping[str, int], looks: int) -> Outcome:
    """Judge the peak of each container against its limit, under a load whose answers had these statuses."""
    shares = {name: one["peak"] / one["limit"] for name, one in memory.items() if one["limit"]}
    answered = sum(number for status, number in statuses.items() if not status.endswith((" 0", " 502", " 503")))
    asked = sum(statuses.values())
    if not answered or not shares:
        told = f"{answered} of {asked} requests were answered"
        return failed("nothing was measured", told, cure="inv monitor.health.")
    worst = max(shares, key=lambda name: shares[name])
    faults = [
        f"{name}: {told_size(memory[name]['peak'])} of {told_size(memory[name]['limit'])} ({share:.0%})"
        + (", about to be killed" if share >= FULL else "")
        for name, share in sorted(shares.items(), key=lambda one: -one[1])
        if share >= TIGHT
    ]
    figure = f"highest {shares[worst]:.0%} ({worst}), {count(answered, 'answer')}, {count(looks, 'look')}"
    cure = "COTAI_SIZE for a larger host, or mem_limit of that service."
    return judged(faults, figure, cure=cure, memory=dict(memory), statuses=dict(statuses))


@check("RES-03", "All limits together leave the host a tenth of its memory", "sum ≤ 90 %", Severity.MAJOR)
def limits_fit_the_host(subject: Subject) -> Outcome:
    """Add up the limits of what runs."""
    limits = {one.name: one.memory_limit for one in subject.containers if one.state == "running"}
    return judge_sum(limits, int(subject.engine.info()["MemTotal"]))


def judge_sum(limits: Mapping[str, int], memory: int) -> Outcome:
    """Judge the limits of containers in bytes, of which 0 is none, against the memory of their host."""
    faults = [f"{name}: has no limit" for name, limit in limits.items() if not limit]
    total = sum(limits.values())
    if total > SHARE * memory:
        most = sorted(limits, key=lambda name: -limits[name])[:5]
        faults += [f"{name}: {told_size(limits[name])}" for name in most]
    if not limits:
        faults.append("no container was looked at")
    figure = f"{told_size(total)} of {told_size(memory)} ({total / memory:.0%})"
    return judged(faults, figure, cure="A smaller COTAI_SIZE, fewer replicas, or a larger host.", limits=dict(limits))


@check(
    "RES-04",
    "No container waits much for processor time under load",
    "throttled < 25 %",
    Severity.MINOR,
    profile="full",
    alone=True,
    patience=120,
)
def nobody_is_throttled(subject: Subject) -> Outcome:
    """Read in how many of its periods each container was made to wait while requests came in."""
    watched, _ = _under_load(subject)
    names = {one.id: one.name for one in subject.containers}
    return judge_throttling({names[one]: watched.throttling(one) for one in watched.last})


def judge_throttling(shares: Mapping[str, float]) -> Outcome:
    """Judge the share of its periods in which each container was throttled."""
    if not shares:
        return failed("nothing was measured", cure="inv monitor.health.")
    worst = max(shares, key=lambda name: shares[name])
    faults = [
        f"{name}: {share:.0%}" for name, share in sorted(shares.items(), key=lambda one: -one[1]) if share >= THROTTLED
    ]
    rounded = {name: round(share, 4) for name, share in shares.items()}
    figure = f"highest {shares[worst]:.0%} ({worst})"
    return judged(faults, figure, cure="Raise cpus of that service, or give it replicas.", throttled=rounded)


def _under_load(subject: Subject) -> tuple[Watched, dict[str, int]]:
    """Put a bounded load on the stack, and watch its containers meanwhile; once for all that want to know."""
    return subject.once("strain", lambda: _press(subject))


def _press(subject: Subject) -> tuple[Watched, dict[str, int]]:
    subject.running("backend")
    production = subject.environment == "prod"
    server = {"host": "nginx", "port": 8443} if production else {"host": "backend", "port": 8000}
    name = subject.settings.server_names[0] if production else "localhost"
    health = "/health" if production else subject.settings.variables.APP_HEALTH_PATH
    network = "probe" if production else "edge"
    base = server | {"name": name, "tls": production, "pause": _PAUSE}
    pages = [{"method": "GET", "path": health, "body": None}, {"method": "GET", "path": _READS, "body": None}]
    tried = subject.probe("press", base | {"pages": pages, "clients": 1, "seconds": 0.5}, network=network)
    known = [one for one in pages if any(f"{one['path']} {_OK}" in told for told in tried)]
    if not known:
        raise SkipCheck(f"neither {health} nor {_READS} answers 200: there is nothing to load it with")
    if subject.started_after is not None and pages[1] in known:  # rows that nobody keeps
        known.append({"method": "POST", "path": _WRITES, "body": json.dumps(_TENDER)})
    spec = base | {"pages": known, "clients": CLIENTS, "seconds": SECONDS}
    ids = [one.id for one in _running(subject)]
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(subject.probe, "press", spec, network=network)
        watched = watch(subject.engine, ids, lambda: not load.done())
        return watched, load.result()


@check("RES-05", "Every container's log is rotated", "by size and number", Severity.MAJOR)
def logs_are_rotated(subject: Subject) -> Outcome:
    """Read how the engine keeps each container's log."""
    return judge_logs(subject.inspected)


def judge_logs(inspected: Sequence[Mapping[str, Any]]) -> Outcome:
    """Judge `docker inspect` of each container."""
    faults = []
    for one in inspected:
        told = one["HostConfig"]["LogConfig"]
        options = told.get("Config") or {}
        if told["Type"] in ROTATED or {"max-size", "max-file"} <= options.keys():
            continue
        faults.append(f"{one['Name'].lstrip('/')}: its log ({told['Type']}) grows without end")
    if not inspected:
        faults.append("no container was looked at")
    figure = f"{len(inspected) - len(faults)} of {count(len(inspected), 'container')}"
    return judged(faults, figure, cure="logging with max-size and max-file in docker/compose.*.yaml.")


@check("RES-06", "The engine's disk has room", "> 15 % free", Severity.MAJOR)
def disk_has_room(subject: Subject) -> Outcome:
    """Ask in a container how full the disk is that holds images and volumes."""
    return judge_disk(subject.probe("disk", None))


def judge_disk(told: Mapping[str, Sequence[int]]) -> Outcome:
    """Judge what is free of all, in bytes and in inodes; some file systems count no inodes."""
    shares = {what: free / total for what, (free, total) in told.items() if total}
    faults = [f"{what}: {share:.0%} free" for what, share in shares.items() if share <= FREE]
    free, total = told["bytes"]
    figure = f"{told_size(free)} of {told_size(total)} free ({free / total:.0%})"
    return failed(figure, *faults, cure="inv build.prune, or docker system df.") if faults else passed(figure)


def _running(subject: Subject) -> list[Container]:
    return [one for one in subject.containers if one.state == "running"]
