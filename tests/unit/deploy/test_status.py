"""What is known of one container, put together."""

from __future__ import annotations

from datetime import UTC, datetime

from cotai_tasks.deploy.status import ServiceStatus, StackStatus, describe
from cotai_tasks.facts import Usage
from cotai_tasks.testing import container

NOW = datetime(2026, 1, 1, 1, 0, 0, tzinfo=UTC)


def test_a_running_container_is_described_with_its_use() -> None:
    """Uptime in seconds, memory in bytes, the health as the state."""
    one = container("api", ports=("127.0.0.1:8000",), restarts=1)
    assert describe(one, {"id-api": Usage(2.5, 1000)}, set(), NOW) == ServiceStatus(
        service="api",
        container="cotai-dev-api-1",
        state="healthy",
        ok=True,
        exit_code=0,
        uptime=3600,
        restarts=1,
        cpu=2.5,
        memory=1000,
        memory_limit=256 * 2**20,
        ports=("127.0.0.1:8000",),
    )


def test_a_one_shot_that_exited_well_is_done_and_a_service_that_exited_is_not() -> None:
    """The same exit code means success for one and trouble for the other."""
    exited = [container(name, state="exited", health="") for name in ("migrate", "api")]
    assert [(one.state, one.ok) for one in (describe(each, {}, {"migrate"}, NOW) for each in exited)] == [
        ("done", True),
        ("exited", False),
    ]


def test_an_empty_stack_is_not_well() -> None:
    """A stack of which nothing runs is never reported as healthy."""
    assert not StackStatus("cotai-dev", "upstream", ()).ok
