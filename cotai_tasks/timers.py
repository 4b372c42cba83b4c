"""Commands of ours that run by themselves: systemd's timers, or lines for cron."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cotai_tasks.errors import PreflightError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings

UNITS = Path("/etc/systemd/system")
BOOTED = Path("/run/systemd/system")
"""Exists where systemd is PID 1: sd_booted(3)."""

_PLACES = frozenset(
    {
        "AWS_CA_BUNDLE",
        "AWS_CONFIG_FILE",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_SHARED_CREDENTIALS_FILE",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
    }
)
"""Variables of others that say where something is: what works at a terminal works by itself."""

_SERVICE = """\
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target docker.service
{limit}
[Service]
Type=oneshot
User={user}
WorkingDirectory={directory}
{environment}ExecStart={command}
{longest}{retry}"""
_TIMER = """\
[Unit]
Description={description}: when

[Timer]
# {remark}
OnCalendar={calendar}
{spread}Persistent={catch_up}

[Install]
WantedBy=timers.target
"""
_LIMIT = """\
StartLimitIntervalSec=12h
StartLimitBurst={attempts}
"""
_RETRY = """\
Restart=on-failure
RestartSec=20min
# A fault of the settings or the keys does not mend itself: docs/errors.md.
RestartPreventExitStatus=2 3 16
"""


@dataclass(frozen=True)
class Job:
    """A command of ours, and when it runs."""

    name: str
    """Of the units, after the stack's: `backup` makes `cotai-prod-backup`."""
    description: str
    words: tuple[str, ...]
    """The task and its flags."""
    calendar: str
    """As systemd.time(7) takes it."""
    cron: str
    """The same five fields of crontab(5)."""
    remark: str
    """Why then."""
    spread: str = ""
    """A time by which each run is put off at random."""
    catch_up: bool = True
    """Whether it runs at once where the host was off at its time."""
    attempts: int = 1
    """How often it is tried until it succeeds, under systemd."""
    longest: str = ""
    """After which time it is ended, under systemd: while one run hangs, no other begins."""


@dataclass(frozen=True)
class Place:
    """Where jobs run: in a project's folder, as whoever owns it, because nobody else can read its secrets."""

    directory: Path
    user: str
    inv: Path
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Timer:
    """What runs one job by itself."""

    name: str
    """Of its systemd units."""
    service: str
    timer: str
    cron: str


def find_place(settings: Settings, environ: Mapping[str, str]) -> Place:
    """Give the place of this project, with the variables that say which engine and which settings are meant."""
    owner = pwd.getpwuid(settings.directory.stat().st_uid).pw_name
    return Place(settings.directory, owner, Path(sys.executable).parent / "inv", _kept(settings, environ))


def make_timer(job: Job, stack: str, place: Place) -> Timer:
    """Write the units and the cron line of a job."""
    words = [str(place.inv), *job.words]
    service = _SERVICE.format(
        description=f"{job.description} of {stack}",
        limit=_LIMIT.format(attempts=job.attempts) if job.attempts > 1 else "",
        user=place.user,
        directory=str(place.directory).replace("%", "%%"),
        environment="".join(f"Environment={_assignment(name, value)}\n" for name, value in place.variables.items()),
        command=" ".join(_systemd_word(word) for word in words),
        longest=f"TimeoutStartSec={job.longest}\n" if job.longest else "",
        retry=_RETRY if job.attempts > 1 else "",
    )
    timer = _TIMER.format(
        description=f"{job.description} of {stack}",
        remark=job.remark,
        calendar=job.calendar,
        spread=f"RandomizedDelaySec={job.spread}\n" if job.spread else "",
        catch_up=str(job.catch_up).lower(),
    )
    assignments = "".join(f"{name}={shlex.quote(value)} " for name, value in place.variables.items())
    line = f"cd {shlex.quote(str(place.directory))} && {assignments}{shlex.join(words)}"
    return Timer(f"{stack}-{job.name}", service, timer, f"{job.cron} {line}".replace("%", r"\%"))


def show_timers(timers: Sequence[Timer], console: Console) -> None:
    """Print the units and the cron lines."""
    for one in timers:
        for name, text in ((f"{one.name}.service", one.service), (f"{one.name}.timer", one.timer)):
            console.out(f"# {UNITS / name}\n{text}")
    lines = "\n".join(one.cron for one in timers)
    console.out(f"# or, without systemd, in crontab -e:\n{lines}")


def install_timers(timers: Sequence[Timer], *, units: Path = UNITS, booted: Path = BOOTED) -> None:
    """Install the units and start the timers; raise `PreflightError` where systemd does not run or we are not root."""
    if not booted.is_dir():
        lines = "\n".join(one.cron for one in timers)
        raise PreflightError("systemd does not run this host", cure=f"Add this to crontab -e: {lines}")
    if os.geteuid():
        raise PreflightError(
            "only root may install a timer", cure="Repeat with sudo, or write what is printed to the places named."
        )
    for one in timers:
        (units / f"{one.name}.service").write_text(one.service)
        (units / f"{one.name}.timer").write_text(one.timer)
    for command in (["daemon-reload"], ["enable", "--now", *(f"{one.name}.timer" for one in timers)]):
        done = subprocess.run(["systemctl", *command], capture_output=True, text=True, check=False)  # noqa: S607 - where the system has it
        if done.returncode:
            raise PreflightError(f"systemctl {command[0]} failed", evidence=done.stderr)


def _kept(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that the settings were made from; a unit can be read by everybody, so none that is secret."""
    plain, public = settings.variables.plain(), settings.variables.public()
    secrets = {name: value for name, value in plain.items() if name not in public or name.endswith("WEBHOOK_URL")}
    hidden = {value for value in secrets.values() if value}
    return {
        name: value
        for name, value in sorted(environ.items())
        if (name.startswith(("DOCKER_", "COTAI_", "INVOKE_COTAI_")) or name in public or name in _PLACES)
        and not name.endswith(tuple(secrets))
        and value not in hidden
    }


def _assignment(name: str, value: str) -> str:
    """Quote NAME=value for Environment=, where $ stands for itself (systemd.exec(5))."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{name}={escaped}"'


def _systemd_word(word: str) -> str:
    """Quote a word for ExecStart: blanks split, % and $ stand for something (systemd.service(5))."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or " " in word else word
