"""A SeaweedFS of the tests' own, with S3 as its only door."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import boto3

from cotai_tasks.backup.store.s3 import Bucket, Patience, S3Store
from cotai_tasks.envfile import read_env_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from types_boto3_s3 import S3Client

    from cotai_tasks.engine import Engine

IMAGES = Path(__file__).parents[3] / "docker/offline/images.env"
ACCESS_KEY, SECRET_KEY = "cotai", "a-key-of-the-test"
FEW = Patience(attempts=2)
"""For faults that are told at once."""
QUICK = Patience(connect=2.0, read=2.0, attempts=2)
"""For silence, which is waited for."""
_START = 60.0


@dataclass(frozen=True)
class Service:
    """A running service."""

    engine: Engine
    container: str
    endpoint: str
    client: S3Client = field(repr=False)

    def bucket(self, **options: Any) -> str:  # noqa: ANN401 - as create_bucket takes
        """Make a bucket."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name, **options)
        return name

    def store(
        self,
        bucket: str,
        *,
        endpoint: str = "",
        patience: Patience | None = None,
        piece: int = 8 * 2**20,
        max_parts: int = 10_000,
        **options: Any,  # noqa: ANN401 - as Bucket takes
    ) -> S3Store:
        """Give a store in a bucket, below a prefix."""
        login = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY} | options
        where = Bucket(bucket, "some/prefix", endpoint=endpoint or self.endpoint, **login)
        return S3Store(where, patience, piece=piece, max_parts=max_parts)

    def signal(self, name: str) -> None:
        """Send the service a signal: KILL, STOP or CONT."""
        self.engine.command("container", "kill", "--signal", name, self.container)

    def uploads(self, bucket: str) -> list[str]:
        """Name the objects whose uploads are under way, or were forgotten."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


@contextmanager
def service(engine: Engine) -> Iterator[Service]:
    """Start one, and remove it with its data."""
    image = read_env_file(IMAGES, IMAGES.name).values["S3_IMAGE"]
    login = ("--env", f"AWS_ACCESS_KEY_ID={ACCESS_KEY}", "--env", f"AWS_SECRET_ACCESS_KEY={SECRET_KEY}")
    limits = ("--memory", "1g", "--publish", "127.0.0.1::8333")
    name = f"cotai-test-s3-{uuid.uuid4().hex[:8]}"
    volumes = ("-volume.max=2000", "-master.volumeSizeLimitMB=64")  # each bucket takes seven at once
    container = engine.command(
        "run", "--detach", "--name", name, *limits, *login, image, "server", "-s3", *volumes
    ).strip()
    try:
        address = engine.command("port", container, "8333").splitlines()[0].strip()
        endpoint = f"http://{address}"
        _await(endpoint)
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )
        yield Service(engine, container, endpoint, client)
    finally:
        engine.command("rm", "--force", "--volumes", container)


def _await(endpoint: str) -> None:
    end = time.monotonic() + _START
    while True:
        try:
            with urlopen(f"{endpoint}/healthz", timeout=2) as answer:  # noqa: S310 - http, and ours
                answer.read()
        except (URLError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return
