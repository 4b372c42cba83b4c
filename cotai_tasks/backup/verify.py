"""Verification: from a look at sizes to a whole restore into containers that nobody uses; each is written down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cotai_tasks.backup.catalogue import open_catalogue
from cotai_tasks.backup.components.base import Site
from cotai_tasks.backup.keys import open_identities
from cotai_tasks.backup.pipeline import hash_stream, load_stream
from cotai_tasks.backup.rehearse import rehearse_backup, write_down
from cotai_tasks.backup.verification import LEVELS, Verification
from cotai_tasks.console import duration, size
from cotai_tasks.errors import Finding, IntegrityError, UsageError, nearest
from cotai_tasks.lock import stack_lock
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.age import Identity
    from cotai_tasks.backup.catalogue import Catalogue
    from cotai_tasks.backup.manifest import Manifest, Stream
    from cotai_tasks.backup.verification import Level
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

_CURE = "Do not rely on this backup: inv backup.list shows the others, inv backup.create makes one."


def verify(  # noqa: PLR0913 - a flag each
    backup: str = "",
    *,
    level: str = "data",
    identity: str = "",
    store: str = "",
    signer: str = "",
    as_json: bool = False,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> Verification:
    """Verify one backup, write the result down beside it, and print it.

    Raises `IntegrityError` with everything that is wrong.
    """
    meant = read_level(level)
    catalogue = open_catalogue(store, signer, settings=settings)
    manifest = catalogue.find(backup)
    keyed = meant in {"decrypt", "restore"}
    identities = open_identities(manifest, identity, settings=settings, console=console) if keyed else []
    begun = time.monotonic()
    findings = catalogue.differences(manifest)
    if not findings:
        match meant:
            case "quick":
                pass
            case "restore":
                findings = _restored(manifest, identities, catalogue, settings, engine, console)
            case _:
                findings = read_all(manifest, meant, identities, catalogue, console)
    texts = [f"{one.where}: {one.fault}" for one in findings]
    result = Verification.now(meant, seconds=time.monotonic() - begun, findings=texts)
    write_down(manifest, result, catalogue, console)
    if as_json:
        console.json({"backup": manifest.id, **result.model_dump(mode="json")})
    if findings:
        raise IntegrityError(f"backup {manifest.id} is damaged", findings=findings)
    took = f"{size(manifest.stored_bytes)}, {duration(result.seconds)}"
    console.done(f"backup {manifest.id} is whole by {meant} ({took})")
    return result


def read_level(text: str) -> Level:
    """Read `--level`; raise `UsageError` for one that is none."""
    for level in LEVELS:
        if text == level:
            return level
    raise UsageError(f"--level {text}: no such level", cure=nearest(text, LEVELS))


def read_all(
    manifest: Manifest, level: Level, identities: Sequence[Identity], catalogue: Catalogue, console: Console
) -> list[Finding]:
    """Read every stream as it is stored, or down to what was dumped; one that is damaged does not end it."""
    findings = []
    for stream in manifest.streams:
        try:
            _read(stream, level, identities, catalogue, console)
        except IntegrityError as error:
            findings.append(Finding(stream.name, str(error), _CURE))
    return findings


def _read(stream: Stream, level: Level, identities: Sequence[Identity], catalogue: Catalogue, console: Console) -> None:
    total = stream.plain_bytes if level == "decrypt" else stream.stored_bytes
    with console.transfer(stream.name, total) as progress:
        if level == "decrypt":
            load_stream(stream, _forget, store=catalogue.store, identities=identities, progress=progress)
        else:
            hash_stream(stream, store=catalogue.store, progress=progress)


def _forget(_: bytes) -> None:
    """Take what is only to be read."""


def _restored(
    manifest: Manifest,
    identities: Sequence[Identity],
    catalogue: Catalogue,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> list[Finding]:
    """Load everything into scratch containers, and compare."""
    site = Site(open_stack(settings, engine), settings, engine)
    try:
        with stack_lock(site.stack, engine, "backup.verify", "backup"):
            outcome = rehearse_backup(
                manifest, manifest.components, store=catalogue.store, identities=identities, site=site, console=console
            )
    except IntegrityError as error:
        return list(error.findings) or [Finding(manifest.id, str(error), _CURE)]
    return [one.finding(_CURE) for one in outcome.differences]
