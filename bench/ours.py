"""Our own pipeline as a command: `create` reads a file through a pipe, `restore` writes it to standard output."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotai_tasks.age import read_identities, read_recipients
from cotai_tasks.backup.components.base import Dump
from cotai_tasks.backup.manifest import Stream
from cotai_tasks.backup.pipeline import load_stream, store_stream
from cotai_tasks.backup.store.s3 import Bucket, S3Store
from cotai_tasks.process import Piped

if TYPE_CHECKING:
    from collections.abc import Iterator


class _File(Piped):
    """A file whose bytes come through a pipe, as those of a dump do."""

    def finish(self) -> Any:  # noqa: ANN401 - facts, as a source gives them
        super().finish()
        return {}


@contextmanager
def _source() -> Iterator[Any]:
    with _File(["cat", os.environ["SOURCE"]], os.environ, "cat") as piped:
        yield piped


def _store() -> S3Store:
    bucket = Bucket(
        os.environ["BUCKET"],
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        path_style=True,
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    return S3Store(bucket)


def _told(_plain: int, _stored: int) -> None:
    """Show nobody how far it is."""


def _create(level: int, record: Path) -> None:
    recipients = [*read_recipients([os.environ["RECIPIENT"]], Path()).values()]
    stream = store_stream(
        Dump("postgres", "rows", "pg_dump", 1, _source),
        lambda piece: f"bench/data/rows.{piece}.zst.age",
        store=_store(),
        recipients=recipients,
        level=level,
        progress=_told,
    )
    record.write_text(stream.model_dump_json())


def _restore(record: Path) -> None:
    stream = Stream.model_validate_json(record.read_text())
    identities = read_identities(os.environ["IDENTITY"], str)
    out = os.fdopen(sys.stdout.fileno(), "wb", buffering=0, closefd=False)
    load_stream(stream, out.write, store=_store(), identities=identities, progress=_told)


if __name__ == "__main__":
    folder = Path(os.environ["FOLDER"], "ours.json")
    if sys.argv[1] == "create":
        _create(int(sys.argv[2]), folder)
    else:
        _restore(folder)
