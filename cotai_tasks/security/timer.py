"""Renewal without anybody thinking of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.timers import Job, Timer, find_place, install_timers, make_timer, show_timers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings

RENEWAL = Job(
    name="renew",
    description="Renew the TLS certificate",
    words=("security.renew", "--env", "prod"),
    calendar="*-*-* 03,15:17:00",
    cron="17 3,15 * * *",
    remark="Twice a day, not on the hour, as authorities ask for: most runs find nothing to do.",
    spread="1h",
)


def make_renewal(settings: Settings, environ: Mapping[str, str]) -> Timer:
    """Give what renews this project's certificate by itself."""
    return make_timer(RENEWAL, settings.stack_name, find_place(settings, environ))


def show_timer(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Print the units and the cron line."""
    show_timers([make_renewal(settings, environ)], console)


def install_timer(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Install the units and start the timer."""
    made = make_renewal(settings, environ)
    install_timers([made])
    console.done(
        f"{made.name}.timer renews twice a day; systemctl list-timers shows when, journalctl -u {made.name} how"
    )
