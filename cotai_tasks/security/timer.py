"""Renewal without anybody thinking of it: a systemd timer, or a line for cron."""

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
    from collections.abc import Mapping

    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings

_UNITS = Path("/etc/systemd/system")
_BOOTED = Path("/run/systemd/system")
"""Exists where systemd is PID 1: sd_booted(3)."""

_SERVICE = """\
[Unit]
Description=Renew the TLS certificate of {stack}
Wants=network-online.target
After=network-online.target docker.service

[Service]
Type=oneshot
User={user}
WorkingDirectory={directory}
{environment}ExecStart={command}
"""
_TIMER = """\
[Unit]
Description=Renew the TLS certificate of {stack} in time

[Timer]
# Twice a day, not on the hour, as authorities ask for: most runs find nothing to do.
OnCalendar=*-*-* 03,15:17:00
RandomizedDelaySec=1h
Persistent=true

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Schedule:
    """What renews a stack's certificate by itself."""

    name: str
    """Of the systemd units."""
    service: str
    timer: str
    cron: str


def make_schedule(stack: str, directory: Path, user: str, inv: Path, variables: Mapping[str, str]) -> Schedule:
    """Write the units and the cron line that run `inv security.renew` in a project's folder, with these variables."""
    words = [str(inv), "security.renew", "--env", "prod"]
    command = " ".join(_systemd_word(word) for word in words)
    environment = "".join(f"Environment={_assignment(name, value)}\n" for name, value in variables.items())
    service = _SERVICE.format(
        stack=stack,
        user=user,
        directory=str(directory).replace("%", "%%"),
        environment=environment,
        command=command,
    )
    assignments = "".join(f"{name}={shlex.quote(value)} " for name, value in variables.items())
    line = f"cd {shlex.quote(str(directory))} && {assignments}{shlex.join(words)}"
    cron = f"17 3,15 * * * {line}".replace("%", r"\%")
    return Schedule(f"{stack}-renew", service, _TIMER.format(stack=stack), cron)


def schedule(settings: Settings, environ: Mapping[str, str]) -> Schedule:
    """Give the schedule of this project, run by whoever owns its folder: the secrets are readable to nobody else."""
    owner = pwd.getpwuid(settings.directory.stat().st_uid).pw_name
    inv = Path(sys.executable).parent / "inv"
    return make_schedule(settings.stack_name, settings.directory, owner, inv, _kept(settings, environ))


def _kept(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that say which engine and which settings are meant; a unit can be read by everybody."""
    plain, public = settings.variables.plain(), settings.variables.public()
    secrets = {name: value for name, value in plain.items() if name not in public}
    return {
        name: value
        for name, value in sorted(environ.items())
        if name.startswith(("DOCKER_", "COTAI_", "INVOKE_COTAI_"))
        and not name.endswith(tuple(secrets))
        and value not in secrets.values()
    }


def show_schedule(made: Schedule, console: Console) -> None:
    """Print the units and the cron line."""
    for name, text in ((f"{made.name}.service", made.service), (f"{made.name}.timer", made.timer)):
        console.out(f"# {_UNITS / name}\n{text}")
    console.out(f"# or, without systemd, in crontab -e:\n{made.cron}")


def install_timer(made: Schedule, console: Console, *, units: Path = _UNITS, booted: Path = _BOOTED) -> None:
    """Install the units and start the timer; raise `PreflightError` where systemd does not run or we are not root."""
    if not booted.is_dir():
        raise PreflightError("systemd does not run this host", cure=f"Add this to crontab -e: {made.cron}")
    if os.geteuid():
        raise PreflightError(
            "only root may install a timer", cure="Repeat with sudo, or write what --timer prints to the places named."
        )
    (units / f"{made.name}.service").write_text(made.service)
    (units / f"{made.name}.timer").write_text(made.timer)
    for command in (["daemon-reload"], ["enable", "--now", f"{made.name}.timer"]):
        done = subprocess.run(["systemctl", *command], capture_output=True, text=True, check=False)  # noqa: S607 - where the system has it
        if done.returncode:
            raise PreflightError(f"systemctl {command[0]} failed", evidence=done.stderr)
    console.done(
        f"{made.name}.timer renews twice a day; systemctl list-timers shows when, journalctl -u {made.name} how"
    )


def _assignment(name: str, value: str) -> str:
    """Quote NAME=value for Environment=, where $ stands for itself (systemd.exec(5))."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{name}={escaped}"'


def _systemd_word(word: str) -> str:
    """Quote a word for ExecStart: blanks split, % and $ stand for something (systemd.service(5))."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or " " in word else word
