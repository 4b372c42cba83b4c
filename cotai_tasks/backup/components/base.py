"""What every part of a stack that is backed up can do: be dumped, rehearsed, and replaced by an older self."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cotai_tasks.errors import BackupError, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from cotai_tasks.backup.manifest import Stream
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

    Feed = Callable[[Stream, Callable[[bytes], object]], None]
    """Gives a stream's plain bytes piece by piece, and raises `IntegrityError` at the end if they were not the ones."""


@dataclass(frozen=True)
class Site:
    """Where data comes from and goes to: one stack and its engine."""

    stack: Stack
    settings: Settings
    engine: Engine

    def running(self, service: str) -> Container | None:
        """Give a service's container, where it runs."""
        found = self.engine.glance(self.stack.project.name)
        return next((one for one in found if one.service == service and one.state == "running"), None)

    def live(self, service: str) -> Container:
        """Give a service's container; raise `BackupError` where it does not run."""
        if (found := self.running(service)) is None:
            cure = f"Start it: inv deploy.{self.settings.environment}."
            raise BackupError(f"{service} is not running in {self.stack.project.name}", cure=cure)
        return found

    def waiting_for(self, service: str) -> frozenset[str]:
        """Name the services that wait for another when they start, and go on running: they use it."""
        return frozenset(
            name for name, one in self.stack.services.items() if service in one.depends_on and not one.one_shot
        )


class Source(Protocol):
    """The bytes of one dump, as its server gives them."""

    def read(self, size: int = ..., /) -> bytes:
        """Give the next bytes, at most `size`; none at the end."""
        ...

    def finish(self) -> Mapping[str, Any]:
        """After the last byte: raise if the dump failed, else give its facts for the manifest."""
        ...


@dataclass(frozen=True)
class Dump:
    """One stream to be."""

    component: str
    name: str
    """`postgres-cotai`: unique in a backup, letters, digits, `.`, `_` and `-`."""
    kind: str
    floor: int
    """Bytes that even an empty database gives: less is a failed dump, whatever its exit code."""
    open: Callable[[], AbstractContextManager[Source]]
    """Begins it; leaving the block ends it, in its container too."""


@dataclass(frozen=True)
class Difference:
    """Something that is not as the manifest says."""

    where: str
    """`table public.tenders`."""
    expected: str
    found: str

    def __str__(self) -> str:
        """Give it as the one line that people read."""
        return f"{self.where}: {self.found} instead of {self.expected}"

    def finding(self, cure: str) -> Finding:
        """Give it as an error shows it."""
        return Finding(self.where, f"{self.found} instead of {self.expected}", cure)


@dataclass(frozen=True)
class Rehearsal:
    """What came of loading a component into scratch containers."""

    differences: tuple[Difference, ...] = ()
    compared: str = ""
    """What was found equal, as a person reads it: `4 tables, 1,204 rows, content hashes`."""
    containers: tuple[str, ...] = ()
    """Names of the scratch containers; they live as long as the block, unless they are kept."""
    hints: tuple[str, ...] = ()
    """Commands that look at the data, where the containers are kept."""


@dataclass(frozen=True)
class Leftovers:
    """What earlier restores left in place, by the ids of their backups."""

    staged: frozenset[str] = field(default_factory=frozenset)
    """Put beside the live data and not, or not wholly, in its place: of a restore that was interrupted."""
    replaced: frozenset[str] = field(default_factory=frozenset)
    """The data that was live before that backup took its place."""


class Component(Protocol):
    """One component. Each method takes the site; `streams` are those of this component in the manifest.

    A restore first stages (the live data and its users are not touched), compares, then stops `users`, swaps, and
    starts them again. `swap` is all or nothing as far as its server allows; `revert` undoes it from wherever it stands,
    and `unstage` removes what was staged. Both do nothing where there is nothing to do. What was replaced stays beside
    the live data until it is discarded.
    """

    @property
    def name(self) -> str:
        """Its name on the command line and in manifests."""
        ...

    def dumps(self, site: Site) -> list[Dump]:
        """Say which streams it gives; asks the servers, starts nothing."""
        ...

    def unfit(self, site: Site, streams: Sequence[Stream]) -> list[Finding]:
        """Say why these streams cannot be restored here: another major version, another server, a missing service."""
        ...

    def rehearse(
        self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed, *, keep: bool = False
    ) -> AbstractContextManager[Rehearsal]:
        """Load it into scratch containers without a network, and compare; `keep` leaves them running."""
        ...

    def is_empty(self, site: Site) -> bool:
        """Tell whether there is no data that a restore would replace."""
        ...

    def users(self, site: Site, streams: Sequence[Stream]) -> frozenset[str]:
        """Name the services that must not run during the swap; the servers that it needs itself are not among them."""
        ...

    def stage(self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed) -> list[Difference]:
        """Put it beside the live data, and compare."""
        ...

    def swap(self, site: Site, backup: str) -> None:
        """Put what was staged in the place of the live data, and keep that."""
        ...

    def revert(self, site: Site, backup: str) -> None:
        """Put the data back that `swap` replaced, however far that came."""
        ...

    def unstage(self, site: Site, backup: str) -> None:
        """Remove what was staged, whole or not."""
        ...

    def leftovers(self, site: Site) -> Leftovers:
        """Say what earlier restores left."""
        ...

    def discard(self, site: Site, backup: str) -> None:
        """Remove the data that this backup replaced, for good."""
        ...
