"""Prometheus metrics, right under several Gunicorn workers.

With PROMETHEUS_MULTIPROC_DIR set, all processes count into files of that directory, and whichever process is scraped
answers with the sum.
"""

import os
from pathlib import Path

# Before the client library is imported: it looks for the directory then.
if directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    Path(directory).mkdir(parents=True, exist_ok=True)

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)

router = APIRouter(tags=["metrics"])

REQUESTS = Counter("http_requests_total", "HTTP requests answered.", ["method", "route", "status"])
SECONDS = Histogram("http_request_seconds", "Time to answer an HTTP request.", ["method", "route"])
TENDERS = Counter("tenders_received_total", "Tenders taken in.")


@router.get("/metrics")
def metrics() -> Response:
    """Give the metrics of all workers. Synchronous, and so in a thread: it reads files."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
