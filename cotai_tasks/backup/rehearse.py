"""Rehearsals: a backup is loaded into containers that nobody uses, and compared with what its manifest says."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cotai_tasks.backup.catalogue import open_catalogue
from cotai_tasks.backup.components.base import Site
from cotai_tasks.backup.components.registry import all_components, named
from cotai_tasks.backup.keys import open_identities
from cotai_tasks.backup.metrics import record_drill
from cotai_tasks.backup.pipeline import load_stream
from cotai_tasks.backup.verification import Verification
from cotai_tasks.console import duration
from cotai_tasks.errors import IntegrityError, PreflightError, StoreError, UsageError
from cotai_tasks.lock import stack_lock
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cotai_tasks.age import Identity
    from cotai_tasks.backup.catalogue import Catalogue
    from cotai_tasks.backup.components.base import Difference, Feed
    from cotai_tasks.backup.manifest import Manifest, Stream
    from cotai_tasks.backup.store.base import Store
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings


@dataclass(frozen=True)
class Rehearsed:
    """One component that was loaded."""

    component: str
    seconds: float
    compared: str
    differences: tuple[Difference, ...]
    containers: tuple[str, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a rehearsal."""

    backup: str
    seconds: float
    parts: tuple[Rehearsed, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Everything that is not as the manifest says."""
        return tuple(one for part in self.parts for one in part.differences)


def make_feed(store: Store, identities: Sequence[Identity], console: Console) -> Feed:
    """Give what streams a component's plain bytes out of the store, with progress."""

    def feed(stream: Stream, write: Callable[[bytes], object]) -> None:
        with console.transfer(stream.name, stream.plain_bytes) as progress:
            load_stream(stream, write, store=store, identities=identities, progress=progress)

    return feed


def rehearse_backup(
    manifest: Manifest,
    components: Sequence[str],
    *,
    keep: bool = False,
    store: Store,
    identities: Sequence[Identity],
    site: Site,
    console: Console,
) -> Outcome:
    """Load components of a backup into scratch containers and compare; `keep` leaves them running.

    Raises `PreflightError` where a component cannot be loaded here at all, which says nothing about the backup.
    """
    parts = all_components(encrypted=manifest.encrypted)
    unfit = [finding for name in components for finding in parts[name].unfit(site, manifest.of(name))]
    if unfit:
        raise PreflightError(f"backup {manifest.id} cannot be loaded here", findings=unfit)
    feed = make_feed(store, identities, console)
    begun = time.monotonic()
    done = []
    for name in components:
        started = time.monotonic()
        with parts[name].rehearse(site, manifest.id, manifest.of(name), feed, keep=keep) as found:
            kept = (found.containers, found.hints) if keep else ((), ())
        done.append(Rehearsed(name, time.monotonic() - started, found.compared, found.differences, *kept))
        _say(done[-1], console)
    return Outcome(manifest.id, time.monotonic() - begun, tuple(done))


def drill(
    *,
    backup: str = "",
    identity: str = "",
    store: str = "",
    signer: str = "",
    settings: Settings,
    engine: Engine,
    console: Console,
) -> Outcome:
    """Restore the newest backup into scratch containers, compare, and record the result and how long it took.

    Raises `IntegrityError` with every difference; that is recorded too. Prometheus learns of one that counts: of a
    whole backup, from its usual store.
    """
    site = Site(open_stack(settings, engine), settings, engine)
    catalogue = open_catalogue(store, signer, settings=settings, stack=site.stack.project.name)
    manifest = catalogue.find(backup)
    identities = open_identities(manifest, identity, settings=settings, console=console)
    begun = time.monotonic()
    console.say(f"drill of backup {manifest.id}: {', '.join(manifest.components)}")
    try:
        with stack_lock(site.stack, engine, "backup.drill", "backup"):
            outcome = rehearse_backup(
                manifest,
                manifest.components,
                store=catalogue.store,
                identities=identities,
                site=site,
                console=console,
            )
        findings = [str(one) for one in outcome.differences]
    except IntegrityError as error:
        findings = [str(one) for one in error.findings] or [str(error)]
        result = Verification.now("restore", seconds=time.monotonic() - begun, findings=findings)
        write_down(manifest, result, catalogue, console)
        raise
    write_down(manifest, Verification.now("restore", seconds=outcome.seconds, findings=findings), catalogue, console)
    if not findings and manifest.complete and not store:
        record_drill(site.stack, settings, engine, console, seconds=outcome.seconds)
    require_equal(outcome)
    return outcome


def write_down(manifest: Manifest, result: Verification, catalogue: Catalogue, console: Console) -> None:
    """Write a result down beside its backup; whoever may only read the store still has it on the screen."""
    try:
        catalogue.record(manifest.id, result)
    except StoreError as error:
        console.warn(f"the result is not written down: {error}")


def require_equal(outcome: Outcome) -> None:
    """Raise `IntegrityError` where something differs from the manifest."""
    if outcome.differences:
        raise IntegrityError(
            f"backup {outcome.backup} is not what its manifest says",
            findings=[one.finding("Do not rely on this backup.") for one in outcome.differences],
        )


def show_outcome(outcome: Outcome, *, as_json: bool, console: Console) -> None:
    """Say how a drill went."""
    if as_json:
        console.json(asdict(outcome))
        return
    rows = [(one.component, one.compared, duration(one.seconds)) for one in outcome.parts]
    console.table(("component", "found equal", "took"), rows)
    console.done(f"backup {outcome.backup} restores: everything as its manifest says ({duration(outcome.seconds)})")


def choose(only: str, manifest: Manifest, *, without: Sequence[str] = ()) -> tuple[str, ...]:
    """Give the components meant by `--only`; where it is empty, all that the backup holds but some."""
    usual = [name for name in manifest.components if name not in without]
    chosen = named(only, manifest.components, usual)
    if not chosen:
        raise UsageError(f"backup {manifest.id} holds only {', '.join(manifest.components)}", cure="Name it by --only.")
    return chosen


def _say(one: Rehearsed, console: Console) -> None:
    if one.differences:
        console.warn(f"{one.component}: {len(one.differences)} differences")
        for difference in one.differences:
            console.line(f"  {difference}")
    else:
        console.done(f"{one.component}: {one.compared} ({duration(one.seconds)})")
