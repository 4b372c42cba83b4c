"""The application's own Celery app, with a heartbeat file for its worker and its scheduler.

A worker that hangs or has lost its broker stops sending heartbeats, and a scheduler that hangs stops ticking: the files
grow old, and the health check sees it. The application needs no change for it.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery.app.utils import find_app
from celery.signals import beat_init, heartbeat_sent, worker_ready

WORKER_HEARTBEAT = Path("/tmp/celery-worker.heartbeat")  # noqa: S108 - a file of this container alone
BEAT_HEARTBEAT = Path("/tmp/celery-beat.heartbeat")  # noqa: S108

app = find_app(os.environ["CELERY_APP"])


@worker_ready.connect
@heartbeat_sent.connect
def worker_lives(**_: Any) -> None:
    """Note that the worker's event loop runs; Celery sends a heartbeat to its broker every 2 seconds."""
    WORKER_HEARTBEAT.touch()


@beat_init.connect
def watch_scheduler(sender: Any, **_: Any) -> None:
    """Note every tick of the scheduler, whichever scheduler the application uses."""
    tick: Callable[..., float] = sender.scheduler.tick

    def tick_and_note(*args: Any, **kwargs: Any) -> float:
        pause = tick(*args, **kwargs)
        BEAT_HEARTBEAT.touch()
        return pause

    sender.scheduler.tick = tick_and_note
