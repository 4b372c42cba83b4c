"""The vital signs of a stack: what was observed, judged. Pure functions on plain data.

No threshold stands here. When a certificate or a backup is too old is said by the alert rules, in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cotai_tasks.console import count, duration, size
from cotai_tasks.monitor.status import MISSING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from cotai_tasks.monitor.readiness import Answer, Dependency
    from cotai_tasks.monitor.series import Series
    from cotai_tasks.monitor.status import ServiceStatus

State = Literal["ok", "unknown", "warning", "broken"]
_ORDER: tuple[State, ...] = ("ok", "unknown", "warning", "broken")
_WIDEST = 60
"""Characters of somebody else's words that are shown."""
_PAGE = "docs/monitoring.md"

EXPORTERS = {
    "postgres": ("pg_up", ""),
    "mongodb": ("mongodb_up", ""),
    "redis": ("redis_up", "redis"),
    "redis-cache": ("redis_up", "redis-cache"),
}
"""By database: the metric by which its exporter says whether it could log in, and its label `server`."""

QUERY = (
    '{__name__=~"ALERTS|ALERTS_FOR_STATE|up|pg_up|mongodb_up|redis_up|probe_success|probe_duration_seconds'
    '|probe_ssl_earliest_cert_expiry|cotai_backup_last_success_timestamp_seconds|cotai_backup_size_bytes"}'
)
"""All that is asked of Prometheus, at once."""


@dataclass(frozen=True)
class Sign:
    """One thing that was looked at."""

    part: str
    """containers, databases, readiness, pages, targets, alerts, certificate or backup."""
    what: str
    state: State
    told: str
    figure: float | None = None
    unit: str = ""
    """Of the figure: ms, s, days, or what is counted."""
    cure: str = ""


def worst(states: Iterable[State]) -> State:
    """Give the worst of several states."""
    return max(states, key=_ORDER.index, default="ok")


def named(samples: Iterable[Series], name: str) -> list[Series]:
    """Give the samples of one metric."""
    return [one for one in samples if one.labels.get("__name__") == name]


def of_containers(services: Sequence[ServiceStatus], said: Mapping[str, str]) -> list[Sign]:
    """Judge the containers; `said` is the last word of each container's health check, by its name."""
    there = [one for one in services if one.state != MISSING]
    found = [_in_trouble(one, said.get(one.container, "")) for one in there if not one.ok]
    if missing := [one.service for one in services if one.state == MISSING]:
        told = f"{', '.join(missing)}: left out, or removed"
        found.append(
            Sign("containers", "missing", "warning", told, len(missing), "services", "inv deploy.status says more.")
        )
    well = [one for one in there if one.ok]
    done = sum(one.state == "done" for one in well)
    told = f"{len(well) - done} well" + (f", {done} done" if done else "")
    return [*found, Sign("containers", "the others" if found else "all", "ok", told, len(well), "containers")]


def _in_trouble(one: ServiceStatus, said: str) -> Sign:
    soon = one.state in {"starting", "created"}
    word = (said.splitlines() or [""])[-1][:_WIDEST] if one.state in {"starting", "unhealthy"} else ""
    told = (f"exited {one.exit_code}" if one.state == "exited" else one.state) + (f": {word}" if word else "")
    cure = f"inv monitor.logs --svc {one.service}"
    return Sign("containers", one.container, "warning" if soon else "broken", told, cure=cure)


def of_databases(services: Sequence[ServiceStatus], samples: Sequence[Series]) -> list[Sign]:
    """Judge the databases: by their own health checks, which really ask them, and by exporters that log in."""
    found = []
    for name, (metric, server) in EXPORTERS.items():
        exporter = [one.last for one in named(samples, metric) if one.labels.get("server", "") == server]
        for one in services:
            if one.service != name or one.state == MISSING:
                continue
            state: State = "ok" if one.ok else "warning" if one.state == "starting" else "broken"
            told = one.state + (f" for {duration(one.uptime)}" if one.ok else "")
            if 0 in exporter:
                state, told = "broken", f"{told}; its exporter cannot log in"
            cure = f"inv monitor.logs --svc {name}; inv db.status" if state != "ok" else ""
            found.append(Sign("databases", name, state, told, round(one.uptime), "s", cure))
    return found


def of_readiness(answers: Sequence[Answer]) -> list[Sign]:
    """Judge what the application says of itself, by container, and of its neighbours: of several answers the worst."""
    found = []
    for one in answers:
        told = f"{one.status or 'no answer'}" + ("" if one.status else f": {one.body[:_WIDEST]}")
        cure = "" if one.ok else "inv monitor.logs --svc backend --level warning"
        found.append(Sign("readiness", one.container, "ok" if one.ok else "broken", told, one.milliseconds, "ms", cure))
    neighbours: dict[str, Dependency] = {}
    for dependency in (each for one in answers for each in one.dependencies):
        before = neighbours.get(dependency.name, dependency)
        neighbours[dependency.name] = max(before, dependency, key=lambda each: (not each.ok, each.milliseconds))
    return found + [_neighbour(one) for one in neighbours.values()]


def _neighbour(one: Dependency) -> Sign:
    state: State = "ok" if one.ok else "broken" if one.required else "warning"
    told = "answers" if one.ok else f"does not answer: {one.error}" if one.error else "does not answer"
    cure = "" if one.ok else f"inv monitor.logs --svc {one.name}"
    return Sign("readiness", one.name, state, told, one.milliseconds, "ms", cure)


def of_pages(samples: Sequence[Series]) -> list[Sign]:
    """Judge the pages that the blackbox exporter asks for as a user does."""
    took = {_key(one): one.last * 1000 for one in named(samples, "probe_duration_seconds")}
    return [
        Sign(
            "pages",
            one.labels.get("instance", ""),
            "ok" if one.last else "broken",
            "answers" if one.last else "does not answer as it should",
            round(took.get(_key(one), 0), 1),
            "ms",
            "" if one.last else f"{_PAGE}#probefailed",
        )
        for one in sorted(named(samples, "probe_success"), key=lambda one: one.name)
    ]


def of_targets(samples: Sequence[Series]) -> list[Sign]:
    """Judge whom Prometheus reaches."""
    targets = named(samples, "up")
    down = [one for one in targets if not one.last]
    cure = f"{_PAGE}#targetdown"
    found = [_down(one, cure) for one in sorted(down, key=lambda one: one.name)]
    up = len(targets) - len(down)
    state: State = "ok" if targets else "unknown"
    return [*found, Sign("targets", "up", state, f"{up} of {len(targets)} answer Prometheus", up, "targets")]


def _down(one: Series, cure: str) -> Sign:
    job = one.labels.get("job", "")
    return Sign("targets", job, "broken", f"{one.labels.get('instance', '')} does not answer Prometheus", cure=cure)


def of_alerts(samples: Sequence[Series]) -> list[Sign]:
    """Judge the alerts: a critical one that fires means broken. `Watchdog` always fires, where rules are looked at."""
    since = {_key(one): one for one in named(samples, "ALERTS_FOR_STATE")}
    alerts = sorted(named(samples, "ALERTS"), key=lambda one: one.name)
    firing = [one for one in alerts if one.labels["alertstate"] == "firing"]
    loud = [one for one in firing if one.labels.get("severity") != "none"]
    soon = sorted({one.labels["alertname"] for one in alerts if one.labels["alertstate"] == "pending"})
    told = f"{count(len(loud), 'alert')} firing" if loud else "none fires"
    told += f"; about to: {', '.join(soon)}" if soon else ""
    state: State = "ok"
    cure = ""
    if len(loud) == len(firing):
        state, told, cure = "unknown", f"{told}; Watchdog is silent: no rule is looked at", f"{_PAGE}#watchdog"
    return [
        *(_firing(one, since.get(_key(one))) for one in loud),
        Sign("alerts", "rules", state, told, len(loud), "alerts", cure),
    ]


def _firing(one: Series, since: Series | None) -> Sign:
    name, severity = one.labels["alertname"], one.labels.get("severity", "")
    age = one.points[-1][0] - since.last if since else None
    about = [
        value
        for key, value in sorted(one.labels.items())
        if key not in {"__name__", "alertname", "alertstate", "severity"}
    ]
    told = severity + (f" for {duration(age)}" if age is not None else "") + (f": {', '.join(about)}" if about else "")
    state: State = "broken" if severity == "critical" else "warning"
    return Sign("alerts", name, state, told, age, "s" if since else "", f"{_PAGE}#{name.lower()}")


def of_certificates(samples: Sequence[Series]) -> list[Sign]:
    """Say how many days each certificate has left; whether that is enough is said by its alerts."""
    found = {}
    for one in named(samples, "probe_ssl_earliest_cert_expiry"):
        name = one.labels.get("server_name") or one.labels.get("instance", "")
        found[name] = (one.last - one.points[-1][0]) / 86400
    state = _by_alerts(samples, "Certificate")
    return [
        Sign("certificate", name, state, f"{days:.0f} days left", round(days, 1), "days", _certs(state))
        for name, days in sorted(found.items())
    ] or [Sign("certificate", "nginx", "unknown", "no probe has seen it yet", cure="inv security.certs-status")]


def _certs(state: State) -> str:
    return "" if state == "ok" else "inv security.certs-status"


def of_backups(samples: Sequence[Series]) -> list[Sign]:
    """Say how old the newest backup is; whether that is young enough is said by its alerts."""
    newest = named(samples, "cotai_backup_last_success_timestamp_seconds")
    if not newest:
        return [Sign("backup", "newest backup", "warning", "none was ever made", cure="inv backup.create")]
    when, value = newest[-1].points[-1]
    weight = named(samples, "cotai_backup_size_bytes")
    told = f"{duration(max(when - value, 0))} old" + (f", {size(weight[-1].last)}" if weight else "")
    state = _by_alerts(samples, "Backup")
    return [
        Sign(
            "backup", "newest backup", state, told, round(when - value), "s", "" if state == "ok" else "inv backup.list"
        )
    ]


def _by_alerts(samples: Sequence[Series], beginning: str) -> State:
    """Give the state that firing alerts with this beginning of their names mean."""
    return worst(
        "broken" if one.labels.get("severity") == "critical" else "warning"
        for one in named(samples, "ALERTS")
        if one.labels["alertstate"] == "firing" and one.labels["alertname"].startswith(beginning)
    )


def _key(one: Series) -> Collection[tuple[str, str]]:
    """Give what two metrics of one thing have in common."""
    return frozenset((key, value) for key, value in one.labels.items() if key not in {"__name__", "alertstate"})
