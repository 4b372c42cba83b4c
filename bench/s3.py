"""An S3 service of the bench's own, to which everybody writes."""

from __future__ import annotations

import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3

from cotai_tasks.errors import UnhealthyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.engine import Engine

IMAGE = "cotai-offline/s3:4.48"
LOGIN = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
_CONTAINER = "cotai-bench-s3"
_SERVER = (
    "server", "-dir=/data", "-ip=127.0.0.1", "-ip.bind=0.0.0.0", "-filer", "-s3", "-master.telemetry=false",
    "-master.electionTimeout=1s", "-master.volumeSizeLimitMB=1024", "-volume.max=200", "-volume.preStopSeconds=1",
    "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.port.grpc=19333", "-volume.port.grpc=18080",
    "-filer.port.grpc=18888", "-s3.port.grpc=18333",
)  # fmt: skip
_PATIENCE = 60
"""Seconds for the service to answer."""


@contextmanager
def service(engine: Engine) -> Iterator[str]:
    """Give the address of a SeaweedFS, empty."""
    login = [f"--env={name}={value}" for name, value in LOGIN.items()]
    where = ("--rm", "--name", _CONTAINER, "--publish", "127.0.0.1::8333")
    engine.command("run", "--detach", *where, *login, IMAGE, *_SERVER)
    try:
        endpoint = f"http://{engine.command('port', _CONTAINER, '8333').splitlines()[0]}"
        end = time.monotonic() + _PATIENCE
        while not _answers(endpoint):
            if time.monotonic() > end:
                raise UnhealthyError(f"{_CONTAINER} does not answer", evidence=engine.command("logs", _CONTAINER))
            time.sleep(1)
        yield endpoint
    finally:
        engine.command("rm", "--force", "--volumes", _CONTAINER)


@contextmanager
def bucket(endpoint: str, name: str) -> Iterator[str]:
    """Give an empty bucket, and remove it with what is in it."""
    session = boto3.Session(LOGIN["AWS_ACCESS_KEY_ID"], LOGIN["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    client = session.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=name)
    yield name
    client.delete_bucket(Bucket=name)  # SeaweedFS removes a full one too


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/healthz", timeout=1):  # noqa: S310 - our own
            return True
    except OSError:
        return False
