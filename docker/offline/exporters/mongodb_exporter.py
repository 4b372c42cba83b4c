#!/usr/bin/python3
"""Export what a MongoDB server says of itself, under the names of Percona's mongodb_exporter.

MONGODB_URI names the server; MONGODB_USER and MONGODB_PASSWORD (or …_FILE) may be apart from it. Port 9216.
"""

import argparse
import os
import re
import signal
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pymongo import MongoClient
from pymongo.errors import PyMongoError

Document = dict[str, Any]

# Branches of serverStatus whose leaves are one metric, told apart by a label.
LABELLED = {"connections": "conn_type", "opcounters": "legacy_op_type"}


class MongoDB(Collector):
    """One scrape asks the server anew."""

    def __init__(self, client: MongoClient[Document]) -> None:
        """Read from ``client``, which need not be connected yet."""
        self.client = client

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the server, its databases and its replica set; mongodb_up alone when it is down."""
        try:
            metrics = [*self.server(), *self.databases(), *self.replica_set()]
            up = 1
        except PyMongoError:
            metrics, up = [], 0
        yield GaugeMetricFamily("mongodb_up", "Whether the server answers.", value=up)
        yield from metrics

    def server(self) -> Iterator[Metric]:
        """Yield serverStatus as mongodb_ss_*."""
        status = self.client.admin.command("serverStatus")
        for branch, label in LABELLED.items():
            metric = GaugeMetricFamily(f"mongodb_ss_{branch}", f"serverStatus.{branch}", labels=[label])
            for leaf, value in numbers(status.pop(branch, {})):
                metric.add_metric([leaf], value)
            yield metric
        for name, value in numbers(status):
            yield GaugeMetricFamily(f"mongodb_ss_{name}", "A number of serverStatus.", value=value)

    def databases(self) -> Iterable[Metric]:
        """Return dbStats of every database as mongodb_dbstats_*."""
        metrics: dict[str, GaugeMetricFamily] = {}
        for database in self.client.list_database_names():
            for name, value in numbers(self.client[database].command("dbStats")):
                full = f"mongodb_dbstats_{name}"
                metric = metrics.setdefault(full, GaugeMetricFamily(full, f"dbStats.{name}", labels=["database"]))
                metric.add_metric([database], value)
        return metrics.values()

    def replica_set(self) -> Iterator[Metric]:
        """Yield the state of this member, 1 being the primary; nothing outside a replica set."""
        hello = self.client.admin.command("hello")
        if name := hello.get("setName"):
            state = 1 if hello["isWritablePrimary"] else 2
            metric = GaugeMetricFamily("mongodb_mongod_replset_my_state", "The member's state.", labels=["set"])
            metric.add_metric([name], state)
            yield metric


def numbers(document: Document, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number in a nested document with its path as a metric name."""
    for key, value in document.items():
        path = re.sub(r"\W+", "_", f"{prefix}{key}")
        if isinstance(value, dict):
            yield from numbers(value, f"{path}_")
        elif isinstance(value, int | float):
            yield path, float(value)


def main() -> None:
    """Serve /metrics until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="mongodb_exporter", description=__doc__, allow_abbrev=False)
    parser.add_argument("--mongodb.uri", dest="uri", default=os.environ.get("MONGODB_URI"))
    parser.add_argument("--web.listen-address", dest="address", default=":9216")
    options, _ = parser.parse_known_args()  # the other exporter's options choose among what is all collected here
    if not options.uri:
        parser.error("MONGODB_URI is not set")
    file = os.environ.get("MONGODB_PASSWORD_FILE")
    password = Path(file).read_text(encoding="utf-8").strip() if file else os.environ.get("MONGODB_PASSWORD")
    credentials: Document = {"username": os.environ.get("MONGODB_USER"), "password": password}
    client: MongoClient[Document] = MongoClient(
        options.uri,
        serverSelectionTimeoutMS=3000,
        socketTimeoutMS=5000,
        connect=False,
        **{name: value for name, value in credentials.items() if value},
    )
    registry = CollectorRegistry()
    registry.register(MongoDB(client))

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    host, port = options.address.rsplit(":", 1)
    start_http_server(int(port), host or "0.0.0.0", registry)  # noqa: S104 - a container's network decides who gets in
    stop.wait()


if __name__ == "__main__":
    main()
