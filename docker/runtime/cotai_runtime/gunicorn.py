"""Gunicorn's settings for the backend. Each can be overridden on the command line or with GUNICORN_CMD_ARGS."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

bind = "0.0.0.0:8000"
worker_class = "uvicorn_worker.UvicornWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# Heartbeat files on a disk can stall the workers' watchdog.
worker_tmp_dir = "/dev/shm"  # noqa: S108
timeout = 60
# Below the grace period of the container's stop, so that requests in hand are answered.
graceful_timeout = 30
# Above the proxy's own, so that the proxy never sends a request into a connection that is being closed.
keepalive = 75
# The root file system is read-only, and nobody talks to this socket.
control_socket_disable = True


def child_exit(_server: Arbiter, worker: Worker) -> None:
    """Forget the gauges of a worker that is gone, where the application exports Prometheus metrics."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:  # the gateway has one process, which counts for itself
        return
    try:
        from prometheus_client import multiprocess
    except ImportError:
        return
    multiprocess.mark_process_dead(worker.pid)
