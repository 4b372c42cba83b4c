"""The application's own Celery app, with a heartbeat file for its worker and its scheduler.

A worker that hangs or has lost its broker stops sending heartbeats, and a scheduler that hangs stops ticking: the files
grow old, and the health check sees it. The application needs no change for it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from celery.app.utils import find_app
from celery.signals import beat_init, heartbeat_sent, worker_ready

if TYPE_CHECKING:
    from celery.beat import Service

WORKER_HEARTBEAT = Path("/tmp/celery-worker.heartbeat")  # noqa: S108 - a file of this container alone
BEAT_HEARTBEAT = Path("/tmp/celery-beat.heartbeat")  # noqa: S108

app = find_app(os.environ["CELERY_APP"])


def worker_lives(**_: object) -> None:
    """Note that the worker's event loop runs; Celery sends a heartbeat to its broker every 2 seconds."""
    WORKER_HEARTBEAT.touch()


def watch_scheduler(sender: Service, **_: object) -> None:
    """Note every tick of the scheduler, whichever scheduler the application uses."""
    tick = sender.scheduler.tick

    def tick_and_note() -> float:
        pause: float = tick()
        BEAT_HEARTBEAT.touch()
        return pause

    sender.scheduler.tick = tick_and_note


worker_ready.connect(worker_lives)
heartbeat_sent.connect(worker_lives)
beat_init.connect(watch_scheduler)
