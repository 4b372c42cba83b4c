"""Tasks: what is retried, what is given up, where they go."""

import asyncio
from collections.abc import Iterator

import pytest

from app import worker
from app.broker import DRAFT_TASK, REQUEUE_TASK, celery_app
from app.llm import LlmRefusedError, LlmUnavailableError
from app.schemas import Status
from app.settings import settings
from tests.fakes import FakeServices
from tests.test_settings import URLS


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch, services: FakeServices) -> Iterator[None]:
    for name, value in (URLS | {"DRAFT_RETRIES": "2"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(worker, "open_services", services.opened)
    monkeypatch.setattr(worker.draft, "store_errors_even_if_ignored", False)  # there is no Redis to store them in
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_unreachable_model_is_retried_then_given_up(services: FakeServices) -> None:
    """Each retry is shown with its reason; after the last the tender has visibly failed."""
    services.llm.error = LlmUnavailableError("no model server answers")
    tender_id = asyncio.run(services.received())

    result = worker.draft.apply(args=[str(tender_id)])

    tender = services.tenders.rows[tender_id]
    assert result.state == "FAILURE"
    assert (tender.status, tender.attempts) == (Status.FAILED, 3)
    assert tender.reason == "given up after 2 retries: no model server answers"
    told = [event.status.value for event in services.progress.events]
    assert told == ["processing", "retrying", "processing", "retrying", "processing", "failed"]


def test_refused_question_is_given_up_at_once(services: FakeServices) -> None:
    """What no retry can cure fails at its first attempt."""
    services.llm.error = LlmRefusedError("LLM gateway answered 400: too long")
    tender_id = asyncio.run(services.received())

    worker.draft.apply(args=[str(tender_id)])

    tender = services.tenders.rows[tender_id]
    assert (tender.status, tender.attempts) == (Status.FAILED, 1)
    assert tender.reason == "LLM gateway answered 400: too long"


@pytest.mark.parametrize(("retries", "longest"), [(0, 2), (1, 4), (4, 32), (5, 60), (50, 60)])
def test_backoff_grows_to_a_minute_and_is_spread(retries: int, longest: float) -> None:
    """Delays double up to a minute, and no two workers come back at the same moment."""
    delays = [worker.backoff(retries) for _ in range(50)]
    assert longest / 2 <= min(delays) < max(delays) <= longest


def test_tasks_go_to_their_queues_and_are_never_lost() -> None:
    """Each kind of work has its queue, and a task outlives the worker that dies with it."""
    conf = celery_app.conf
    assert [(queue.name, queue.routing_key) for queue in conf.task_queues] == [
        ("default", "default"),
        ("ai", "ai"),
        ("maintenance", "maintenance"),
    ]
    assert (conf.task_routes[DRAFT_TASK], conf.task_routes[REQUEUE_TASK]) == ({"queue": "ai"}, {"queue": "maintenance"})
    assert (conf.task_acks_late, conf.worker_prefetch_multiplier) == (True, 1)
    assert conf.broker_transport_options["visibility_timeout"] > conf.task_time_limit + 60
    assert {entry["task"] for entry in conf.beat_schedule.values()} <= set(celery_app.tasks)
