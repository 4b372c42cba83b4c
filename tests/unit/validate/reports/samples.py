"""A run of validation that never was: every state, every drawing, and texts that mean harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from cotai_tasks.validate.check import Check, Outcome, Result, Severity, State
from cotai_tasks.validate.reports.document import document
from cotai_tasks.validate.reports.history import remember

if TYPE_CHECKING:
    from collections.abc import Sequence

CANARY = "s3cret/canary+of=a&test"
"""A secret; it is in the evidence of a check, as it is and as URLs and JSON write it."""

HOSTILE = (
    "<script>alert(1)</script> | `code` **bold** [link](javascript:alert(2)) ]]> &amp; \"quoted\" 'too' $x$ </details>",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 bell\x07 null\x00 \u202eturned \ud800",
    "first line\nsecond line\r\n```\n| third",
)

STARTED = datetime(2026, 11, 27, 13, 45, tzinfo=UTC)

SERVICES = ("backend", "celery-worker", "llm-service", "nginx", "postgres", "prometheus")
PORTS = ("backend:8000", "llm-service:8000", "nginx:8443", "postgres:5432", "redis:6379")


def result(name: str, promise: str, state: State, figure: str = "", **more: Any) -> Result:  # noqa: ANN401 - fields of both
    """Make a result; `threshold`, `severity` and `seconds` are the check's, the rest is the outcome's."""
    check = Check(
        name, promise, more.pop("threshold", "0"), more.pop("severity", Severity.BLOCKER), lambda _: Outcome(state)
    )
    seconds = more.pop("seconds", 0.5)
    return Result(check, Outcome(state, figure, more.pop("evidence", ()), more.pop("cure", ""), more), seconds)


def latencies(count: int, fastest: float, slowest: float) -> list[float]:
    """Make so many milliseconds, few of them slow."""
    return [round(fastest + (slowest - fastest) * (index / (count - 1)) ** 8, 2) for index in range(count)]


def results(slower: float = 1.0) -> list[Result]:
    """Give one run in no order; `slower` stretches its times."""
    return [
        result("SEC-01", "No container runs as root", State.PASS, "23 of 23"),
        result(
            *("SEC-03", "Root filesystems refuse a write", State.FAIL, "1 of 23 wrote"),
            threshold="0 written",
            severity=Severity.MAJOR,
            evidence=(*HOSTILE, "docker/compose.prod.yaml:41: read_only is missing"),
            cure="read_only: true <b>now</b>",
        ),
        result(
            *("PERF-01", "The API answers fast through Nginx and TLS", State.PASS, "p95 38 ms, 0 of 500 failed"),
            threshold="p95 < 200 ms, errors < 0.1 %",
            latencies_ms={
                "GET quotations": latencies(500, 6 * slower, 60 * slower),
                "POST tenders": latencies(500, 14 * slower, 150 * slower),
            },
            seconds=12.25,
        ),
        result(
            *("DB-01", "PostgreSQL answers an indexed read at once", State.PASS, "p95 3.1 ms of 200 reads"),
            threshold="p95 < 50 ms",
            latencies_ms=latencies(200, 1.2 * slower, 9 * slower),
            unknown={"kept": [1, None, float("nan")]},
        ),
        result(
            *("RES-02", "No container comes near its memory limit", State.WARN, "worst: celery-worker 86 %"),
            threshold="peak < 80 %",
            severity=Severity.MAJOR,
            evidence=("celery-worker: 441 MB of 512 MB",),
            memory={
                "backend": {"peak": 181e6, "limit": 512e6},
                "celery-worker": {"peak": 441e6, "limit": 512e6},
                "postgres": {"peak": 981e6, "limit": 1024e6},
                "unlimited": {"peak": 5, "limit": 0},
            },
        ),
        result(
            *("NET-01", "Everybody reaches whom he may, and nobody else", State.FAIL, "2 other than declared"),
            threshold="as declared",
            evidence=("nginx → postgres:5432: open, and not allowed", "backend → redis:6379: allowed, but closed"),
            cure="Take it off the network.",
            matrix={
                "rows": SERVICES,
                "columns": PORTS,
                "open": [["nginx", "backend:8000"], ["nginx", "postgres:5432"], ["backend", "postgres:5432"]],
                "allowed": [["nginx", "backend:8000"], ["backend", "postgres:5432"], ["backend", "redis:6379"]],
            },
        ),
        result("HLT-02", "Nothing restarts", State.ERROR, "no end after 60 s", cure="inv monitor.health"),
        result("SEC-09", "No image has a known critical hole", State.SKIP, "no database of vulnerabilities is here"),
        result(
            *("HLT-09", "The clocks agree", State.FAIL, "1.4 s"),
            threshold="skew < 1 s",
            severity=Severity.MINOR,
            evidence=(f"redis://:{CANARY}@redis", "s3cret%2Fcanary%2Bof%3Da%26test"),
        ),
    ]


def made(found: Sequence[Result] | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - what `document` takes
    """Make the document of a run; without results, of those above."""
    given: dict[str, Any] = {
        "env": "prod",
        "profile": "full",
        "stack": "cotai-prod",
        "started": STARTED,
        "seconds": 84.25,
        "secrets": [CANARY],
        "host": {"Engine": "26.1.5", "Processors": 2, "Memory": "25.2 GB"},
    }
    return document(results() if found is None else found, **given | more)


def with_history() -> dict[str, Any]:
    """Make the document of a run that had others before it: all was well then, and faster."""
    runs: list[dict[str, Any]] = []
    for day in range(12, 0, -1):
        well = [one for one in results(0.7 + 0.02 * (day % 5)) if one.state != State.FAIL or day % 5 == 0]
        well += [result("HLT-02", "Nothing restarts", State.PASS)] if day % 5 else []
        unique = {one.check.id: one for one in well}
        unique["SEC-03"] = result("SEC-03", "Root filesystems refuse a write", State.PASS, "0 of 23 wrote")
        runs.append(remember(made(list(unique.values()), started=STARTED - timedelta(days=day))))
    return made(previous=runs)


def parsed(text: str) -> ET.Element:
    """Parse XML of our own."""
    return ET.fromstring(text)  # noqa: S314
