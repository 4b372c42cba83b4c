"""What the checks of resources decide, and how the engine's counters are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cotai_tasks.testing import FakeEngine
from cotai_tasks.validate.check import State
from cotai_tasks.validate.groups.resources import (
    judge_disk,
    judge_limits,
    judge_logs,
    judge_peaks,
    judge_sum,
    judge_throttling,
)
from cotai_tasks.validate.strain import Strain, Watched, measure, read_strain

MB, GB = 10**6, 10**9


def inspected(name: str = "web-1", **host: Any) -> dict[str, Any]:  # noqa: ANN401 - any key of HostConfig
    limits = {"Memory": 64 * MB, "NanoCpus": 500_000_000, "CpuQuota": 0, "PidsLimit": 100}
    log = {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}}
    return {"Name": f"/{name}", "HostConfig": limits | log | host}


@pytest.mark.parametrize(
    ("one", "faults"),
    [
        (inspected(), ()),
        (inspected(NanoCpus=0, CpuQuota=50_000), ()),
        (inspected(Memory=0), ("web-1: no limit of memory",)),
        (inspected(NanoCpus=0), ("web-1: no limit of processors",)),
        (inspected(PidsLimit=None), ("web-1: no limit of processes",)),
        (inspected(Memory=0, PidsLimit=-1), ("web-1: no limit of memory, processes",)),
    ],
)
def test_limits(one: dict[str, Any], faults: tuple[str, ...]) -> None:
    """RES-01: each limit that lacks; nothing looked at."""
    assert judge_limits([one]).evidence == faults
    assert judge_limits([]).state == State.FAIL


@pytest.mark.parametrize(
    ("peak", "faults"),
    [
        (79 * MB, ()),
        (80 * MB, ("web-1: 80 MB of 100 MB (80%)",)),
        (95 * MB, ("web-1: 95 MB of 100 MB (95%), about to be killed",)),
    ],
)
def test_peaks(peak: int, faults: tuple[str, ...]) -> None:
    """RES-02: near its limit, and about to be killed."""
    memory = {"web-1": {"peak": peak, "limit": 100 * MB}, "db-1": {"peak": MB, "limit": 100 * MB}}
    outcome = judge_peaks(memory, {"GET /health 200": 900}, 40)
    assert (outcome.state, outcome.evidence) == (State.FAIL if faults else State.PASS, faults)
    assert outcome.data["memory"] == memory


@pytest.mark.parametrize("statuses", [{}, {"GET /health 0": 50}, {"GET /health 502": 50}])
def test_a_load_that_nobody_bore(statuses: dict[str, int]) -> None:
    """RES-02: memory without a load proves nothing."""
    assert judge_peaks({"web-1": {"peak": MB, "limit": 100 * MB}}, statuses, 40).state == State.FAIL


def test_the_sum_of_limits() -> None:
    """RES-03: more than nine tenths of the host; one without a limit; nothing looked at."""
    assert judge_sum({"web-1": 9 * GB}, 10 * GB).figure == "9.00 GB of 10.00 GB (90%)"
    assert judge_sum({"web-1": 9 * GB, "db-1": GB}, 10 * GB).evidence == ("web-1: 9.00 GB", "db-1: 1.00 GB")
    assert judge_sum({"web-1": 0}, GB).evidence == ("web-1: has no limit",)
    assert judge_sum({}, GB).state == State.FAIL


def test_throttling() -> None:
    """RES-04: a quarter of the time is too much; nothing measured."""
    assert judge_throttling({"web-1": 0.249, "db-1": 0.0}).figure == "highest 25% (web-1)"
    assert judge_throttling({"web-1": 0.25}).evidence == ("web-1: 25%",)
    assert judge_throttling({}).state == State.FAIL


@pytest.mark.parametrize(
    ("log", "faults"),
    [
        ({"Type": "local", "Config": {}}, ()),
        ({"Type": "json-file", "Config": {"max-size": "10m"}}, ("web-1: its log (json-file) grows without end",)),
        ({"Type": "json-file", "Config": None}, ("web-1: its log (json-file) grows without end",)),
    ],
)
def test_rotation(log: dict[str, Any], faults: tuple[str, ...]) -> None:
    """RES-05: a log without a size or a number of files; nothing looked at."""
    assert judge_logs([inspected(LogConfig=log), inspected("db-1")]).evidence == faults
    assert judge_logs([]).state == State.FAIL


def test_the_disk() -> None:
    """RES-06: full of bytes, full of inodes; a file system that counts none."""
    assert judge_disk({"bytes": [16 * GB, 100 * GB], "inodes": [0, 0]}).figure == "16.00 GB of 100.00 GB free (16%)"
    assert judge_disk({"bytes": [15 * GB, 100 * GB], "inodes": [1, 2]}).evidence == ("bytes: 15% free",)
    assert judge_disk({"bytes": [50 * GB, 100 * GB], "inodes": [1, 100]}).evidence == ("inodes: 1% free",)


V1 = {
    "memory_stats": {
        "usage": 100,
        "limit": 200,
        "stats": {"active_file": 1, "total_active_file": 10, "inactive_file": 2, "total_inactive_file": 30},
    },
    "cpu_stats": {"throttling_data": {"periods": 8, "throttled_periods": 2}},
    "pids_stats": {"current": 3},
}
V2 = {"memory_stats": {"usage": 100, "limit": 200, "stats": {"active_file": 10, "inactive_file": 30}}}


def test_counters() -> None:
    """The cache of files is no memory in use, under either version of control groups; what has gone uses nothing."""
    assert read_strain(V1) == Strain(memory=60, limit=200, periods=8, throttled=2, pids=3)
    assert read_strain(V2) == Strain(memory=60, limit=200)
    assert read_strain({}) == Strain(memory=0, limit=0)


def test_the_engine_is_asked_once_for_all() -> None:
    """Answers come one after the other, in pieces too; a container that has gone is left out."""
    text = json.dumps(V1)
    half = len(text) // 2
    pieces = f"{half:x}\r\n{text[:half]}\r\n{len(text) - half:x}\r\n{text[half:]}\r\n0\r\n\r\n"
    engine = FakeEngine(
        streams={
            "system dial-stdio": (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 15\r\n\r\n" + '{"message": ""}'
                f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{pieces}"
                f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}"
            ).encode()
        }
    )
    assert measure(engine, ["gone", "web", "db"]) == {"web": read_strain(V1), "db": read_strain(V1)}
    requests = engine.fed[0].decode().split("\r\n\r\n")
    assert [one.partition("?")[0] for one in requests[:3]] == [
        f"GET /v1.44/containers/{name}/stats" for name in ("gone", "web", "db")
    ]
    assert requests[2].endswith("Connection: close")
    assert measure(engine, []) == {}


def test_watching() -> None:
    """Peaks are those of all looks, throttling is that between the first and the last."""
    watched = Watched()
    for memory, periods, throttled in ((50, 100, 90), (70, 110, 91), (60, 120, 95)):
        watched.add({"web": Strain(memory, 100, periods, throttled)})
    assert (watched.peaks["web"], watched.throttling("web"), watched.looks) == (70, 0.25, 3)
    assert watched.throttling("gone") == 0
