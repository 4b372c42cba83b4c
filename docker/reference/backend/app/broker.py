"""The Celery application: its queues, its promises about tasks, its schedule. The tasks are in `worker`."""

import asyncio
from typing import Any
from uuid import UUID

from celery import Celery, signals
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError
from redis.asyncio import Redis

from app.logs import REQUEST_ID, bind_request_id, current_request_id, get_logger
from app.settings import settings

log = get_logger(__name__)

DRAFT_TASK = "tenders.draft"
REQUEUE_TASK = "tenders.requeue_stuck"
TASK_LIMIT_S = 900

celery_app = Celery("cotai")


def _configuration() -> dict[str, Any]:
    return {
        "broker_url": settings().celery_broker_url,
        "result_backend": settings().celery_result_backend,
        "broker_connection_retry_on_startup": True,
        # One queue per kind of work, so that a crowd of slow drafts never delays maintenance.
        "task_queues": [Queue(name, Exchange(name), routing_key=name) for name in ("default", "ai", "maintenance")],
        "task_default_queue": "default",
        "task_routes": {DRAFT_TASK: {"queue": "ai"}, REQUEUE_TASK: {"queue": "maintenance"}},
        # A task leaves the broker when it is done, not when it starts: a worker that dies loses nothing.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        # Redis delivers a task again that was not acknowledged for this long: longer than any task and its retry delay.
        "broker_transport_options": {
            "visibility_timeout": 2 * TASK_LIMIT_S,
            "socket_connect_timeout": 2,
            "socket_timeout": 10,
        },
        "task_time_limit": TASK_LIMIT_S,
        "task_soft_time_limit": TASK_LIMIT_S - 30,
        # The tender's row is the result; of tasks only the errors are kept.
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": True,
        "result_expires": 86_400,
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0.2},
        # Events for Flower and for the Celery exporter.
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "worker_hijack_root_logger": False,
        "beat_schedule": {
            "requeue-stuck-tenders": {"task": REQUEUE_TASK, "schedule": 60, "options": {"expires": 50}},
        },
    }


celery_app.add_defaults(_configuration)


@signals.before_task_publish.connect
def _send_request_id(headers: dict[str, Any], **_: object) -> None:
    headers.setdefault(REQUEST_ID, current_request_id())


@signals.task_prerun.connect
def _receive_request_id(task: Any, **_: object) -> None:  # noqa: ANN401 -- Celery is untyped
    bind_request_id((task.request.headers or {}).get(REQUEST_ID))


class Broker:
    """The way from the API to the workers."""

    def __init__(self, redis: Redis) -> None:
        """Use the client's pool for health checks; Celery keeps connections of its own."""
        self._redis = redis

    async def enqueue_draft(self, tender_id: UUID) -> bool:
        """Queue the draft of a tender; False when the broker cannot take it now.

        That is no error of the request: the tender is stored, and the maintenance task queues what was left behind.
        """
        try:
            # Without `ignore_result` a task sent by name costs this process a subscription that nobody reads.
            await asyncio.to_thread(celery_app.send_task, DRAFT_TASK, args=[str(tender_id)], ignore_result=True)
        except OperationalError as error:
            log.warning("tender not queued", tender_id=str(tender_id), error=str(error))
            return False
        return True

    async def ping(self) -> None:
        """Ask the broker for an answer."""
        await self._redis.ping()
