"""What the parts of the bench decide on plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import backup, deploys, images, latencies, serving
from bench.cost import Cost
from bench.figures import CATALOGUE, of_part
from cotai_tasks.errors import UnhealthyError

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20


def test_our_backups_are_set_beside_the_others() -> None:
    """Rates of the same level beside one another, the most memory of all; a way that was not taken says why."""
    runs = {
        "ours 1": backup.Runs((Cost(2, 90 * MIB),), (Cost(1, 70 * MIB),)),
        "ours 3": backup.Runs((Cost(4, 80 * MIB),), (Cost(2, 75 * MIB),)),
        "shell 1": backup.Runs((Cost(2.5, MIB),), (Cost(1, MIB),)),
        "shell 3": backup.Runs((Cost(5, MIB),), (Cost(4, MIB),)),
    }
    found = backup.figures(runs, {"restic": "restic missing"}, 10**9 / 2**30)
    assert [(one.what, one.value, one.peer_value, one.note) for one in found] == [
        (CATALOGUE[name].what, value, peer, note)
        for name, value, peer, note in (
            ("create-1", 500, 400, ""),
            ("create-3", 250, 200, ""),
            ("create-restic", 250, None, "restic missing"),
            ("create-memory", 90, None, "restic missing"),
            ("restore-3", 500, 250, ""),
            ("restore-restic", 500, None, "restic missing"),
            ("restore-memory", 75, None, "restic missing"),
        )
    ]


def test_latencies_come_from_the_document_of_a_validation() -> None:
    """The API beside itself without Nginx; what a check could not measure with its own reason."""
    document = {
        "checks": [
            {"id": "PERF-02", "state": "pass", "figure": "", "data": {"latencies_ms": {"a": [30, 30], "b": [20, 20]}}},
            {"id": "DB-01", "state": "pass", "figure": "", "data": {"latencies_ms": {"read": [1.5, 1.5]}}},
            {"id": "PERF-04", "state": "fail", "figure": "3 of 10 answers never began", "data": {}},
        ]
    }
    found = {one.what: one for one in latencies.read(document)}
    assert [*found] == [CATALOGUE[name].what for name in of_part("latencies")]
    told = {name: found[CATALOGUE[name].what] for name in ("api-p95", "postgres-read", "first-word", "redis-pair")}
    assert [(name, one.value, one.peer_value, one.note) for name, one in told.items()] == [
        ("api-p95", 30, 20, ""),
        ("postgres-read", 1.5, None, ""),
        ("first-word", None, None, "PERF-04 fail: 3 of 10 answers never began"),
        ("redis-pair", None, None, "there is no DB-06"),
    ]


def test_failed_requests_are_all_but_those_with_200() -> None:
    """A refused connection is one."""
    assert deploys.failed({"codes": {"200": 500, "502": 3, "ConnectionRefusedError": 4}}) == 7


def test_a_step_is_known_by_its_words() -> None:
    """Its name may begin with the services of that release."""
    steps = {"backend, llm-service beside the old ones": 11.0, "nginx asks the new ones": 2.6}
    assert deploys.step(steps, "beside the old ones") == 11.0


def test_an_unanswered_request_is_no_fast_one() -> None:
    """The percentile is of a stack that answered all."""
    assert serving.p95([0.02] * 100) == pytest.approx(20)
    with pytest.raises(UnhealthyError, match=r"1 of 3 requests failed"):
        serving.p95([0.02, -1.0, 0.02])


LOCK = """hashed==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via something
other==2.0 ; sys_platform == 'win32'
"""


def test_a_package_is_added_as_the_lock_file_has_it(tmp_path: Path) -> None:
    """With its hashes, below a mark that no cache knows; a change of code is one line of the module."""
    (tmp_path / "requirements.txt").write_text("a==1\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/main.py").write_text("app = 1\n")
    pin = images.pin(LOCK, "hashed")
    for change in ("nothing", "code", "dependency"):
        images.apply(change, tmp_path, "app.main:app", "mark", pin)
    assert (tmp_path / "app/main.py").read_text() == "app = 1\n\n# mark\n"
    assert (tmp_path / "requirements.txt").read_text() == (
        "a==1\n\n# mark\nhashed==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    )
    with pytest.raises(LookupError):
        images.pin(LOCK, "other")
