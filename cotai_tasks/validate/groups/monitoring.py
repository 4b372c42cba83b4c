"""Monitoring: what is watched answers, what is asked exists, and who should be told is told."""

from __future__ import annotations

import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cotai_tasks.console import count, duration
from cotai_tasks.errors import EngineError
from cotai_tasks.validate.check import Effect, Severity, SkipCheck, State, check, failed, judged, passed, warned
from cotai_tasks.validate.throwaway import RECEIVER, RECEIVER_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.subject import Subject

_FIRST_SCRAPE = 40.0
"""Seconds until Prometheus has asked everything once: every 15 or 30 it does, and finds what is new."""
_ALERT = 60.0
_FIRES = 150.0
"""Seconds until a target that is down alarms: one scrape, the minute that the rule waits, one evaluation."""
_SEARCHABLE = 15.0
_SCRAPES = 20

ELSEWHERE = {"container_": "cadvisor", "loki_": "loki", "nginx_": "nginx-exporter", "celery_": "celery-exporter"}
"""Whose metrics begin how: where that service is not part of a stack, nobody shows them."""
LATER = {
    "cotai_backup_": "shown once there is a backup",
    "pg_replication_slot_": "shown once something receives the write-ahead log",
    "mongodb_rs_": "shown by a replica set of MongoDB itself",
    "tenders_received_": "shown once a tender was taken in",
}
"""Metrics that a healthy stack shows only after something has happened."""

_WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}


@check("MON-01", "Prometheus reaches everything that it should watch", "all targets up", Severity.BLOCKER)
def targets_are_up(subject: Subject) -> Outcome:
    """Ask Prometheus for its targets."""
    return once_settled(lambda: judge_targets(_prometheus(subject, "/api/v1/targets?state=active")[0]["activeTargets"]))


def judge_targets(targets: Sequence[Mapping[str, Any]]) -> Outcome:
    """Judge the active targets as Prometheus lists them."""
    faults = [
        f"{one['labels']['job']} ({one['labels'].get('instance', '?')}): {one['lastError'] or one['health']}"
        for one in targets
        if one["health"] != "up"
    ]
    if not targets:
        faults.append("it watches nothing")
    figure = f"{len(targets) - len(faults)} of {len(targets)} up"
    return judged(faults, figure, cure="inv monitor.logs --svc NAME of what is down; docs/monitoring.md, TargetDown.")


@check("MON-02", "Every metric named in a rule or on a dashboard exists", "0 missing", Severity.MAJOR)
def metrics_exist(subject: Subject) -> Outcome:
    """Compare the names in rules and dashboards with those that Prometheus has, or knows from its targets."""
    return once_settled(lambda: _metrics_exist(subject))


def _metrics_exist(subject: Subject) -> Outcome:
    asked = ("/api/v1/rules", "/api/v1/label/__name__/values", "/api/v1/metadata")
    rules, names, metadata = _prometheus(subject, *asked)
    queries = [rule["query"] for group in rules["groups"] for rule in group["rules"]]
    folders = ["dashboards", *(["production"] if subject.environment == "prod" else [])]
    dashboards = [path for one in folders for path in (subject.settings.home / "docker/grafana" / one).rglob("*.json")]
    queries += dashboard_queries(path.read_text() for path in dashboards)
    known = {*names, *metadata}
    running = {one.service for one in subject.containers if one.state == "running"}
    return judge_metrics(queries, known, running)


def judge_metrics(queries: Collection[str], known: Collection[str], running: Collection[str]) -> Outcome:
    """Judge the metrics that are named; those of a service that does not run here are told, and not held against it."""
    named = set().union(*map(metric_names, queries))
    missing = sorted(one for one in named if not {one, re.sub(r"_(bucket|count|sum|total)$", "", one)} & {*known})
    excused = {one: reason for one in missing if (reason := _excuse(one, running))}
    faults = [f"{one}: nothing shows it" for one in missing if one not in excused]
    if not named:
        faults.append("no rule names a metric")
    figure = f"{len(named) - len(missing)} of {len(named)} exist"
    if faults or not excused:
        return judged(faults, figure, cure="Correct the name in docker/prometheus/rules or docker/grafana.")
    return passed(f"{figure}, {len(excused)} cannot yet", *(f"{one}: {reason}" for one, reason in excused.items()))


def _excuse(metric: str, running: Collection[str]) -> str:
    for prefix, service in ELSEWHERE.items():
        if metric.startswith(prefix) and service not in running:
            return f"{service} does not run here"
    return next((reason for prefix, reason in LATER.items() if metric.startswith(prefix)), "")


def metric_names(query: str) -> set[str]:
    """Give the names of the metrics in a query of PromQL; rules of our own (with colons) are none."""
    bare = re.sub(r'"(?:\\.|[^"\\])*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    names = re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)
    return {name for name in names if ":" not in name} - _WORDS


def dashboard_queries(dashboards: Iterable[str]) -> list[str]:
    """Give everything that dashboards of Grafana, as JSON, ask Prometheus."""
    return [
        target["expr"]
        for text in dashboards
        for panel in json.loads(text)["panels"]
        if panel["datasource"]["type"] == "prometheus"
        for target in panel["targets"]
    ]


@check(
    "MON-03",
    "A test alert reaches who is to be told",
    "< 60 s",
    Severity.MAJOR,
    envs=("prod",),
    profile="full",
    effect=Effect.DISRUPTS,  # on a stack of others it would wake somebody
    patience=120.0,
)
def alert_is_delivered(subject: Subject) -> Outcome:
    """Post a critical alert to Alertmanager, and listen where the throwaway stack's webhook points to."""
    word = f"CotaiValidation{uuid.uuid4().hex[:8]}"
    alert = [{"labels": {"alertname": word, "severity": "critical"}, "annotations": {"summary": "a test"}}]
    with ThreadPoolExecutor(1) as pool:
        spec = {"port": RECEIVER_PORT, "word": word, "seconds": _ALERT}
        heard = pool.submit(subject.probe, "listen", spec, network="egress", alias=RECEIVER, patience=_ALERT + 20)
        told = _ask(subject, "http://alertmanager:9093/api/v2/alerts", body=json.dumps(alert))
        if told["status"] != 200:  # noqa: PLR2004 - what HTTP calls it
            return failed(
                f"Alertmanager answers {told['status']}",
                told["body"][:300],
                cure="inv monitor.logs --svc alertmanager.",
            )
        return judge_delivery(heard.result()["after"])


def judge_delivery(after: float | None) -> Outcome:
    """Judge how long an alert took; None where it did not come."""
    cure = "inv monitor.logs --svc alertmanager; is ALERT_WEBHOOK_URL right, and reached from its network?"
    if after is None or after > _ALERT:
        return failed(f"not within {_ALERT:.0f} s", cure=cure)
    return passed(f"after {duration(after)}")


@check(
    "MON-04",
    "What stops is noticed: its alert fires",
    "TargetDown fires",
    Severity.MAJOR,
    profile="full",
    effect=Effect.DISRUPTS,
    patience=300.0,
)
def stopped_service_alarms(subject: Subject) -> Outcome:
    """Stop an exporter, wait for its alert, and start it again."""
    victim = subject.running("redis-exporter")[0]
    begun = time.monotonic()
    subject.engine.command("container", "stop", victim.id)
    try:
        while time.monotonic() - begun < _FIRES:
            alerts = _prometheus(subject, "/api/v1/alerts")[0]["alerts"]
            if fires(alerts, "TargetDown", "redis-exporter"):
                return passed(f"after {duration(time.monotonic() - begun)}")
            time.sleep(5)
        return failed(f"not within {_FIRES:.0f} s", cure="docker/prometheus/rules/alerts.yml: is TargetDown there?")
    finally:
        subject.engine.command("container", "start", victim.id)


def fires(alerts: Iterable[Mapping[str, Any]], name: str, instance: str) -> bool:
    """Tell whether an alert fires for an instance, among those that Prometheus lists."""
    return any(
        one["state"] == "firing"
        and one["labels"]["alertname"] == name
        and one["labels"].get("instance", "").startswith(instance)
        for one in alerts
    )


@check(
    "MON-05",
    "A line of a log can be searched for soon after it was written",
    "< 15 s",
    Severity.MAJOR,
    envs=("prod",),
    profile="full",
)
def logs_are_searchable(subject: Subject) -> Outcome:
    """Ask the API for a page that nobody else asks for, and search Loki for Nginx' line of it."""
    subject.running("loki")
    word = uuid.uuid4().hex
    _ask(subject, f"http://nginx:8080/{word}", network="edge")
    query = quote(f'{{service="nginx"}} |= "{word}"')
    begun = time.monotonic()
    while time.monotonic() - begun < _SEARCHABLE:
        told = json.loads(_ask(subject, f"http://loki:3100/loki/api/v1/query_range?query={query}")["body"])
        if told["data"]["result"]:
            return passed(f"after {duration(time.monotonic() - begun)}")
        time.sleep(1)
    return failed(f"not within {_SEARCHABLE:.0f} s", cure="inv monitor.logs --svc alloy,loki.")


@check(
    "MON-06",
    "One trace shows a request through API, database and queue",
    "1 trace with all of them",
    Severity.MINOR,
    envs=("prod",),
    profile="full",
)
def traces_are_whole(subject: Subject) -> Outcome:
    """Search Tempo for the traces of the last hour, and look which services the widest of them spans."""
    subject.running("tempo")
    if not subject.settings.variables.OTEL_EXPORTER_OTLP_ENDPOINT:
        raise SkipCheck("the application sends no traces: OTEL_EXPORTER_OTLP_ENDPOINT is empty")
    found = json.loads(_ask(subject, "http://tempo:3200/api/search?limit=50")["body"]).get("traces") or []
    widths = [len(one.get("serviceStats") or {}) for one in found]
    if not widths:
        raise SkipCheck("there is no trace yet")
    return judged(
        [] if max(widths) > 1 else ["every trace ends in the service in which it began"],
        f"{len(found)} traces, the widest over {count(max(widths), 'service')}",
        cure="Does the application hand on the header traceparent?",
    )


@check("MON-07", "Grafana reaches its data sources", "all healthy", Severity.MAJOR)
def datasources_answer(subject: Subject) -> Outcome:
    """Ask Grafana to try each of its data sources, within its own container."""
    subject.running("grafana")
    variables = subject.settings.variables
    login = f"{variables.ADMIN_USER}:{variables.ADMIN_PASSWORD.get_secret_value()}"
    prefix = "/monitoring" if subject.environment == "prod" else ""
    base = f"http://grafana:3000{prefix}/api/datasources"
    sources = json.loads(_ask(subject, base, login=login)["body"])
    told = {one["name"]: _ask(subject, f"{base}/uid/{one['uid']}/health", login=login) for one in sources}
    faults = [f"{name}: {one['status']} {one['body'][:200]}" for name, one in told.items() if one["status"] != 200]  # noqa: PLR2004
    if not told:
        faults.append("it has none")
    return judged(faults, f"{len(told) - len(faults)} of {len(told)} healthy", cure="inv monitor.logs --svc grafana.")


@check("MON-08", "Counters never go down, whichever worker answers", "0 of 20 scrapes", Severity.MAJOR)
def counters_grow(subject: Subject) -> Outcome:
    """Read the metrics of each API container twenty times, with requests between."""
    addresses = [f"{one}:8000" for one in subject.addresses("backend", "edge")]
    path = subject.settings.variables.APP_LIVE_PATH
    told = subject.probe("counters", {"addresses": addresses, "scrapes": _SCRAPES, "path": path}, network="edge")
    return judge_counters(told)


def judge_counters(told: Mapping[str, Mapping[str, Any]]) -> Outcome:
    """Judge what each address showed."""
    if told and all(one["status"] == 404 for one in told.values()):  # noqa: PLR2004 - what HTTP calls it
        raise SkipCheck("the application shows no /metrics")
    faults = [f"{address} answers {one['status']}" for address, one in told.items() if one["status"] != 200]  # noqa: PLR2004
    faults += [
        f"{address}: {name} from {before:g} to {'nothing' if after is None else f'{after:g}'}"
        for address, one in told.items()
        for name, (before, after) in one["down"].items()
    ]
    total = sum(one["counters"] for one in told.values())
    if not faults and not total:
        return warned("no counter is shown", cure="Is the metrics library registered?")
    figure = f"{count(total, 'counter')} of {count(len(told), 'container')}"
    return judged(faults, figure, cure="Use the multiprocess mode of the metrics library: docs/your-application.md.")


def once_settled(look: Callable[[], Outcome]) -> Outcome:
    """Look until nothing is wrong; a stack that has just started has until Prometheus has asked everything once."""
    end = time.monotonic() + _FIRST_SCRAPE
    while (found := look()).state == State.FAIL and time.monotonic() < end:
        time.sleep(3)
    return found


def _prometheus(subject: Subject, *paths: str) -> list[Any]:
    """Ask Prometheus' API for several things at once; production serves it below a path."""
    subject.running("prometheus")
    prefix = "/metrics" if subject.environment == "prod" else ""
    spec = [{"url": f"http://prometheus:9090{prefix}{path}"} for path in paths]
    answers = subject.probe("ask", spec, network="monitoring")
    for path, answer in zip(paths, answers, strict=True):
        if answer["status"] != 200:  # noqa: PLR2004 - what HTTP calls it
            fault = answer.get("fault") or answer["body"][:500]
            raise EngineError(f"Prometheus answers {answer['status']} to {path}", evidence=fault)
    return [json.loads(answer["body"])["data"] for answer in answers]


def _ask(subject: Subject, url: str, *, body: str = "", login: str = "", network: str = "monitoring") -> dict[str, Any]:
    """Ask one page within the stack."""
    headers = {"Content-Type": "application/json"} if body else {}
    spec = {"url": url, "headers": headers, "body": body, "method": "POST" if body else "GET", "login": login}
    found: dict[str, Any] = subject.probe("ask", [spec], network=network)[0]
    return found
