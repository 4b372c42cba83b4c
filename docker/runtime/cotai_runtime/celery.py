"""The application's own Celery app, with a heartbeat file for its worker and its scheduler.

A worker that hangs or has lost its broker stops sending heartbeats, a scheduler that hangs stops ticking, and one that
has lost its broker is asked in vain: the files grow old, and the health check sees it. The application needs no change.

No restart policy restarts what is unhealthy but alive. So each sign of life winds up an alarm; when it goes off, the
process prints where it hangs and ends, and the restart policy does the rest. The alarm needs nothing of Python: it goes
off even where the code that hangs never lets another thread run.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

from celery.app.utils import find_app
from celery.signals import (
    beat_init,
    heartbeat_sent,
    worker_before_create_process,
    worker_ready,
    worker_shutting_down,
)
from celery.worker.state import active_requests
from kombu.exceptions import OperationalError

if TYPE_CHECKING:
    from celery.beat import Service

WORKER_HEARTBEAT = Path("/tmp/celery-worker.heartbeat")  # noqa: S108 - a file of this container alone
BEAT_HEARTBEAT = Path("/tmp/celery-beat.heartbeat")  # noqa: S108

PATIENCE_S = 120
"""Of the alarm: far longer than any restart of a broker."""

LEAVING_S = 10
"""For a worker to say good-bye to its broker and its processes."""

app = find_app(os.environ["CELERY_APP"])
# How long a stop waits for tasks; what is not done by then goes back to its queue. Unset: as long as they take.
WARM_SHUTDOWN_S = float(os.environ.get("CELERY_WARM_SHUTDOWN_S") or 0)


def worker_lives(**_: object) -> None:
    """Note that the worker's event loop runs; Celery sends a heartbeat to its broker every 2 seconds."""
    WORKER_HEARTBEAT.touch()
    faulthandler.dump_traceback_later(PATIENCE_S, file=sys.__stderr__, exit=True)


def worker_leaves(**_: object) -> None:
    """Let a worker that was told to stop finish what it holds, and no longer than it has for that.

    Killed in the end, it would hold its tasks until the broker's visibility timeout; a cold shutdown gives them back at
    once. One that holds nothing is gone in seconds; where its broker went first, as on a host's shutdown, it may hang.
    """
    heartbeat_sent.disconnect(worker_lives)
    faulthandler.cancel_dump_traceback_later()
    if not WARM_SHUTDOWN_S:
        return
    patience = WARM_SHUTDOWN_S if active_requests else 0
    if patience:
        cold = Timer(patience, os.kill, (os.getpid(), signal.SIGQUIT))
        cold.daemon = True
        cold.start()
    faulthandler.dump_traceback_later(patience + LEAVING_S, file=sys.__stderr__, exit=True)


def broker_answers() -> bool:
    """Ask the broker: a scheduler with nothing due would not notice for long that it is gone."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except OperationalError:
        return False
    return True


def watch_scheduler(sender: Service, **_: object) -> None:
    """Note every tick of the scheduler, whichever scheduler the application uses."""
    tick = sender.scheduler.tick

    def tick_and_note() -> float:
        pause: float = tick()
        faulthandler.dump_traceback_later(PATIENCE_S, file=sys.__stderr__, exit=True)
        if broker_answers():
            BEAT_HEARTBEAT.touch()
        return pause

    sender.scheduler.tick = tick_and_note


def share_memory(**_: object) -> None:
    """Keep the garbage collector of a new process off what it shares with this one: each page it touches is copied."""
    gc.freeze()


worker_before_create_process.connect(share_memory)
worker_ready.connect(worker_lives)
heartbeat_sent.connect(worker_lives)
worker_shutting_down.connect(worker_leaves)
beat_init.connect(watch_scheduler)
