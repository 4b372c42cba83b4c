"""Dumps taken without a store: what a component gives, held in memory and given back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cotai_tasks.backup.manifest import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from cotai_tasks.backup.components.base import Component, Dump, Feed, Site

PIECE = 2**16


@dataclass(frozen=True)
class Kept:
    """One stream and its bytes."""

    stream: Stream
    data: bytes

    @property
    def feed(self) -> Feed:
        """Give the bytes in pieces, as the pipeline does."""

        def feed(_: Stream, write: Callable[[bytes], object]) -> None:
            for start in range(0, len(self.data), PIECE):
                write(self.data[start : start + PIECE])

        return feed


def keep(component: Component, site: Site) -> Kept:
    """Dump the one stream of a component."""
    (dump,) = component.dumps(site)
    return take(dump)


def take(dump: Dump) -> Kept:
    """Take a dump; its facts go through JSON, as in a manifest."""
    begun = datetime.now(UTC)
    with dump.open() as source:
        data = b"".join(iter(lambda: source.read(PIECE), b""))
        facts = source.finish()
    assert len(data) >= dump.floor
    stream = Stream(
        component=dump.component,  # type: ignore[arg-type]
        name=dump.name,
        kind=dump.kind,
        started_at=begun,
        ended_at=datetime.now(UTC),
        plain_bytes=len(data),
        plain_sha256=hashlib.sha256(data).hexdigest(),
        objects=(),
        facts=json.loads(json.dumps(dict(facts))),
    )
    return Kept(stream, data)
