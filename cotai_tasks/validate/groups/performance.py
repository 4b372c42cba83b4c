"""Performance: how long answers take, measured from inside the stack while nothing else is tried."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from cotai_tasks.validate.celery import with_tasks
from cotai_tasks.validate.check import Effect, Severity, SkipCheck, check, failed, judged, passed, warned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.subject import Subject

_WARMUP, _REQUESTS, _CLIENTS = 50, 500, 10
_API_MS = 200.0
_PROXY_MS = 20.0
_GATEWAY_MS = 500.0
_FIRST_TOKEN_MS = 500.0
_ENQUEUE_MS = 500.0
_ERRORS = 0.001
"""The share of answers that may fail."""
_SOAK, _SOAK_CLIENTS, _PAUSE = 60.0, 4, 0.02
_DRIFT = 0.2
_QUARTERS = 4
_OK = 200
_DRAWN = 2000
"""Answers of a series that a report draws."""


@check(
    "PERF-01",
    "The API answers ten clients in time",
    "p95 < 200 ms, errors < 0.1 %",
    Severity.BLOCKER,
    alone=True,
    patience=150.0,
)
def api_is_fast(subject: Subject) -> Outcome:
    """Ask for the application's health page, which asks every database, 500 times after 50."""
    told = _load(subject, {"through": _edge(subject)}, requests=_REQUESTS)
    how = "through Nginx and TLS" if subject.environment == "prod" else "without a proxy between"
    return judge_api(told["through"], how)


def judge_api(told: Mapping[str, Any], how: str) -> Outcome:
    """Judge the answers of the API."""
    faults = _errors(told)
    if told["ms"] and percentile(told["ms"], 95) >= _API_MS:
        faults.append(f"one in twenty answers takes {percentile(told['ms'], 95):.0f} ms or more")
    cure = "inv monitor.top: who is at its limit? inv db.status shows slow statements."
    return judged(faults, f"{summary(told)} {how}", cure=cure, latencies_ms={"API": told["ms"][:_DRAWN]})


@check(
    "PERF-02",
    "Nginx and TLS add little to an answer",
    "at most 20 ms more at p95",
    Severity.MINOR,
    envs=("prod",),
    alone=True,
    patience=150.0,
    profile="full",
)
def proxy_is_fast(subject: Subject) -> Outcome:
    """Ask for the same page through Nginx and beside it, in turns."""
    through = _edge(subject) | {"url": f"https://{subject.addresses('nginx', 'probe')[0]}:8443/health"}
    series = {"through": through, "beside": _backend(subject)}
    told = _load(subject, series, requests=_REQUESTS, network="edge,probe")
    return judge_proxy(told["through"], told["beside"])


def judge_proxy(through: Mapping[str, Any], beside: Mapping[str, Any]) -> Outcome:
    """Judge the answers that came through Nginx beside those that did not."""
    share = percentile(through["ms"], 95) - percentile(beside["ms"], 95)
    faults = _errors(through) + ([f"it adds {share:.0f} ms"] if share >= _PROXY_MS else [])
    figure = (
        f"{max(share, 0):.1f} ms at p95, {percentile(through['ms'], 50) - percentile(beside['ms'], 50):.1f} ms at p50"
    )
    series = {"through Nginx": through["ms"][:_DRAWN], "beside it": beside["ms"][:_DRAWN]}
    return judged(faults, figure, cure="inv monitor.top: is Nginx at its limit of processors?", latencies_ms=series)


@check(
    "PERF-03",
    "The LLM gateway itself is fast",
    "p95 < 0.5 s with a model that answers at once",
    Severity.BLOCKER,
    alone=True,
    patience=150.0,
)
def gateway_is_fast(subject: Subject) -> Outcome:
    """Start the gateway's image a second time, before a model server that answers at once, and ask that."""
    container = subject.running("llm-service")[0]
    command = ["llm"] if subject.environment == "prod" else ["llm-dev"]
    spec = {"command": command, "model": "stub", "warmup": _WARMUP, "requests": _REQUESTS}
    return judge_gateway(subject.probe("gateway", spec, image=container.image_id, patience=140.0))


def judge_gateway(told: Mapping[str, Any]) -> Outcome:
    """Judge the answers of the gateway; one of another kind, which has no such page, is not judged."""
    if told["ms"] and set(told["statuses"]) == {"404"}:
        raise SkipCheck("the gateway has no /v1/chat/completions")
    faults = _errors(told)
    if told["ms"] and percentile(told["ms"], 95) >= _GATEWAY_MS:
        faults.append(f"one in twenty answers takes {percentile(told['ms'], 95):.0f} ms or more")
    series = {"gateway": told["ms"][:_DRAWN]}
    return judged(faults, summary(told), cure="inv deploy.logs --svc llm-service.", latencies_ms=series)


@check(
    "PERF-04",
    "The model begins to answer soon",
    "first word p95 < 0.5 s",
    Severity.MAJOR,
    alone=True,
    profile="full",
    patience=240.0,
)
def model_begins_soon(subject: Subject) -> Outcome:
    """Ask the gateway for ten streamed answers; on a processor the figure is told, and not held against it."""
    subject.running("llm-service")
    variables = subject.settings.variables
    spec = {"url": "http://llm-service:8001/v1/chat/completions", "model": variables.LLM_MODEL, "requests": 10}
    told = subject.probe("first_token", spec, network="edge", patience=230.0)
    return judge_first_token(told, gpu=variables.COTAI_GPU)


def judge_first_token(told: Sequence[float | None], *, gpu: bool) -> Outcome:
    """Judge the milliseconds until the first word of each answer."""
    came = [one for one in told if one is not None]
    cure = "inv deploy.logs --svc ollama,llm-service; is the model there?"
    if len(came) < len(told) or not told:
        return failed(f"{len(told) - len(came)} of {len(told)} answers never began", cure=cure)
    p95 = percentile(came, 95)
    figure = f"first word p95 {p95:.0f} ms, p50 {percentile(came, 50):.0f} ms of {len(came)}"
    if p95 < _FIRST_TOKEN_MS:
        return passed(figure, latencies_ms={"first word": came})
    if gpu:
        return failed(
            figure, cure="A smaller model, or more of it on the GPU: LLM_MODEL.", latencies_ms={"first word": came}
        )
    return warned(figure, "on processors alone this is not held against it", latencies_ms={"first word": came})


@check(
    "PERF-05",
    "A minute of load changes nothing",
    "p95 drifts < 20 %",
    Severity.MAJOR,
    alone=True,
    profile="full",
    patience=150.0,
)
def load_changes_nothing(subject: Subject) -> Outcome:
    """Ask for a minute, and compare the last quarter with the first."""
    told = _load(subject, {"through": _edge(subject)}, seconds=_SOAK, clients=_SOAK_CLIENTS, pause=_PAUSE)
    return judge_soak(told["through"])


def judge_soak(told: Mapping[str, Any]) -> Outcome:
    """Judge the answers of a minute, in the order in which they came."""
    size = len(told["ms"]) // _QUARTERS
    if size < _WARMUP:
        return failed(f"only {len(told['ms'])} answers in a minute", *_errors(told), cure="inv monitor.health.")
    first, last = percentile(told["ms"][:size], 95), percentile(told["ms"][-size:], 95)
    drift = last / first - 1
    faults = _errors(told) + ([f"p95 went from {first:.0f} to {last:.0f} ms"] if drift >= _DRIFT else [])
    figure = f"{drift:+.0%} (p95 {first:.0f} to {last:.0f} ms), {summary(told)}"
    series = {"a minute of load": told["ms"][:_DRAWN]}
    return judged(
        faults,
        figure,
        cure="Something fills up: inv monitor.metrics, dashboards; inv monitor.top.",
        latencies_ms=series,
    )


@check(
    "PERF-06",
    "A task starts soon after it was sent",
    "p95 < 500 ms",
    Severity.MINOR,
    alone=True,
    profile="full",
    effect=Effect.WRITES,
)
def tasks_start_soon(subject: Subject) -> Outcome:
    """Send fifty of Celery's own tasks, one after the other, and wait for each."""
    worker = subject.running("celery-worker")[0]
    told = with_tasks(subject, worker, {"do": "trips", "number": 50, "seconds": 5})
    return judge_tasks(told["seconds"])


def judge_tasks(seconds: Sequence[float | None]) -> Outcome:
    """Judge how long tasks took from being sent to their result, which is longer than to their start; None is lost."""
    took = [one * 1000 for one in seconds if one is not None]
    cure = "inv deploy.autoscale celery-worker, or more WORKER_REPLICAS; inv deploy.logs --svc celery-worker."
    if len(took) < len(seconds) or not took:
        return failed(f"a task never came back, after {len(took)} that did", cure=cure)
    p95 = percentile(took, 95)
    faults = [f"one in twenty takes {p95:.0f} ms or more"] if p95 >= _ENQUEUE_MS else []
    figure = f"p95 {p95:.0f} ms there and back, of {len(took)} tasks"
    return judged(faults, figure, cure=cure, latencies_ms={"tasks": took})


def percentile(values: Sequence[float], which: int) -> float:
    """Give the value below which so many of a hundred are."""
    return statistics.quantiles(values, n=100, method="inclusive")[which - 1] if len(values) > 1 else values[0]


def summary(told: Mapping[str, Any]) -> str:
    """Say the percentiles of a series, and how many of it failed."""
    if not told["ms"]:
        return "no answer"
    p50, p95, p99 = (percentile(told["ms"], one) for one in (50, 95, 99))
    return f"p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms; {_failed(told)} of {len(told['ms'])} failed"


def _failed(told: Mapping[str, Any]) -> int:
    return sum(number for status, number in told["statuses"].items() if int(status) != _OK)


def _errors(told: Mapping[str, Any]) -> list[str]:
    """Say which answers failed, where too many did."""
    if not told["ms"]:
        return ["nothing was answered"]
    if _failed(told) <= _ERRORS * len(told["ms"]):
        return []
    counted = ", ".join(f"{number} with {status}" for status, number in told["statuses"].items() if int(status) != _OK)
    return [f"answers other than 200: {counted} (0 is none at all)"]


def _edge(subject: Subject) -> dict[str, str]:
    """Give the health page as users reach it: through Nginx in production."""
    if subject.environment == "dev":
        return _backend(subject)
    subject.running("nginx")
    return {"url": "https://nginx:8443/health", "name": subject.settings.server_names[0]}


def _backend(subject: Subject) -> dict[str, str]:
    """Give the same page beside Nginx."""
    subject.running("backend")
    return {"url": f"http://backend:8000{subject.settings.variables.APP_HEALTH_PATH}", "name": _host(subject)}


def _host(subject: Subject) -> str:
    """Give the name under which the application is asked: one of an application may know no other."""
    return subject.settings.server_names[0] if subject.settings.server_names else "localhost"


def _load(subject: Subject, series: Mapping[str, Any], *, network: str = "", **how: Any) -> dict[str, Any]:  # noqa: ANN401 - as the probe takes them
    """Ask for pages from a place that no limit of Nginx counts."""
    spec = {"series": series, "clients": _CLIENTS, "warmup": _WARMUP} | how
    place = network or ("probe" if subject.environment == "prod" else "edge")
    found: dict[str, Any] = subject.probe("load", spec, network=place, patience=140.0)
    return found
