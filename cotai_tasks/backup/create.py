"""One backup of a whole stack, from the servers into the store; until its manifest is there it does not exist."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import cotai_tasks
from cotai_tasks.age import key_id, read_recipients
from cotai_tasks.backup.catalogue import open_catalogue
from cotai_tasks.backup.components.base import Site
from cotai_tasks.backup.components.registry import all_components, named
from cotai_tasks.backup.manifest import DEFAULT_COMPONENTS, Manifest, new_id, object_key
from cotai_tasks.backup.metrics import record_backup, record_failure
from cotai_tasks.backup.pipeline import store_stream
from cotai_tasks.console import count, duration, size
from cotai_tasks.errors import BackupError, CotaiError, EngineError, UsageError
from cotai_tasks.lock import require_no_restore, stack_lock
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cotai_tasks.age import Recipient
    from cotai_tasks.backup.catalogue import Catalogue
    from cotai_tasks.backup.components.base import Dump
    from cotai_tasks.backup.manifest import Stream
    from cotai_tasks.backup.store.base import Store
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

_LEVELS = range(1, 20)
_TAG = re.compile(r"[\w.-]{0,63}")


@dataclass(frozen=True)
class Wish:
    """What kind of backup is wanted."""

    components: tuple[str, ...]
    recipients: Mapping[str, Recipient]
    """Who can open it, by the text of their keys; empty is a plain one."""
    tag: str = ""
    store: str = ""
    level: int = 3

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        encrypt: bool,
        plain: bool,
        only: str,
        recipients: Sequence[str],
        **rest: Any,  # noqa: ANN401
    ) -> Wish:
        """Read the flags; raise `UsageError` where they exclude one another, `IdentityError` without a recipient."""
        if encrypt and plain:
            raise UsageError("--encrypt and --plain exclude one another", cure="Give one of them.")
        if recipients and plain:
            raise UsageError("--recipient and --plain exclude one another", cure="Leave --plain out.")
        if rest.get("level", 3) not in _LEVELS:
            raise UsageError(f"--level {rest['level']}: zstd has 1 to {_LEVELS[-1]}")
        if not _TAG.fullmatch(rest.get("tag", "")):
            raise UsageError(f"--tag {rest['tag']}: a word of letters, digits, '.', '_' and '-'")
        wanted = encrypt or bool(recipients) or (settings.environment == "prod" and not plain)
        found = read_recipients(recipients, settings.directory) if wanted else {}
        return cls(components=named(only), recipients=found, **rest)

    @property
    def counts(self) -> bool:
        """Whether it is one that somebody relies on."""
        return is_relied_on(self.components, self.store)

    @property
    def complete(self) -> bool:
        """Whether it is of the whole stack."""
        return _is_complete(self.components)


def is_relied_on(components: Collection[str], store: str) -> bool:
    """Tell whether somebody relies on such a backup: one of the whole stack, in its usual store."""
    return not store and _is_complete(components)


def _is_complete(components: Collection[str]) -> bool:
    return set(DEFAULT_COMPONENTS) <= set(components)


@dataclass(frozen=True)
class Created:
    """A backup that was made."""

    manifest: Manifest
    store: str
    seconds: float


def create(
    wish: Wish,
    *,
    dry_run: bool = False,
    as_json: bool = False,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> Created | None:
    """Dump every component into the store and record it; None for a rehearsal.

    Any failure, an interruption too, leaves nothing that would be listed.
    """
    stack = open_stack(settings, engine)
    try:
        catalogue = open_catalogue(wish.store, settings=settings, stack=stack.project.name)
        site = Site(stack, settings, engine)
        if dry_run:
            _foretell(wish, _dumps(wish, site), catalogue, console, as_json=as_json)
            return None
        with stack_lock(stack, engine, "backup.create", "backup"):
            require_no_restore(stack, engine)
            made = _create(wish, _dumps(wish, site), stack, catalogue, engine, console)
    except BaseException as error:
        if wish.counts and not dry_run and not (isinstance(error, KeyboardInterrupt) and console.interactive):
            record_failure(stack, settings, engine, console)
        raise
    if wish.counts:
        record_backup(stack, settings, engine, console, manifest=made.manifest, seconds=made.seconds)
    return made


def show_created(made: Created | None, *, as_json: bool, console: Console) -> None:
    """Say what came of it."""
    if made is None:
        return
    manifest = made.manifest
    if as_json:
        console.json({"store": made.store, "seconds": round(made.seconds, 1), **manifest.model_dump(mode="json")})
    how = f"encrypted for {count(len(manifest.recipients), 'recipient')}" if manifest.encrypted else "NOT encrypted"
    console.done(
        f"backup {manifest.id}: {', '.join(manifest.components)}; {size(manifest.plain_bytes)} as"
        f" {size(manifest.stored_bytes)}, {how}, read back, signed ({duration(made.seconds)})"
    )


def _foretell(wish: Wish, dumps: Sequence[Dump], catalogue: Catalogue, console: Console, *, as_json: bool) -> None:
    """Say what a backup would hold, and where it would go."""
    names, keys = [one.name for one in dumps], [key_id(one) for one in wish.recipients]
    if as_json:
        console.json({"stack": catalogue.stack, "store": catalogue.store.url, "would_dump": names, "recipients": keys})
    how = f"for {count(len(keys), 'recipient')}" if keys else "in plain"
    console.say(f"would back up {', '.join(names)} of {catalogue.stack}, {how}, to {catalogue.store.url}")


def _dumps(wish: Wish, site: Site) -> list[Dump]:
    """Ask each component which streams it gives; a stack without one of the databases has none of it."""
    parts = all_components(encrypted=bool(wish.recipients))
    dumps = [dump for name in wish.components for dump in parts[name].dumps(site)]
    if not dumps:
        raise BackupError(f"{site.stack.project.name} has nothing of {', '.join(wish.components)}")
    return dumps


def _create(
    wish: Wish, dumps: Sequence[Dump], stack: Stack, catalogue: Catalogue, engine: Engine, console: Console
) -> Created:
    """Dump, read back, record; remove what there is of it where anything fails."""
    begun = time.monotonic()
    catalogue.store.check()
    backup = new_id(datetime.now(UTC))
    console.say(f"{stack.project.name}: backup {backup} to {catalogue.store.url}")
    try:
        catalogue.begin(backup)
        manifest = _dump(backup, dumps, wish, stack, catalogue.store, engine, console)
        catalogue.commit(manifest)
    except BaseException:
        _abandon(backup, catalogue, console)
        raise
    return Created(manifest, catalogue.store.url, time.monotonic() - begun)


def _dump(
    backup: str, dumps: Sequence[Dump], wish: Wish, stack: Stack, store: Store, engine: Engine, console: Console
) -> Manifest:
    started = datetime.now(UTC)
    streams = [_stream(backup, dump, wish, stack, store, console) for dump in dumps]
    images = _images(stack, engine)
    return Manifest(
        id=backup,
        stack=stack.project.name,
        tool=cotai_tasks.__version__,
        started_at=started,
        ended_at=datetime.now(UTC),
        encrypted=bool(wish.recipients),
        recipients=tuple(key_id(one) for one in wish.recipients),
        tag=wish.tag,
        complete=wish.complete,
        evaluation=any(one.kind == "bson" for one in streams),
        images=images,
        streams=tuple(streams),
    )


def _stream(backup: str, dump: Dump, wish: Wish, stack: Stack, store: Store, console: Console) -> Stream:
    def key(piece: int) -> str:
        return object_key(stack.project.name, backup, dump.name, piece, encrypted=bool(wish.recipients))

    try:
        with console.transfer(dump.name) as progress:
            return store_stream(
                dump, key, store=store, recipients=[*wish.recipients.values()], level=wish.level, progress=progress
            )
    except EngineError as error:
        raise BackupError(f"{dump.name}: {error}", cure=error.cure, evidence=error.evidence) from error


def _images(stack: Stack, engine: Engine) -> dict[str, str]:
    """Give the image of each database, with the id of the one that is here."""
    wanted = {name: stack.services[name].image for name in stack.stateful}
    found = engine.images(*dict.fromkeys(wanted.values()))
    return {name: f"{image}@{found[image].id}" if image in found else image for name, image in wanted.items()}


def _abandon(backup: str, catalogue: Catalogue, console: Console) -> None:
    """Remove what there is of a backup that failed; what cannot be removed now, `backup.prune` removes."""
    try:
        catalogue.abandon(backup)
        if backup in catalogue.ids():
            console.warn(f"backup {backup} is whole all the same: what failed came after it")
            return
    except CotaiError as error:
        console.warn(f"what there is of {backup} stays for now ({error}); inv backup.prune removes it")
    console.warn(f"backup {backup} was not made: nothing of it is listed")
