"""MongoDB: every collection but the server's own, put back by renaming whole collections."""

from __future__ import annotations

import json
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.components.base import Difference, Dump, Leftovers, Rehearsal
from cotai_tasks.backup.components.mongodb_plan import (
    compare,
    compared,
    discard_steps,
    leftovers,
    live,
    revert_steps,
    staged,
    staged_name,
    swap_steps,
    unstage_steps,
)
from cotai_tasks.backup.components.mongodb_server import EVALUATION, PROBE, REAL, SERVICE, Server, open_server
from cotai_tasks.backup.components.scratch import scratch
from cotai_tasks.errors import BackupError, Finding
from cotai_tasks.facts import version_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cotai_tasks.backup.components.base import Feed, Site, Source
    from cotai_tasks.backup.components.mongodb_plan import Facts
    from cotai_tasks.backup.manifest import Stream
    from cotai_tasks.process import Piped

_FLOOR = 100
"""Bytes: both tools' archives of an empty server are larger."""
_CACHE = ["mongod", "--wiredTigerCacheSizeGB", "0.25"]
"""How a scratch server is started: by itself it would plan with half of the host's memory."""
_FORMAT = "MONGODB_FORMAT"
_FORMATS = {"secantusdb": EVALUATION}
"""What the servers' volumes are labelled with that are not MongoDB itself."""
_NAMES = {REAL: "MongoDB", EVALUATION: "the stand-in for evaluation"}
_TAIL = 2**20
"""Bytes at the end of an archive of the stand-in that hold its facts: enough for some 5,000 collections."""


@dataclass(frozen=True)
class MongoDB:
    """The databases of the service `mongodb`; its users stay those of the live server."""

    name = "mongodb"

    def dumps(self, site: Site) -> list[Dump]:
        """Give the one stream of all databases."""
        if SERVICE not in site.stack.services:
            return []
        server = _server(site)

        @contextmanager
        def opened() -> Iterator[Source]:
            if server.kind == EVALUATION:
                with server.dump() as piped:
                    yield _WithFacts(piped)
                return
            before = server.moment()
            with server.dump(oplog=bool(before["replica_set"])) as piped:
                yield _Observed(piped, server, before)

        return [Dump(self.name, "mongodb", server.kind, _FLOOR, opened)]

    def unfit(self, site: Site, streams: Sequence[Stream]) -> list[Finding]:
        """Find another server or another major version than the one that was dumped."""
        if SERVICE not in site.stack.services:
            return [Finding("mongodb", f"{site.stack.project.name} has no such service", "Leave it out by --only.")]
        (stream,) = streams
        label = site.stack.variables[_FORMAT]
        kind = _FORMATS.get(label, REAL)
        if kind != stream.kind:
            fault = f"this is a dump of {_NAMES[stream.kind]}, and here is {_NAMES[kind]}, which cannot read it"
            return [Finding("mongodb", fault, "Restore it where COTAI_IMAGES is as it was there.")]
        dumped = version_numbers(stream.facts["server"])[0]
        if kind == REAL and label != f"mongodb-{dumped}":
            cure = f"Restore it with MONGODB_IMAGE of version {dumped}, then upgrade."
            return [Finding("mongodb", f"this is a dump of version {dumped}, and here is {label}", cure)]
        return []

    @contextmanager
    def rehearse(
        self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed, *, keep: bool = False
    ) -> Iterator[Rehearsal]:
        """Load it into a scratch server, then count and hash every collection there."""
        (stream,) = streams
        with _loaded(site, backup, stream, feed, keep=keep) as server:
            expected, quiet = stream.facts["collections"], stream.facts["quiet"]
            found = server.facts(live(server.collections()), content=quiet)
            client = "mongosh" if server.kind == REAL else "mongodb-shell"
            yield Rehearsal(
                differences=tuple(compare(expected, found, quiet=quiet)),
                compared=compared(expected, quiet=quiet),
                containers=(server.container,),
                hints=(f"docker exec -it {server.container} {client}",),
            )

    def is_empty(self, site: Site) -> bool:
        """Tell whether there is no collection but the server's own."""
        return not live(_server(site).collections())

    def users(self, site: Site, streams: Sequence[Stream]) -> frozenset[str]:  # noqa: ARG002 - it is always all
        """Name the services that wait for MongoDB when they start."""
        return site.waiting_for(SERVICE)

    def stage(self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed) -> list[Difference]:
        """Make every collection anew in its own database, as `restore_<id>.<name>`."""
        (stream,) = streams
        expected, quiet = stream.facts["collections"], stream.facts["quiet"]
        fixed = sorted(name for name, facts in expected.items() if facts["type"] == "timeseries")
        if fixed:
            raise BackupError(
                f"mongodb: {', '.join(fixed)} cannot be put in place: no MongoDB renames a time series",
                cure="--into scratch restores them; copy from there.",
            )
        server = _server(site)
        if server.kind == EVALUATION:
            server.load(lambda write: feed(stream, write), "--prefix", staged_name(backup))
        else:
            with _loaded(site, backup, stream, feed) as loaded:
                server.copy_from(loaded, backup)
        names = staged(server.collections(), backup)
        found = server.facts([(database, staged_name(backup, name)) for database, name in names], content=quiet)
        return compare(expected, _unprefixed(found, backup), quiet=quiet)

    def swap(self, site: Site, backup: str) -> None:
        """Rename what is live to `before_<id>.<name>`, and what was staged to what it is called."""
        server = _server(site)
        server.apply(swap_steps(server.collections(), backup))

    def revert(self, site: Site, backup: str) -> None:
        """Rename everything back."""
        if SERVICE in site.stack.services:
            server = _server(site)
            server.apply(revert_steps(server.collections(), backup))

    def unstage(self, site: Site, backup: str) -> None:
        """Drop what was staged; what waits in the middle of a swap is needed to undo that, and stays."""
        if SERVICE in site.stack.services:
            server = _server(site)
            server.apply(unstage_steps(server.collections(), backup))

    def leftovers(self, site: Site) -> Leftovers:
        """Read it from the collections' names; of a server that does not run nothing is known."""
        return leftovers(_server(site).collections()) if site.running(SERVICE) else Leftovers()

    def discard(self, site: Site, backup: str) -> None:
        """Drop what was replaced."""
        if SERVICE in site.stack.services:
            server = _server(site)
            server.apply(discard_steps(server.collections(), backup))


class _WithFacts:
    """An archive of the stand-in: its last document holds the facts, read at the same moment as everything else."""

    def __init__(self, piped: Piped) -> None:
        self._piped = piped
        self._tail: deque[bytes] = deque()
        self._kept = 0

    def read(self, size: int = _TAIL, /) -> bytes:
        """Give the next bytes."""
        data = self._piped.read(size)
        self._tail.append(data)
        self._kept += len(data)
        while self._kept - len(self._tail[0]) > _TAIL:
            self._kept -= len(self._tail.popleft())
        return data

    def finish(self) -> Mapping[str, Any]:
        """Read the facts, written as JSON into the last BSON document."""
        self._piped.finish()
        text = b"".join(self._tail).rpartition(b"\2facts\0")[2]
        try:
            facts: dict[str, Any] = json.loads(text[4:].rstrip(b"\0"))
        except ValueError as error:
            raise BackupError(
                "mongodb: the dump ends without the facts about itself",
                cure="The image is of another version than this tool, or holds too many collections: inv build.offline",
            ) from error
        return facts


class _Observed:
    """An archive of mongodump, which tells nothing of what is in it: the server is asked before and after.

    Documents are counted and hashed only where nobody wrote meanwhile: else they would not be those of the archive,
    whose own checksums then have to do.
    """

    def __init__(self, piped: Piped, server: Server, before: Mapping[str, Any]) -> None:
        self._piped = piped
        self._server = server
        self._before = before

    def read(self, size: int = _TAIL, /) -> bytes:
        """Give the next bytes."""
        return self._piped.read(size)

    def finish(self) -> Mapping[str, Any]:
        """Ask the server for what the archive should hold."""
        self._piped.finish()
        names, last = live(self._server.collections()), self._before["last"]
        quiet = last is not None and self._server.moment()["last"] == last
        facts = self._server.facts(names, content=quiet)
        if quiet and self._server.moment()["last"] != last:
            quiet, facts = False, self._server.facts(names, content=False)
        return {
            "server": self._before["server"],
            "replica_set": self._before["replica_set"],
            "quiet": quiet,
            "collections": facts,
        }


@contextmanager
def _loaded(site: Site, backup: str, stream: Stream, feed: Feed, *, keep: bool = False) -> Iterator[Server]:
    """Give a scratch server that holds what was dumped."""
    with scratch(site, SERVICE, backup, probe=PROBE, command=_CACHE, keep=keep) as container:
        server = open_server(site.engine, container)
        replay = server.kind == REAL and stream.facts["replica_set"]
        server.load(lambda write: feed(stream, write), *(["--oplogReplay"] if replay else []))
        server.clear()
        yield server


def _server(site: Site) -> Server:
    """Give the live server."""
    return open_server(site.engine, site.live(SERVICE).name)


def _unprefixed(facts: Facts, backup: str) -> Facts:
    return {name.replace(staged_name(backup), "", 1): one for name, one in facts.items()}
