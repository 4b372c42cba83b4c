"""What the checks of endpoints decide."""

from __future__ import annotations

import json

import pytest

from cotai_tasks.validate.check import State
from cotai_tasks.validate.groups.endpoints import (
    judge_logins,
    judge_outage,
    judge_readiness,
    judge_redirect,
    judge_return,
    judge_statuses,
    judge_streams,
)

READY = json.dumps({"status": "ready", "dependencies": {"postgres": {}, "redis": {}}})


def test_statuses() -> None:
    """END-01, END-06: another status, no answer, nobody asked."""
    assert judge_statuses({"a": 200, "b": 200}, {200}, "").state == State.PASS
    assert judge_statuses({"a": 500, "b": 0}, {200}, "").evidence == ("a: 500", "b: no answer")
    assert judge_statuses({}, {200}, "").state == State.FAIL


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, READY, State.PASS),
        (200, '{"status": "ready", "dependencies": {"postgres": {}}}', State.FAIL),
        (503, READY, State.FAIL),
        (0, "", State.FAIL),
        (200, "OK", State.WARN),
        (200, '{"ok": true}', State.WARN),
        (200, "[]", State.WARN),
    ],
)
def test_readiness(status: int, body: str, state: State) -> None:
    """END-02: a dependency that is not named, not ready, and a page that names none at all."""
    assert judge_readiness(status, body, ["postgres", "redis"]).state == state


def test_an_outage() -> None:
    """END-03: 200 while a database is gone is a lie; so is no way back."""
    assert judge_outage(503, 200).state == State.PASS
    assert judge_outage(200, 200).evidence == ("200 while PostgreSQL was stopped",)
    assert judge_outage(503, 503).evidence == ("503 a minute after it was back",)


def test_redirects() -> None:
    """END-04: a page without TLS, a way to somewhere else, a path that is lost."""
    assert judge_redirect(308, "https://cotai.example.org/api/x?y=1").state == State.PASS
    assert judge_redirect(200, "").evidence == ("it answers 200", "it leads to nowhere")
    assert judge_redirect(308, "http://cotai.example.org/api/x?y=1").state == State.FAIL
    assert judge_redirect(301, "https://cotai.example.org/").state == State.FAIL


def test_logins() -> None:
    """END-05: open without one, closed with the right one, silent."""
    assert judge_logins({"flower": (401, 200)}).state == State.PASS
    assert judge_logins({"flower": (401, 302)}).state == State.PASS
    assert judge_logins({"flower": (200, 200), "prometheus": (0, 401)}).evidence == (
        "flower: 200 without a login",
        "prometheus: no answer without a login",
        "prometheus: 401 with the right login",
    )


def test_a_return() -> None:
    """END-07: 502 for ever, or too late."""
    assert judge_return(200, 3.0).state == State.PASS
    assert judge_return(502, 15.2).figure == "502 after 15 s"
    assert judge_return(200, 16.0).state == State.FAIL


def test_streams() -> None:
    """END-08: all at the end, too few, an upgrade that is not passed on; an application without a WebSocket."""
    fine = [0.1, 0.5, 1.0]
    assert judge_streams(200, fine, 101, 101).figure == "3 pieces; WebSocket 101"
    assert judge_streams(200, [0.99, 1.0], 403, 403).evidence == (
        "all pieces arrive at the end: somebody buffers them",
    )
    assert judge_streams(502, [], 101, 101).state == State.FAIL
    assert judge_streams(200, fine, 404, 403).evidence == (
        "a WebSocket is answered with 404, and beside Nginx with 403",
    )
    other = judge_streams(200, fine, 404, 404)
    assert (other.state, other.figure) == (State.PASS, "3 pieces; the application has no WebSocket at /ws/tenders/")
