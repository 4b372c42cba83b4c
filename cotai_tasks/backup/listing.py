"""What backups there are, and what is in one."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.markup import escape

from cotai_tasks.backup.catalogue import open_catalogue
from cotai_tasks.backup.retention import plan, read_keep
from cotai_tasks.backup.signing import fingerprint
from cotai_tasks.backup.verification import deepest
from cotai_tasks.console import duration, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.backup.catalogue import Entry, Note
    from cotai_tasks.backup.manifest import Manifest, Stream
    from cotai_tasks.backup.retention import Decision
    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings


@dataclass(frozen=True)
class Listing:
    """The backups of one stack in one store."""

    stack: str
    store: str
    decisions: tuple[Decision, ...]
    """Each backup with why it stays, the newest first."""
    under_way: tuple[Note, ...]
    """Those that are being made, or were interrupted."""
    now: datetime


def list_backups(*, store: str = "", signer: str = "", settings: Settings) -> Listing:
    """Look into the store, and at what `backup.prune` would make of it."""
    catalogue = open_catalogue(store, signer, settings=settings)
    now = datetime.now(UTC)
    rules = read_keep(settings.variables.BACKUP_KEEP)
    decisions = plan(catalogue.entries(), keep=rules, min_keep=settings.variables.BACKUP_MIN_KEEP, now=now)
    return Listing(catalogue.stack, catalogue.store.url, tuple(decisions), tuple(catalogue.under_way()), now)


def show_backups(listing: Listing, *, as_json: bool, console: Console) -> None:
    """Print the list."""
    if as_json:
        console.json(
            {
                "stack": listing.stack,
                "store": listing.store,
                "backups": [_facts(one, listing.now) for one in listing.decisions],
                "under_way": [one.model_dump(mode="json") for one in listing.under_way],
            }
        )
        return
    if listing.decisions:
        columns = ("backup", "age", "components", "size", "encrypted", "verified", "kept because")
        console.table(columns, [_row(one, listing.now) for one in listing.decisions])
    else:
        console.say(f"no backup of {listing.stack} in {listing.store}. inv backup.create makes one.")
    for note in listing.under_way:
        age = duration(max((listing.now - note.started_at).total_seconds(), 0))
        console.say(f"under way, or interrupted: {note.id}, begun {age} ago on {note.host} (pid {note.pid})")
    for decision in listing.decisions:
        if fault := decision.entry.fault:
            console.warn(str(fault))


def show_backup(
    backup: str = "", *, store: str = "", signer: str = "", as_json: bool = False, settings: Settings, console: Console
) -> Manifest:
    """Print one backup: its streams, the moment of each, who made it, who can open it."""
    catalogue = open_catalogue(store, signer, settings=settings)
    manifest = catalogue.find(backup)
    made_by = _signer(catalogue.sealed(manifest.id))
    if as_json:
        console.json({"store": catalogue.store.url, "signer": made_by, **manifest.model_dump(mode="json")})
        return manifest
    console.table(("", ""), _head(manifest, made_by, catalogue.store.url))
    columns = ("stream", "kind", "begun", "took", "size", "stored", "ratio", "facts")
    console.table(columns, [_stream_row(one, manifest) for one in manifest.streams])
    if manifest.streams:
        console.say(skew(manifest))
    return manifest


def skew(manifest: Manifest) -> str:
    """Say how far the moments of the streams lie apart."""
    begun = [one.started_at for one in manifest.streams]
    apart = duration((max(begun) - min(begun)).total_seconds())
    return f"Each stream is consistent in itself; the first and the last moment lie {apart} apart."


def facts_in_short(facts: Mapping[str, Any]) -> str:
    """Give a stream's facts in one line: of what is a list only how many there are."""
    return ", ".join(
        f"{len(value)} {name}" if isinstance(value, list | dict) else f"{name} {value}" for name, value in facts.items()
    )


def _row(decision: Decision, now: datetime) -> tuple[str, ...]:
    entry = decision.entry
    why = ", ".join(decision.reasons) or "the next prune removes it"
    if not (manifest := entry.manifest):
        return (entry.id, _age(entry, now), "", "", "", "[red]damaged[/]", escape(why))
    return (
        entry.id,
        _age(entry, now),
        holds(manifest),
        size(manifest.stored_bytes),
        "yes" if manifest.encrypted else "[yellow]no[/]",
        "[red]damaged[/]" if entry.fault else _verified(entry, now),
        escape(why),
    )


def holds(manifest: Manifest) -> str:
    """Name what it holds, and what it is not: of a partial one the rest of the stack is missing."""
    remarks = {"partial": not manifest.complete, "evaluation": manifest.evaluation}
    said = [f" [yellow]({remark})[/]" for remark, holds in remarks.items() if holds]
    return ", ".join(manifest.components) + "".join(said)


def _verified(entry: Entry, now: datetime) -> str:
    """Say how closely it was looked at, and when; the sizes were compared just now."""
    if not (best := deepest(entry.verified)) or best.level == "quick":
        return "quick, now"
    return f"{best.level}, {duration(max((now - best.at).total_seconds(), 0))} ago"


def _age(entry: Entry, now: datetime) -> str:
    return duration(max((now - entry.time).total_seconds(), 0))


def _facts(decision: Decision, now: datetime) -> dict[str, object]:
    entry = decision.entry
    told: dict[str, object] = {
        "id": entry.id,
        "age_seconds": round((now - entry.time) / timedelta(seconds=1)),
        "fault": str(entry.fault) if entry.fault else "",
        "verified": {level: one.model_dump(mode="json") for level, one in entry.verified.items()},
        "locked_until": entry.locked_until.isoformat() if entry.locked_until else None,
        "kept_because": list(decision.reasons),
    }
    if manifest := entry.manifest:
        told |= {
            "started_at": manifest.started_at.isoformat(),
            "components": list(manifest.components),
            "complete": manifest.complete,
            "plain_bytes": manifest.plain_bytes,
            "stored_bytes": manifest.stored_bytes,
            "encrypted": manifest.encrypted,
            "tag": manifest.tag,
            "evaluation": manifest.evaluation,
        }
    return told


def _head(manifest: Manifest, signer: str, store: str) -> list[tuple[str, str]]:
    took = duration((manifest.ended_at - manifest.started_at).total_seconds())
    rows = [
        ("backup", manifest.id),
        ("of", manifest.stack),
        ("in", escape(store)),
        ("begun", f"{manifest.started_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, took {took}"),
        ("size", f"{size(manifest.plain_bytes)} as {size(manifest.stored_bytes)} ({_ratio(manifest)})"),
        ("encrypted", f"for {', '.join(manifest.recipients)}" if manifest.encrypted else "[yellow]no[/]"),
        ("signed by", signer),
        ("made by", f"cotai-tasks {manifest.tool}"),
        *([("tag", escape(manifest.tag))] if manifest.tag else []),
        *([] if manifest.complete else [("partial", f"holds {', '.join(manifest.components)} only")]),
        *([("evaluation", "holds data of the stand-in for MongoDB")] if manifest.evaluation else []),
    ]
    return rows + [(f"image of {name}", escape(image)) for name, image in manifest.images.items()]


def _stream_row(stream: Stream, manifest: Manifest) -> tuple[str, ...]:
    return (
        stream.name,
        stream.kind,
        f"+{duration((stream.started_at - manifest.started_at).total_seconds())}",
        duration((stream.ended_at - stream.started_at).total_seconds()),
        size(stream.plain_bytes),
        size(stream.stored_bytes),
        _ratio(stream),
        escape(facts_in_short(stream.facts)),
    )


def _ratio(what: Manifest | Stream) -> str:
    return f"{what.plain_bytes / what.stored_bytes:.1f}:1"


def _signer(sealed: bytes) -> str:
    """Name who signed a manifest whose signature was found good."""
    raw = base64.b64decode(json.loads(sealed)["public_key"])
    return fingerprint(Ed25519PublicKey.from_public_bytes(raw))
