"""Backups without anybody thinking of them: made at night, thinned out, looked for, and restored on trial."""

from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING

from cotai_tasks.age import read_recipients
from cotai_tasks.errors import IdentityError
from cotai_tasks.timers import Job, find_place, install_timers, make_timer, show_timers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings

_FIRST, _WINDOW = 2 * 60, 2 * 60
"""Minutes after midnight when the night's backups begin, and over how many the hosts spread."""

_LONGEST = "12h"
"""Of a backup, or a drill: one that hangs does not keep the following nights from theirs."""

_SECRET = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "BACKUP_WEBHOOK_URL")
"""Variables that no unit holds, and that a backup may need."""


def schedule(
    *, install: bool = False, drill: bool = False, environ: Mapping[str, str], settings: Settings, console: Console
) -> None:
    """Print, or install, what backs this project up every night, and says so when nothing did.

    Raises `IdentityError` where such a backup has nobody to be encrypted for, or such a drill no key.
    """
    if settings.environment == "prod":
        read_recipients((), settings.directory)
    if drill:
        _require_identity(settings)
    place = find_place(settings, environ)
    jobs = make_jobs(settings.environment, _minute(settings.stack_name, socket.gethostname()), drill=drill)
    timers = [make_timer(job, settings.stack_name, place) for job in jobs]
    if secret := [name for name in _SECRET if environ.get(name)]:
        console.warn(
            f"not in the units, which everybody can read: {', '.join(secret)}. A webhook belongs into the env file,"
            f" S3_ACCESS_KEY and S3_SECRET_KEY into {settings.secrets_folder / 'backup'}."
        )
    if not install:
        show_timers(timers, console)
        return
    install_timers(timers)
    for job, timer in zip(jobs, timers, strict=True):
        console.done(f"{timer.name}.timer: inv {' '.join(job.words)} ({job.cron})")
    console.say(
        f"systemctl list-timers '{settings.stack_name}-*' shows when, journalctl -u {timers[0].name} how it went"
    )


def make_jobs(environment: str, minute: int, *, drill: bool) -> list[Job]:
    """Give the jobs, with the minute after midnight at which this host begins.

    It is the same every night: where each day had a time of its own, a backup could be older than a day allows before
    the next is due.
    """
    env = ("--env", environment)
    jobs = [
        Job(
            name="backup",
            description="Back up the data",
            words=("backup.create", *env),
            calendar=f"*-*-* {_clock(minute)}:00",
            cron=f"{_cron(minute)} * * *",
            remark="At night, each host at a minute of its own.",
            attempts=3,
            longest=_LONGEST,
        ),
        Job(
            name="backup-prune",
            description="Thin out the backups",
            words=("backup.prune", "--yes", *env),
            calendar=f"*-*-* {_clock(minute + 180)}:00",
            cron=f"{_cron(minute + 180)} * * *",
            remark="After the backup. It does no harm where that takes longer, or failed.",
        ),
        Job(
            name="backup-check",
            description="Look for a fresh backup",
            words=("backup.check", "--max-age", "26h", "--notify", *env),
            calendar="*-*-* 00/6:13:00",
            cron="13 */6 * * *",
            remark="The first after the night finds what is missing. Not when the host comes back: it backs up then.",
            catch_up=False,
        ),
    ]
    weekly = Job(
        name="backup-drill",
        description="Restore a backup on trial",
        words=("backup.drill", *env),
        calendar=f"Sun *-*-* {_clock(minute + 240)}:00",
        cron=f"{_cron(minute + 240)} * * 0",
        remark="When fewest people want the processors.",
        longest=_LONGEST,
    )
    return [*jobs, weekly] if drill else jobs


def _minute(stack: str, host: str) -> int:
    """Choose the minute after midnight: hosts that share a store do not begin together."""
    return _FIRST + int.from_bytes(hashlib.sha256(f"{host}/{stack}".encode()).digest()) % _WINDOW


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _cron(minute: int) -> str:
    return f"{minute % 60} {minute // 60}"


def _require_identity(settings: Settings) -> None:
    """Make sure that a drill by night has its key; a plain backup of development needs none."""
    named = settings.variables.BACKUP_IDENTITY
    if not named and settings.environment == "prod":
        cure = "A key of its own for this host (inv backup.keygen), named by BACKUP_IDENTITY in the env file."
        raise IdentityError("a drill opens backups, and this host has no identity", cure=cure)
    if named and not (settings.directory / named).is_file():
        raise IdentityError(f"BACKUP_IDENTITY={named}: no such file in {settings.directory}", cure="Name the file.")
