#!/usr/bin/python3
"""Export Celery's events and the lengths of its Redis queues, under the names of danihodovic/celery-exporter.

CE_BROKER_URL names the broker, or CE_BROKER_URL_FILE a file that does; CE_QUEUES the queues to show before a worker has
named any (comma-separated). Workers must send events: `celery worker --task-events`. Port 9808.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from celery import Celery
from kombu.exceptions import KombuError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery.events import EventReceiver
    from prometheus_client.core import Metric

Event = dict[str, Any]

log = logging.getLogger("celery-exporter")

LABELS = ["name", "hostname", "queue_name"]
EVENTS = ("sent", "received", "started", "succeeded", "failed", "rejected", "revoked", "retried")

# Workers send a heartbeat every 2 seconds; the usual exporter too waits 5 minutes before it calls one gone.
WORKER_TIMEOUT = 300
RETRY_SECONDS = 5

BROKER_ERRORS = (OSError, KombuError, RedisError)


class Tasks:
    """What the events of tasks and workers add up to."""

    def __init__(self, app: Celery, registry: CollectorRegistry) -> None:
        """Register the metrics; ``app`` needs no tasks, only the broker."""
        self.app = app
        self.state: Any = app.events.State()
        self.counters = {
            event: Counter(
                f"celery_task_{event}",
                f"Tasks {event}.",
                [*LABELS, "exception"] if event in {"failed", "retried"} else LABELS,
                registry=registry,
            )
            for event in EVENTS
        }
        self.runtime = Histogram("celery_task_runtime", "Seconds that tasks ran.", LABELS, registry=registry)
        self.up = Gauge("celery_worker_up", "Whether a worker is up.", ["hostname"], registry=registry)
        self.active = Gauge("celery_worker_tasks_active", "Tasks in work.", ["hostname"], registry=registry)
        self.last_seen: dict[str, float] = {}

    def listen(self) -> NoReturn:
        """Take events for as long as the process lives, over every loss of the broker."""
        while True:
            try:
                with self.app.connection() as connection:
                    handlers = {"*": self.take}
                    receiver: EventReceiver = self.app.events.Receiver(connection, handlers=handlers)
                    receiver.capture(limit=None, timeout=None, wakeup=True)
            except BROKER_ERRORS as error:
                log.warning("no events from the broker, next try in %s s: %s", RETRY_SECONDS, error)
            time.sleep(RETRY_SECONDS)

    def take(self, event: Event) -> None:
        """Count one event."""
        self.state.event(event)
        kind, action = event["type"].split("-", 1)
        if kind == "worker":
            self.take_worker(event, action)
        elif kind == "task" and action in self.counters:
            self.take_task(event, action)

    def take_worker(self, event: Event, action: str) -> None:
        """Note that a worker lives, or that it said good-bye."""
        hostname = event["hostname"]
        if action == "offline":
            self.last_seen.pop(hostname, None)
            self.up.labels(hostname).set(0)
            self.active.labels(hostname).set(0)
            return
        self.last_seen[hostname] = time.monotonic()
        self.up.labels(hostname).set(1)
        self.active.labels(hostname).set(event.get("active", 0))

    def take_task(self, event: Event, action: str) -> None:
        """Count a task's event; the later events of a task carry only its id, so the state knows the rest."""
        task = self.state.tasks[event["uuid"]]
        labels = [task.name or "unknown", event["hostname"], task.routing_key or "celery"]
        if action in {"failed", "retried"}:
            exception = str(event.get("exception", "")).split("(", 1)[0]
            self.counters[action].labels(*labels, exception).inc()
        else:
            self.counters[action].labels(*labels).inc()
        if action == "succeeded":
            self.runtime.labels(*labels).observe(event["runtime"])

    def forget_silent_workers(self) -> None:
        """Call a worker down that has sent nothing for WORKER_TIMEOUT seconds."""
        now = time.monotonic()
        for hostname in [name for name, seen in self.last_seen.items() if now - seen > WORKER_TIMEOUT]:
            self.take_worker({"hostname": hostname}, "offline")


class Queues(Collector):
    """The lengths of the queues, asked anew by every scrape."""

    def __init__(self, app: Celery, tasks: Tasks, queues: set[str]) -> None:
        """Show ``queues`` from the start, and all that a worker names."""
        self.app = app
        self.tasks = tasks
        self.queues = queues

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; of the queues none while the broker is away."""
        self.tasks.forget_silent_workers()
        workers = GaugeMetricFamily("celery_active_worker_count", "Workers per queue.", labels=["queue_name"])
        length = GaugeMetricFamily("celery_queue_length", "Messages in a queue.", labels=["queue_name"])
        try:
            consumers = self.consumers()
            with self.app.connection_for_read() as connection:
                redis: Any = connection.default_channel
                for queue in sorted(self.queues):
                    length.add_metric([queue], redis.client.llen(queue))
        except BROKER_ERRORS as error:
            log.warning("the broker does not answer: %s", error)
        else:
            for queue in sorted(self.queues):
                workers.add_metric([queue], consumers.get(queue, 0))
        yield length
        yield workers

    def consumers(self) -> dict[str, int]:
        """Return how many workers take from each queue, and learn the names of the queues."""
        counts: dict[str, int] = {}
        for queues in (self.app.control.inspect(timeout=0.5).active_queues() or {}).values():
            for queue in queues:
                counts[queue["name"]] = counts.get(queue["name"], 0) + 1
        self.queues |= counts.keys()
        return counts


def broker_url() -> str:
    """Return the broker's URL from the environment or from the file that it names."""
    file = os.environ.get("CE_BROKER_URL_FILE")
    return Path(file).read_text(encoding="utf-8").strip() if file else os.environ.get("CE_BROKER_URL", "")


def main() -> None:
    """Serve /metrics and take events until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="celery-exporter", description=__doc__, allow_abbrev=False)
    parser.add_argument("--broker-url", default=broker_url())
    parser.add_argument("--port", type=int, default=int(os.environ.get("CE_PORT", "9808")))
    parser.add_argument("--queues", default=os.environ.get("CE_QUEUES", ""))
    options, _ = parser.parse_known_args()
    if not options.broker_url:
        parser.error("CE_BROKER_URL is not set")

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    app = Celery(broker=options.broker_url)
    app.conf.broker_transport_options = {"socket_timeout": 5, "socket_connect_timeout": 5}
    registry = CollectorRegistry()
    tasks = Tasks(app, registry)
    registry.register(Queues(app, tasks, set(filter(None, options.queues.split(",")))))

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    start_http_server(options.port, registry=registry)
    tasks.listen()


if __name__ == "__main__":
    main()
