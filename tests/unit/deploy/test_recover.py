"""What going back to an earlier release touches."""

from __future__ import annotations

from cotai_tasks.deploy.recover import to_take_back
from tests.unit.deploy.stacks import service, stack


def test_services_that_the_stack_never_had_are_not_started() -> None:
    """Whole groups may have been left out; data and what runs once stay as they are."""
    then = stack(
        service("backend"),
        service("celery-worker"),
        service("postgres", volumes=frozenset({"postgres"})),
        service("migrate", one_shot=True),
        service("llm-service", group="ai"),
        formats={"postgres": "17"},
    )
    assert to_take_back(then, {"backend", "celery-worker", "postgres", "migrate"}) == ["backend", "celery-worker"]
    assert to_take_back(then, set()) == []
