"""What the checks of the way in decide."""

from __future__ import annotations

from typing import Any

import pytest

from cotai_tasks.validate.check import State
from cotai_tasks.validate.groups.edge import (
    API_POLICY,
    HEADERS,
    judge_certificate,
    judge_headers,
    judge_limits,
    judge_logins,
)
from tests.unit.security.chains import NOW, make


def test_certificates() -> None:
    """SEC-12: one that ends soon, one for another name; a wildcard serves."""
    fine = make("cotai.example.org", names=["cotai.example.org"]).pem.decode()
    assert judge_certificate(fine, "cotai.example.org", NOW).state == State.PASS
    soon = make("cotai.example.org", names=["cotai.example.org"], days=(-70, 19)).pem.decode()
    assert judge_certificate(soon, "cotai.example.org", NOW).evidence == ("it ends on 2026-06-20",)
    assert judge_certificate(fine, "shop.example.org", NOW).evidence == (
        "it is for cotai.example.org, not for shop.example.org",
    )
    wild = make("example.org", names=["*.example.org"]).pem.decode()
    assert judge_certificate(wild, "shop.example.org", NOW).state == State.PASS


def answer(status: int, policy: str = API_POLICY, **changes: str) -> dict[str, Any]:
    return {"status": status, "headers": HEADERS | {"content-security-policy": policy, "server": "nginx"} | changes}


def test_headers() -> None:
    """SEC-13: one that is missing, another value, a version told, an error without them, no error seen."""
    fine = {"/api/x": answer(404), "/": answer(200, "default-src 'self'; frame-ancestors 'none'")}
    assert judge_headers(fine).state == State.PASS
    assert judge_headers(fine | {"/health": answer(200, "default-src 'self'")}).evidence == (
        "/health (200): content-security-policy: default-src 'self'",
    )
    without = answer(502)
    del without["headers"]["x-frame-options"]
    assert (
        judge_headers(fine | {"/monitoring/": without | {"headers": without["headers"]}}).evidence
        == (
            "/monitoring/ (502): x-frame-options: missing",
            f"/monitoring/ (502): content-security-policy: {API_POLICY}",
        )[:1]
    )
    told = judge_headers(fine | {"/health": answer(200, server="nginx/1.26.3")})
    assert told.evidence == ("/health: the server tells its version: nginx/1.26.3",)
    assert judge_headers({"/health": answer(200)}).evidence == ("no error was seen: nothing is proved for them",)
    assert judge_headers(fine | {"/health": {"status": 0, "headers": {}, "fault": "refused"}}).state == State.FAIL


@pytest.mark.parametrize(
    ("burst", "steady", "state"),
    [
        ([404] * 40 + [429] * 20, [404] * 20, State.PASS),
        ([404] * 60, [404] * 20, State.FAIL),
        ([404] * 40 + [429] * 20, [404] * 19 + [429], State.FAIL),
        ([404] * 40 + [429] * 20, [404] * 19 + [0], State.FAIL),
        ([], [], State.FAIL),
    ],
)
def test_limits(burst: list[int], steady: list[int], state: State) -> None:
    """SEC-14: no brake, a brake for everybody, no answer."""
    assert judge_limits(burst, steady).state == state


def test_logins() -> None:
    """SEC-15: one that gets in; a right one that does not, which would prove nothing."""
    assert judge_logins({"/metrics/ admin:admin": 401}, {"/metrics/": 200}).state == State.PASS
    assert judge_logins({"/metrics/ admin:admin": 200}, {"/metrics/": 200}).evidence == ("/metrics/ admin:admin: 200",)
    assert judge_logins({"/metrics/ admin:admin": 401}, {"/metrics/": 401}).state == State.FAIL
    assert judge_logins({}, {}).state == State.FAIL
