"""Redis: everything that Celery's broker holds, put back as the files that the server starts from."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.components.archive import unpack
from cotai_tasks.backup.components.base import Dump, Leftovers, Rehearsal
from cotai_tasks.backup.components.helper import WRITE, helper
from cotai_tasks.backup.components.redis_server import SERVICE, differences, dump_facts, live, loaded
from cotai_tasks.backup.components.swap import Places, staged
from cotai_tasks.errors import BackupError, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cotai_tasks.backup.components.base import Difference, Feed, Site
    from cotai_tasks.backup.components.redis_server import Info, Keys, Server
    from cotai_tasks.backup.manifest import Stream
    from cotai_tasks.process import Piped

_FLOOR = 80
"""Bytes: header, origin and checksum, of a dump without a key too."""
_PATIENCE = 300.0
"""Seconds that the server has to read its files and become healthy."""
_FOLDER = "/volume"
_MARK = 40
_IS_MARK = re.compile(rb"[0-9a-f]{40}")
"""How no dump ends: nine bytes before its end stands one that is no digit."""


_CELERY = ("_kombu.", "unacked", "celery-task-meta-")


@dataclass(frozen=True)
class Redis:
    """The service `redis`; the cache is not backed up.

    Tasks that were queued when the backup was made have been carried out since, or were given up: they come back only
    where `queued_tasks` asks for it.
    """

    queued_tasks: bool = False

    name = "redis"

    def dumps(self, site: Site) -> list[Dump]:
        """Give the one stream of all databases."""
        if SERVICE not in site.stack.services:
            return []
        return [Dump(self.name, "redis", "rdb", _FLOOR, partial(_dump, live(site)))]

    def unfit(self, site: Site, streams: Sequence[Stream]) -> list[Finding]:
        """Find an older server: it reads no newer dump."""
        if SERVICE not in site.stack.services:
            return [Finding(self.name, f"{site.stack.project.name} has no {SERVICE}", "Restore other parts: --only.")]
        ours = int(site.stack.formats[_volume(site)].rpartition("-")[2])
        theirs = max(int(one.facts["server"].split(".")[0]) for one in streams)
        if theirs > ours:
            cure = "Set REDIS_IMAGE to that version or a later one."
            return [Finding(self.name, f"it was dumped by Redis {theirs}, here is {ours}", cure)]
        return []

    @contextmanager
    def rehearse(
        self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed, *, keep: bool = False
    ) -> Iterator[Rehearsal]:
        """Check it, load it into a server of the same image, and count the keys."""
        (stream,) = streams
        with loaded(site, backup, stream, feed, keep=keep) as server:
            keys = server.info().keys
            yield Rehearsal(
                differences=tuple(differences(stream.facts, keys)),
                compared=f"checksum of the dump; {_count(keys):,} keys in {len(keys)} databases",
                containers=(server.container,),
                hints=(f"docker exec -it {server.container} redis-cli",),
            )

    def is_empty(self, site: Site) -> bool:
        """Tell whether there is no key but those that Celery makes as soon as it runs."""
        if SERVICE not in site.stack.services:
            return True
        server = live(site)
        keys = [key for number in server.info().keys for key in server.ask("-n", str(number), "--scan").splitlines()]
        return all(key.startswith(_CELERY) for key in keys)

    def users(self, site: Site, streams: Sequence[Stream]) -> frozenset[str]:  # noqa: ARG002 - it is always all
        """Name the services that wait for Redis when they start."""
        return site.waiting_for(SERVICE)

    def stage(self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed) -> list[Difference]:
        """Put the files that the server would start from beside its own, in its volume."""
        (stream,) = streams
        files = live(site).files()
        with loaded(site, backup, stream, feed, files=files) as server:
            found = differences(stream.facts, server.info().keys)
            if found:
                return found
            if not self.queued_tasks:
                server.drop_tasks()
            _places(site).stage(backup)
            image, mounted = site.stack.services[SERVICE].image, {_FOLDER: _volume(site)}
            unpacking = helper(image, mounted, unpack(f"{_FOLDER}/{staged(backup)}"), may=WRITE)
            with (
                server.write_out(files) as source,
                site.engine.pipe(*unpacking, what="unpacking Redis' files") as target,
            ):
                while piece := source.read():
                    target.write(piece)
                source.finish()
                target.finish()
        return []

    def swap(self, site: Site, backup: str) -> None:
        """Rename the files while the server is stopped; where that fails it stays so, for `revert`."""
        _stop(site)
        _places(site).place(backup)
        _start(site)

    def revert(self, site: Site, backup: str) -> None:
        """Rename them back, and start the server where a swap left it stopped."""
        places = _places(site)
        left = places.leftovers()
        if _state(site)[0] == "running" and backup not in left.staged | left.replaced:
            return
        _stop(site)
        places.put_back(backup)
        _start(site)

    def unstage(self, site: Site, backup: str) -> None:
        """Remove what was staged."""
        _places(site).unstage(backup)

    def leftovers(self, site: Site) -> Leftovers:
        """Read it from the names in the volume."""
        return _places(site).leftovers()

    def discard(self, site: Site, backup: str) -> None:
        """Remove what was replaced."""
        _places(site).discard(backup)


@dataclass
class _Observed:
    """A dump, of which the server is asked before and after.

    redis-cli knows the end of a dump by forty random digits that follow it, and passes them on, too.
    """

    piped: Piped
    server: Server
    before: Info
    held: bytes = b""

    def read(self, size: int = 2**20, /) -> bytes:
        while piece := self.piped.read(size):
            given, self.held = (self.held + piece)[:-_MARK], (self.held + piece)[-_MARK:]
            if given:
                return given
        given, self.held = self.held, b""
        return b"" if _IS_MARK.fullmatch(given) else given

    def finish(self) -> Mapping[str, Any]:
        self.piped.finish()
        return dump_facts(self.before, self.server.info())


@contextmanager
def _dump(server: Server) -> Iterator[_Observed]:
    before = server.info()
    with server.dump() as piped:
        yield _Observed(piped, server, before)


def _count(keys: Keys) -> int:
    return sum(one["keys"] for one in keys.values())


def _volume(site: Site) -> str:
    """Give the name of the volume that the server has its files in."""
    return next(name for name in site.stack.services[SERVICE].volumes if name in site.stack.formats)


def _places(site: Site) -> Places:
    """Give its volume; none in a stack without it, or before its first start."""
    services = site.stack.services
    if SERVICE not in services or _volume(site) not in site.engine.volumes(site.stack.project.name):
        return Places(site.engine, "", {})
    return Places(site.engine, services[SERVICE].image, {SERVICE: _volume(site)})


def _state(site: Site) -> tuple[str, str]:
    """Tell how the server's container is, and its health; nothing where there is none."""
    found = [one for one in site.engine.glance(site.stack.project.name) if one.service == SERVICE]
    return (found[0].state, found[0].health) if found else ("", "")


def _stop(site: Site) -> None:
    for _ in site.engine.stop(site.stack.project, [SERVICE]):
        pass


def _start(site: Site) -> None:
    """Start its container, where it has one, and wait until it answers."""
    if not _state(site)[0]:
        return
    for _ in site.engine.compose(site.stack.project, "start", SERVICE):
        pass
    end = time.monotonic() + _PATIENCE
    while (state := _state(site)) != ("running", "healthy"):
        if state[0] != "running" or time.monotonic() > end:
            raise BackupError(f"{SERVICE} does not start", cure="inv deploy.logs --svc redis shows why.")
        time.sleep(0.3)
