"""Celery tasks: the asynchronous flow, wrapped in retries. Run with `celery -A app.worker:celery_app worker`."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib import import_module
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from celery import Task, signals

from app import drafting, logs
from app.broker import DRAFT_TASK, REQUEUE_TASK, celery_app
from app.errors import TRANSIENT, reason
from app.services import Services, open_services
from app.settings import settings, variable

__all__ = ["backoff", "celery_app", "draft", "requeue_stuck"]

log = logs.get_logger(__name__)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_LONGEST_DELAY_S = 60


@signals.setup_logging.connect
def _configure_logs(**_: object) -> None:
    logs.configure(variable("LOG_LEVEL"))


@signals.worker_process_init.connect
def _configure_traces(**_: object) -> None:
    if variable("OTEL_EXPORTER_OTLP_ENDPOINT"):
        import_module("app.tracing").configure("celery-worker")


@celery_app.task(name=DRAFT_TASK, bind=True, max_retries=None)
def draft(self: "Task[Any, Any]", tender_id: str) -> None:
    """Draft the quotation of one tender; retry what may pass, give up visibly on the rest."""
    tender, retries = UUID(tender_id), settings().draft_retries
    try:
        _run(drafting.draft_quotation, tender, max_attempts=2 * (retries + 1))
    except TRANSIENT as error:
        if self.request.retries >= retries:
            _run(drafting.give_up, tender, f"given up after {retries} retries: {reason(error)}")
            raise
        delay = backoff(self.request.retries)
        log.warning("draft will be retried", tender_id=tender_id, delay_s=round(delay, 1), error=reason(error))
        _tell_retry(tender, reason(error))
        raise self.retry(exc=error, countdown=delay) from error
    except Exception as error:
        _run(drafting.give_up, tender, reason(error))
        raise


@celery_app.task(name=REQUEUE_TASK)
def requeue_stuck() -> int:
    """Queue tenders again whose task was lost: the broker was down or emptied, or the worker was killed."""
    stuck = _run(drafting.claim_stuck, timedelta(seconds=settings().stuck_after_s))
    for tender_id in stuck:
        log.warning("stuck tender queued again", tender_id=str(tender_id))
        draft.delay(str(tender_id))
    return len(stuck)


def backoff(retries: int) -> float:
    """Seconds until the next try: 2, 4, 8 … 60, of which the second half is random, so that no herd comes back."""
    longest = min(2.0 * 2**retries, _LONGEST_DELAY_S)
    return random.uniform(longest / 2, longest)  # noqa: S311 -- spreads load, guards nothing


def _tell_retry(tender: UUID, why: str) -> None:
    """Show the retry; when that is what cannot be reached, the retry itself matters more."""
    try:
        _run(drafting.report_retry, tender, why)
    except TRANSIENT as error:
        log.warning("retry not shown", tender_id=str(tender), error=reason(error))


def _run(
    work: Callable[Concatenate[Services, Arguments], Awaitable[Result]],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Run asynchronous work with services of its own: pools do not survive the fork into a worker's processes."""

    async def with_services() -> Result:
        async with open_services() as services:
            return await work(services, *args, **kwargs)

    try:
        return asyncio.run(with_services())
    finally:
        # The TLS contexts of what was closed hold on to each other: 1.5 MB a task, little in the eyes of the collector.
        gc.collect()
