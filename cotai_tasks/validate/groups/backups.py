"""Backups: one is made, read back, restored beside the stack and damaged, before anybody needs it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cotai_tasks import backup
from cotai_tasks.age import make_identity
from cotai_tasks.console import count, duration, size
from cotai_tasks.db import ask, one_command
from cotai_tasks.errors import CotaiError, IntegrityError
from cotai_tasks.validate.check import Effect, Severity, SkipCheck, check, failed, judged, passed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cotai_tasks.backup import Created, Decision, Entry, Rehearsal
    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.subject import Subject

RPO = timedelta(hours=26)
"""How much may be lost: a nightly backup, and two hours in which it may run late."""
RTO = timedelta(minutes=5)
"""How long the reference stack's data may take to be back."""

_ROWS = 1000
_SEED = """
CREATE TABLE IF NOT EXISTS cotai_validation AS
SELECT one AS id, md5(one::text) AS word FROM generate_series(1, 1000) AS one
"""
_COUNT = "SELECT count(*) FROM cotai_validation"
_UNSEED = "DROP TABLE IF EXISTS cotai_validation"
_FOREVER = timedelta(days=3650)
_MAKE: dict[str, Any] = {"effect": Effect.WRITES, "profile": "full", "alone": True, "patience": 300.0}


@dataclass(frozen=True)
class Made:
    """A backup that validation made for itself, and what opens it."""

    created: Created
    store: Path
    identity: Path

    def files(self, kind: str = "") -> list[Path]:
        """Give its files in the store."""
        return sorted(one for one in self.store.rglob("*") if one.is_file() and one.name.endswith(kind))


@check(
    "BAK-01",
    "A backup can be made: seeded rows dumped, stored, read back, signed",
    "whole by its hashes",
    Severity.BLOCKER,
    **_MAKE,
)
def backup_is_made(subject: Subject) -> Outcome:
    """Make one for a key of its own, and read every stream down to what was dumped."""
    made = _made(subject)
    manifest = made.created.manifest
    try:
        backup.verify_backup(
            manifest.id,
            level="decrypt",
            identity=str(made.identity),
            store=str(made.store),
            settings=subject.settings,
            engine=subject.engine,
            console=subject.quiet,
        )
    except IntegrityError as error:
        return failed(str(error), *map(str, error.findings), cure="The disk under the store, or what wrote to it.")
    parts = ", ".join(manifest.components)
    return passed(f"{parts}: {size(manifest.stored_bytes)} in {duration(made.created.seconds)}")


@check(
    "BAK-02",
    "A backup restores: counts and content hashes equal in scratch servers",
    "0 differences",
    Severity.BLOCKER,
    **_MAKE,
)
def backup_restores(subject: Subject) -> Outcome:
    """Load it into servers that nobody uses, and compare every table, collection and file."""
    try:
        outcome = _drilled(subject)
    except IntegrityError as error:
        return failed(str(error), *map(str, error.findings), cure="Do not rely on these backups: inv backup.drill.")
    faults = [str(one) for one in outcome.differences]
    told = "; ".join(f"{one.component}: {one.compared}" for one in outcome.parts)
    return judged(faults, told or "nothing was restored", cure="Do not rely on these backups: inv backup.drill.")


@check(
    "BAK-03",
    "A damaged backup is refused before anything is dropped",
    "refused, and every row still there",
    Severity.BLOCKER,
    effect=Effect.DISRUPTS,
    profile="full",
    patience=300.0,
)
def damaged_backup_is_refused(subject: Subject) -> Outcome:
    """Flip one bit in each of its streams, try to restore that over the live data, and count the rows after it."""
    made = _made(subject)
    streams = made.files(".age")
    if not streams:
        return failed("the backup has no encrypted stream to damage", cure="See BAK-04.")
    _flip(streams)
    refusal = ""
    try:
        backup.restore_backup(
            backup=made.created.manifest.id,
            into="live",
            only="postgres",
            identity=str(made.identity),
            store=str(made.store),
            yes=True,
            settings=subject.settings,
            engine=subject.engine,
            console=subject.quiet,
        )
    except IntegrityError as error:
        refusal = str(error)
    finally:
        _flip(streams)  # as it was
    return judge_refusal(refusal, _count(subject))


def judge_refusal(refusal: str, rows: int) -> Outcome:
    """Judge what became of a damaged backup, and of the rows that it would have replaced."""
    faults = [] if refusal else ["a backup with flipped bits was restored over live data"]
    if rows != _ROWS:
        faults.append(f"{rows:,} of {_ROWS:,} rows are left")
    return judged(faults, refusal or "not refused", cure="Restore nothing from this store: inv backup.verify.")


@check(
    "BAK-04",
    "What is stored is encrypted and nobody else's to read",
    "age, mode 0600",
    Severity.MAJOR,
    **_MAKE,
)
def backup_is_private(subject: Subject) -> Outcome:
    """Look at the mode and at the first bytes of every file."""
    made = _made(subject)
    streams = [one for one in made.files() if one.suffix in {".age", ".zst"} or ".zst" in one.name]
    heads = {one.name: (one.read_bytes()[:21], stat.S_IMODE(one.stat().st_mode)) for one in streams}
    return judge_files(heads)


def judge_files(heads: dict[str, tuple[bytes, int]]) -> Outcome:
    """Judge stored streams by their first bytes and their mode."""
    faults = [f"{name}: not encrypted" for name, (head, _) in heads.items() if head != b"age-encryption.org/v1"]
    faults += [f"{name}: mode {mode:04o}" for name, (_, mode) in heads.items() if mode != 0o600]  # noqa: PLR2004
    if not heads:
        faults.append("there is no stream at all")
    return judged(faults, f"{count(len(heads), 'stream')} looked at", cure="inv backup.create --encrypt; chmod 0600.")


@check(
    "BAK-05",
    "Little would be lost, and soon be back",
    "RPO < 26 h, RTO < 5 min",
    Severity.MAJOR,
    profile="full",
    patience=300.0,
)
def losses_are_bounded(subject: Subject) -> Outcome:
    """Look at the age of the newest whole backup, and at how long its last restore took."""
    if subject.started_after is not None:
        return judge_loss(timedelta(0), _drilled(subject).seconds)
    if subject.environment == "dev":
        raise SkipCheck("nobody backs development up by night")
    entries = _entries(subject)
    found = backup.judge_freshness(entries, limit=RPO, now=datetime.now(UTC))
    drills = [one.seconds for entry in entries if (one := entry.verified.get("restore")) and one.ok]
    return judge_loss(found.age if found.newest else None, drills[-1] if drills else None)


def judge_loss(age: timedelta | None, seconds: float | None) -> Outcome:
    """Judge the age of the newest backup, and the time that a restore took; None where there is none."""
    faults = []
    if age is None or age > RPO:
        faults.append(
            "there is no whole backup" if age is None else f"the newest is {duration(age.total_seconds())} old"
        )
    if seconds is None or seconds > RTO.total_seconds():
        faults.append("no restore was ever tried" if seconds is None else f"a restore takes {duration(seconds)}")
    told = [] if age is None else [f"newest {duration(age.total_seconds()) if age else 'just made'}"]
    told += [] if seconds is None else [f"restored in {duration(seconds)}"]
    return judged(faults, ", ".join(told) or "neither", cure="inv backup.schedule --install --drill.")


@check(
    "BAK-06",
    "Thinning out never removes the newest good backup",
    "kept, even in ten years",
    Severity.MAJOR,
    profile="full",
    patience=300.0,
)
def newest_stays(subject: Subject) -> Outcome:
    """Ask the rules of retention what they would do in ten years."""
    if subject.started_after is not None:
        _made(subject)
    variables = subject.settings.variables
    entries = _entries(subject)
    decisions = backup.plan_retention(
        entries,
        keep=backup.read_keep(variables.BACKUP_KEEP),
        min_keep=variables.BACKUP_MIN_KEEP,
        now=datetime.now(UTC) + _FOREVER,
    )
    return judge_retention(decisions)


def judge_retention(decisions: Sequence[Decision]) -> Outcome:
    """Judge what the rules decide, the newest first."""
    good = [one for one in decisions if not one.entry.fault and not one.entry.is_partial]
    if not good:
        raise SkipCheck("there is no good backup in the store")
    newest = max(good, key=lambda one: one.entry.time)
    told = f"{newest.entry.id}: {', '.join(newest.reasons) or 'would be removed'}"
    return passed(told) if newest.keeps else failed(told, cure="Set BACKUP_KEEP and BACKUP_MIN_KEEP higher.")


def _made(subject: Subject) -> Made:
    """Make a backup once, for a key that exists for these checks alone, with rows of our own in it."""

    def make() -> Made:
        identity = make_identity()
        path, store = subject.scratch / "identity", subject.scratch / "backups"
        path.write_text(f"{identity}\n")
        path.chmod(0o600)
        _sql(subject, _SEED)
        wish = backup.Wish.of(
            subject.settings,
            encrypt=True,
            plain=False,
            only="",
            recipients=[str(identity.to_public())],
            store=str(store),
            tag="",
            level=3,
        )
        try:
            created = backup.create_backup(
                wish, settings=subject.settings, engine=subject.engine, console=subject.quiet
            )
        finally:
            if subject.started_after is None:
                _sql(subject, _UNSEED)
        if created is None:
            raise CotaiError("nothing was backed up")
        return Made(created, store, path)

    return subject.once("backup", make)


def _drilled(subject: Subject) -> Rehearsal:
    made = _made(subject)
    return subject.once(
        "drill",
        lambda: backup.drill_backup(
            backup=made.created.manifest.id,
            identity=str(made.identity),
            store=str(made.store),
            settings=subject.settings,
            engine=subject.engine,
            console=subject.quiet,
        ),
    )


def _entries(subject: Subject) -> list[Entry]:
    """Give the backups of the store that counts: our own on a throwaway stack, else the one that is configured."""
    store = str(subject.scratch / "backups") if subject.started_after is not None else ""
    found: list[Entry] = backup.open_catalogue(store, settings=subject.settings).entries()
    return found


def _flip(files: Sequence[Path]) -> None:
    """Flip one bit in the middle of each file; done twice it is as it was."""
    for path in files:
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 1]))


def _sql(subject: Subject, statement: str) -> str:
    subject.running("postgres")
    return ask(subject.stack, "postgres", one_command("postgres", statement), subject.engine)


def _count(subject: Subject) -> int:
    return int(_sql(subject, _COUNT).strip() or 0)
