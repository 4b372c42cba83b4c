"""What users see, read from Nginx' log, and when it is worse than before."""

from __future__ import annotations

import json

from cotai_tasks.deploy.proxy import open_requests, read_upstreams, upstreams
from cotai_tasks.deploy.users import Seen, read_log, worse
from cotai_tasks.errors import EngineError
from cotai_tasks.places import Place
from cotai_tasks.testing import FakeEngine
from tests.unit.deploy.stacks import stack

# Two connections to 172.18.0.5:8000, one of them closing; one to 172.18.0.6.
CONNECTIONS = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 030012AC:A1B2 050012AC:1F40 01 00000000:00000000 00:00000000 00000000   101        0 1
   1: 030012AC:A1B3 050012AC:1F40 06 00000000:00000000 00:00000000 00000000   101        0 2
   2: 030012AC:A1B4 060012AC:1F41 01 00000000:00000000 00:00000000 00000000   101        0 3
"""


def line(status: int, seconds: float) -> str:
    return json.dumps({"timestamp": "now", "status": status, "request_time": seconds})


def test_the_log_tells_what_users_saw() -> None:
    """A status of 500 and more is a failure, 404 and 429 are answers; other lines are none of it."""
    lines = [line(200, 0.01)] * 94 + [line(404, 0.02), line(429, 0.02), line(502, 0.5), line(503, 0.6)]
    assert read_log([*lines, "2026/11/24 nginx starts", '{"timestamp": "cut']) == Seen(
        requests=98, failed=2, p95_ms=10.0
    )
    assert read_log([]) == Seen()
    assert str(Seen(requests=4202, failed=0, p95_ms=38.2)) == "4,202 requests, 0 failed, p95 38 ms"


def test_a_release_is_worse_when_more_fails_than_before() -> None:
    """Not by one or two of a few, and not where it was as bad before."""
    good, bad = Seen(requests=1000, failed=1), Seen(requests=1000, failed=200)
    assert worse(good, Seen(requests=100, failed=2)) == ""
    assert worse(good, Seen(requests=1000, failed=9)) == ""
    assert worse(good, Seen(requests=100, failed=5)) == "5 of 100 requests failed (5%; before it 0%)"
    assert worse(bad, Seen(requests=100, failed=39)) == ""
    assert worse(bad, Seen(requests=100, failed=41)) == "41 of 100 requests failed (41%; before it 20%)"
    assert worse(Seen(), Seen(requests=4, failed=4)) == "4 of 4 requests failed (100%; before it 0%)"


def test_a_connection_of_nginx_is_a_request_in_hand() -> None:
    """Only those that are open, and only those to the containers that are meant."""
    engine = FakeEngine(answers={"execute": CONNECTIONS.splitlines()})
    assert open_requests({"172.18.0.5"}, stack(), engine) == 1
    assert open_requests({"172.18.0.5", "172.18.0.6"}, stack(), engine) == 2
    assert open_requests({"172.18.0.9"}, stack(), engine) == 0


def test_nginx_is_told_of_slots() -> None:
    """A service without one is asked by its plain name."""
    assert upstreams({"backend": Place("b", "1")}).decode().splitlines()[1:] == [
        'map "" $backend {',
        "    default backend-b;",
        "}",
        'map "" $llm_service {',
        "    default llm-service;",
        "}",
    ]


def test_nginx_is_asked_first_what_it_was_told() -> None:
    """Where it does not run the volume is looked into, which takes longer; and both may have nothing yet."""
    kept = {"proxy/upstreams": {"upstreams.conf": b"kept"}}
    asked = FakeEngine(answers={"execute nginx cat": ["told"]}, folders=kept)
    assert read_upstreams(stack(), asked) == b"told"
    stopped = FakeEngine(errors={"execute nginx": EngineError("it does not run")}, folders=kept)
    assert read_upstreams(stack(), stopped) == b"kept"
    assert read_upstreams(stack(), FakeEngine()) == b""
