"""The record of releases at the engine, and the audit log that nobody changes unseen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cotai_tasks.deploy.changes import Change
from cotai_tasks.deploy.release import Records, Release, new_id, require_finished, unfinished, verify
from cotai_tasks.errors import IntegrityError, PreflightError, UsageError
from cotai_tasks.facts import Image
from cotai_tasks.testing import FakeEngine
from tests.unit.deploy.stacks import service, stack

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STACK = stack(service("backend", image="cotai/production:1"), variables={"COTAI_REPOSITORY": "cotai"})


def release(number: int, **changes: Any) -> Release:  # noqa: ANN401 - any field of a release
    fields: dict[str, Any] = {
        "id": f"20260102T0304{number:02}Z-abcdef",
        "stack": "cotai-dev",
        "begun": NOW,
        "by": "somebody@somewhere",
        "changes": (Change(service="backend", how="roll", reasons=("its image has changed",)),),
        "images": {"backend": f"sha256:{number}"},
    }
    return Release(**fields | changes)


def deployed(engine: FakeEngine, number: int, outcome: str = "live") -> Records:
    records = Records.read(STACK, engine)
    records.begin(release(number), b"{}", b"before")
    records.end(release(number, outcome=outcome, ended=NOW))
    return Records.read(STACK, engine)


def test_ids_sort_by_time() -> None:
    """The newest is the last."""
    assert new_id(NOW).startswith("20260102T030405Z-")


def test_a_release_is_known_before_anything_is_done() -> None:
    """With what it is made from; a volume says that it is under way."""
    engine = FakeEngine()
    Records.read(STACK, engine).begin(release(1), b'{"services": {}}', b"before")
    found = Records.read(STACK, engine)
    assert found.frozen(found.releases[release(1).id]) == (b'{"services": {}}', b"before")
    assert engine.calls[-1] == ("volume", "create", "--label", f"cotai.release={release(1).id}", "cotai-dev-deploy")


def test_one_release_serves() -> None:
    """The one before is then replaced; one that failed replaces nothing."""
    engine = FakeEngine()
    deployed(engine, 1)
    deployed(engine, 2)
    records = deployed(engine, 3, "failed")
    assert [one.outcome for one in records.releases.values()] == ["failed", "live", "replaced"]
    assert records.live == records.find("20260102T030402")
    assert engine.calls[-1] == ("volume", "rm", "--force", "cotai-dev-deploy", "cotai-dev-deploy-no-way-back")


def test_the_images_of_a_release_stay_as_long_as_its_record() -> None:
    """Ten of them; what is older goes, but for its line in the audit log."""
    tags = [f"cotai/production:release-20260102t0304{number:02}z-abcdef" for number in range(12)]
    engine = FakeEngine(found_images={one: Image("x", (one,), 0, "") for one in tags})
    for number in range(12):
        records = deployed(engine, number)
    assert len(records.releases) == 10
    assert len(records.log) == 12
    assert ("image", "tag", "sha256:11", tags[11]) in engine.calls
    assert [call for call in engine.calls if call[:2] == ("image", "rm")] == [
        ("image", "rm", "--force", tags[0]),
        ("image", "rm", "--force", tags[1]),
    ]


def test_a_release_is_found_by_the_beginning_of_its_id() -> None:
    """If it is the only one."""
    engine = FakeEngine()
    deployed(engine, 1)
    records = deployed(engine, 2)
    for text in ("", "2026", "x"):
        with pytest.raises(UsageError):
            records.find(text)


def test_a_changed_line_of_the_audit_log_is_found() -> None:
    """And one that was left out; and the first that was is named."""
    engine = FakeEngine()
    for number in (1, 2, 3):
        log = deployed(engine, number).log
    verify(log)
    verify([])
    for changed in ([log[0].replace("somebody", "nobody"), *log[1:]], [log[0], log[2]], log[1:]):
        with pytest.raises(IntegrityError, match=r"before its line [12]"):
            verify(changed)


def test_a_deploy_that_was_interrupted_is_told() -> None:
    """By the volume that it left."""
    engine = FakeEngine(found_volumes={"cotai-dev-deploy": {"cotai.release": "one"}})
    assert unfinished(STACK, engine) == "one"
    with pytest.raises(PreflightError, match="one was interrupted"):
        require_finished(STACK, engine)
