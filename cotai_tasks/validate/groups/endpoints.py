"""Endpoints: what answers, what must not, and what becomes of it when something behind it is gone."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from cotai_tasks.console import count, duration
from cotai_tasks.validate.check import Effect, Severity, SkipCheck, check, failed, judged, passed, warned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.subject import Subject

_OK, _UNAUTHORIZED, _MISSING, _UNAVAILABLE = 200, 401, 404, 503
_REDIRECTS = {301, 308}
_SWITCHED = {101, 403}
"""A WebSocket was opened, or the application refused this one: either way it was asked for one."""
_SOCKET = "/ws/tenders/00000000-0000-0000-0000-000000000000"
_BACK, _MENDED = 15.0, 60.0
_SPREAD = 0.2
"""Of the time that a stream takes, the share over which its pieces must be spread."""

PAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "dev": (
        ("flower", "http://flower:5555/api/workers"),
        ("mongo-express", "http://mongo-express:8081/"),
    ),
    "prod": (
        ("flower", "/flower/"),
        ("prometheus", "/metrics/"),
        ("grafana", "/monitoring/api/org"),
    ),
}
"""The operators' pages by service, and where they are; adminer and redis-commander have forms of their own."""
CLOSED = ("/metrics", "/docs", "/redoc", "/openapi.json", "/llm/docs", "/llm/metrics")


@check("END-01", "Every API container says that it lives", "200", Severity.BLOCKER)
def api_lives(subject: Subject) -> Outcome:
    """Ask each of them for APP_LIVE_PATH."""
    path = subject.settings.variables.APP_LIVE_PATH
    places = [f"http://{one}:8000{path}" for one in subject.addresses("backend", "edge")]
    answers = _ask(subject, [{"url": one, "name": _name(subject)} for one in places])
    return judge_statuses(
        dict(zip(places, (one["status"] for one in answers), strict=True)), {_OK}, "inv deploy.logs --svc backend."
    )


def judge_statuses(statuses: Mapping[str, int], wanted: Iterable[int], cure: str) -> Outcome:
    """Judge the status that each place answered with; 0 is no answer."""
    faults = [f"{place}: {status or 'no answer'}" for place, status in statuses.items() if status not in {*wanted}]
    if not statuses:
        faults.append("nobody was asked")
    return judged(faults, f"{len(statuses) - len(faults)} of {len(statuses)} as they should", cure=cure)


@check("END-02", "The readiness page names every dependency", "200, each named", Severity.BLOCKER)
def readiness_names_dependencies(subject: Subject) -> Outcome:
    """Ask for APP_HEALTH_PATH, and look for each server of the stack in it."""
    answer = _ask(subject, [_ready(subject)])[0]
    names = [one for one in ("postgres", "mongodb", "redis", "redis-cache") if one in subject.stack.services]
    return judge_readiness(answer["status"], answer["body"], names)


def judge_readiness(status: int, body: str, names: Sequence[str]) -> Outcome:
    """Judge the answer of the readiness page; one that is no list of dependencies is told, and not held against it."""
    cure = "inv monitor.health; inv deploy.logs --svc backend."
    if status != _OK:
        return failed(f"{status or 'no answer'}", body[:300], cure=cure)
    try:
        known = json.loads(body).get("dependencies")
    except (ValueError, AttributeError):
        known = None
    if not isinstance(known, dict):
        return warned("200, and it names none", cure="Let it ask what it depends on: docs/your-application.md.")
    missing = [name for name in names if name not in known]
    return judged(
        [f"{name} is not named" for name in missing], f"200, {count(len(known), 'name')}", cure="Let it ask that, too."
    )


@check(
    "END-03",
    "The API says that it is not ready while a database is gone",
    "503, then 200 again",
    Severity.MAJOR,
    profile="full",
    effect=Effect.DISRUPTS,
    patience=180.0,
)
def readiness_tells_the_truth(subject: Subject) -> Outcome:
    """Stop PostgreSQL, ask, and start it again."""
    database = subject.running("postgres")[0]
    subject.engine.command("container", "stop", database.id)
    try:
        seen = _until(subject, _UNAVAILABLE, _BACK)
    finally:
        subject.engine.command("container", "start", database.id)
        back = _until(subject, _OK, _MENDED)
    return judge_outage(seen, back)


def judge_outage(gone: int, back: int) -> Outcome:
    """Judge the statuses while a database was gone, and after."""
    faults = [] if gone == _UNAVAILABLE else [f"{gone or 'no answer'} while PostgreSQL was stopped"]
    faults += [] if back == _OK else [f"{back or 'no answer'} a minute after it was back"]
    return judged(faults, f"{gone}, then {back}", cure="The health page must ask PostgreSQL: docs/your-application.md.")


@check("END-04", "Whoever comes without TLS is sent to it", "301 or 308 to https", Severity.BLOCKER, envs=("prod",))
def http_leads_to_https(subject: Subject) -> Outcome:
    """Ask Nginx' port 80 for a page."""
    subject.running("nginx")
    answer = _ask(subject, [{"url": "http://nginx:8080/api/x?y=1", "name": _name(subject)}])[0]
    return judge_redirect(answer["status"], answer["headers"].get("location", ""))


def judge_redirect(status: int, location: str) -> Outcome:
    """Judge the answer of port 80."""
    faults = [] if status in _REDIRECTS else [f"it answers {status or 'nothing'}"]
    if not location.startswith("https://") or not location.endswith("/api/x?y=1"):
        faults.append(f"it leads to {location or 'nowhere'}")
    return judged(faults, f"{status} to https", cure="nginx/templates/servers.conf.template, port 8080.")


@check("END-05", "The operators' pages refuse whoever has no login", "401, and 200 with one", Severity.BLOCKER)
def admin_pages_are_closed(subject: Subject) -> Outcome:
    """Ask for each without a login, and with the right one."""
    variables = subject.settings.variables
    login = f"{variables.ADMIN_USER}:{variables.ADMIN_PASSWORD.get_secret_value()}"
    running = {one.service for one in subject.containers if one.state == "running"}
    pages = {name: _page(subject, url) for name, url in PAGES[subject.environment] if name in running}
    if not pages:
        raise SkipCheck("no page of the operators runs")
    bare = _ask(subject, [*pages.values()], network=_network(subject))
    known = _ask(subject, [one | {"login": login} for one in pages.values()], network=_network(subject))
    told = zip(pages, (one["status"] for one in bare), (one["status"] for one in known), strict=True)
    return judge_logins({name: (without, right) for name, without, right in told})


def judge_logins(statuses: Mapping[str, tuple[int, int]]) -> Outcome:
    """Judge the statuses without a login and with the right one, by page."""
    faults = [
        f"{name}: {bare or 'no answer'} without a login"
        for name, (bare, _) in statuses.items()
        if bare != _UNAUTHORIZED
    ]
    faults += [
        f"{name}: {known or 'no answer'} with the right login"
        for name, (_, known) in statuses.items()
        if known in {0, _UNAUTHORIZED}
    ]
    return judged(
        faults,
        f"{', '.join(statuses)}: {len(faults)} faults",
        cure="inv security.secrets; nginx/templates: auth_basic.",
    )


@check("END-06", "Metrics and API documentation are closed to the public", "404", Severity.MAJOR, envs=("prod",))
def internals_are_closed(subject: Subject) -> Outcome:
    """Ask for them through Nginx."""
    answers = _ask(subject, [_page(subject, path) for path in CLOSED], network="probe")
    statuses = dict(zip(CLOSED, (one["status"] for one in answers), strict=True))
    return judge_statuses(statuses, {_MISSING}, "nginx/snippets/own-routes.conf opens it?")


@check(
    "END-07",
    "The API is found again after its containers were away",
    "200 within 15 s of their health",
    Severity.MAJOR,
    profile="full",
    effect=Effect.DISRUPTS,
    patience=240.0,
)
def api_is_found_again(subject: Subject) -> Outcome:
    """Stop every API container, start them in another order, and wait for an answer through what stands before them."""
    ids = [one.id for one in subject.running("backend")]
    try:
        subject.engine.command("container", "stop", *ids)
    finally:
        subject.engine.command("container", "start", *reversed(ids))
    end = time.monotonic() + 120
    while time.monotonic() < end:
        subject.look_again()
        if all(one.health in {"healthy", ""} for one in subject.containers if one.id in ids):
            break
        time.sleep(1)
    begun = time.monotonic()
    status = _until(subject, _OK, _BACK)
    return judge_return(status, time.monotonic() - begun)


def judge_return(status: int, seconds: float) -> Outcome:
    """Judge the answer after the API's containers were back, and how long it took."""
    cure = "inv deploy.logs --svc nginx: does it keep an old address?"
    if status != _OK or seconds > _BACK:
        return failed(f"{status or 'no answer'} after {duration(seconds)}", cure=cure)
    return passed(f"200 after {duration(seconds)}")


@check(
    "END-08",
    "Streams and WebSockets pass as they come",
    "pieces apart, handshake passed on",
    Severity.MINOR,
    envs=("prod",),
    profile="full",
    patience=90.0,
)
def streams_pass(subject: Subject) -> Outcome:
    """Let the model answer in pieces through Nginx, and ask for a WebSocket through it and beside it."""
    subject.running("ollama")
    subject.running("backend")
    address = subject.addresses("nginx", "probe")[0]  # the probe is on both networks, and counted on the other one
    front = f"https://{address}:8443"
    question = {
        "model": subject.settings.variables.LLM_MODEL,
        "stream": True,
        "max_tokens": 40,
        "messages": [{"role": "user", "content": f"Count to thirty. {time.time()}"}],
    }
    stream = {"url": f"{front}/llm/v1/chat/completions", "name": _name(subject), "body": json.dumps(question)}
    sockets = [{"url": f"{place}{_SOCKET}", "name": _name(subject)} for place in (front, "http://backend:8000")]
    told = subject.probe("stream", {"stream": stream, "sockets": sockets}, network="edge,probe", patience=80.0)
    return judge_streams(told["stream"]["status"], told["stream"]["arrivals"], *told["sockets"])


def judge_streams(status: int, arrivals: Sequence[float], through: int, beside: int) -> Outcome:
    """Judge when pieces arrived, in seconds since the question, and a handshake through Nginx and beside it.

    An application that has no such WebSocket says so beside Nginx, too: then nothing is said of WebSockets.
    """
    faults = []
    if status != _OK or len(arrivals) < 2:  # noqa: PLR2004 - fewer are no stream
        faults.append(f"the stream: {status or 'no answer'}, {count(len(arrivals), 'piece')}")
    elif (arrivals[-1] - arrivals[0]) < _SPREAD * arrivals[-1]:
        faults.append("all pieces arrive at the end: somebody buffers them")
    if beside in _SWITCHED and through != beside:
        faults.append(f"a WebSocket is answered with {through or 'nothing'}, and beside Nginx with {beside}")
    socket = f"WebSocket {through}" if beside in _SWITCHED else "the application has no WebSocket at /ws/tenders/"
    figure = f"{count(len(arrivals), 'piece')}; {socket}"
    return judged(faults, figure, cure="proxy_buffering off, Upgrade and Connection: nginx/snippets/proxy.conf.")


def _until(subject: Subject, status: int, seconds: float) -> int:
    """Ask for the readiness page until it answers with a status; give the last one."""
    end = time.monotonic() + seconds
    while True:
        found = int(_ask(subject, [_ready(subject) | {"timeout": 6}], network=_network(subject))[0]["status"])
        if found == status or time.monotonic() > end:
            return found
        time.sleep(0.5)


def _ready(subject: Subject) -> dict[str, Any]:
    """Give the readiness page as users reach it."""
    if subject.environment == "prod":
        return _page(subject, "/health")
    return {"url": f"http://backend:8000{subject.settings.variables.APP_HEALTH_PATH}", "name": _name(subject)}


def _page(subject: Subject, path: str) -> dict[str, Any]:
    """Give a page of Nginx, or one that is named in full."""
    return {
        "url": path if "://" in path else f"https://nginx:8443{path}",
        "name": _name(subject) if "://" not in path else "",
    }


def _name(subject: Subject) -> str:
    return subject.settings.server_names[0] if subject.settings.server_names else "localhost"


def _network(subject: Subject) -> str:
    """Give where to ask from: no limit counts production's probe; development's pages are on several networks."""
    return "probe" if subject.environment == "prod" else "edge,data"


def _ask(subject: Subject, pages: Sequence[Mapping[str, Any]], *, network: str = "edge") -> list[dict[str, Any]]:
    """Ask for pages within the stack."""
    if subject.environment == "prod" and any("nginx:8443" in one["url"] for one in pages):
        subject.running("nginx")
        network = "probe"
    found: list[dict[str, Any]] = subject.probe("ask", [dict(one) for one in pages], network=network)
    return found
