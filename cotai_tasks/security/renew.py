"""Renewing the certificate while there is time to mend what fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cotai_tasks.errors import CertificateError
from cotai_tasks.lock import stack_lock
from cotai_tasks.security.certs import Way, certs
from cotai_tasks.security.installed import (
    SERVICE,
    SOON,
    Installed,
    proxy_runs,
    read_installed,
    require_tls,
    served_serial,
    take_up,
)
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

_SHARE = 3
"""A certificate is renewed once a third of its life is left: 30 of 90 days, which leaves ten before it is a worry."""


def renew(
    *, force: bool, dry_run: bool = False, settings: Settings, engine: Engine, console: Console
) -> Installed | None:
    """Renew the certificate the way it was got, if it is due; None when there was nothing to do.

    Raises `CertificateError` when there is none, when it could not be had, or when only a person can bring a new one
    and little time is left.
    """
    require_tls(settings)
    stack = open_stack(settings, engine)
    installed = read_installed(stack, engine)
    if not installed:
        raise CertificateError(
            f"{settings.stack_name} has no certificate to renew",
            cure="Get the first one: inv security.certs --self-signed, --acme, or --cert FILE --key FILE.",
        )
    now = datetime.now(UTC)
    reason = "--force" if force else why_due(installed, settings.server_names, now)
    if not reason:
        if proxy_runs(stack, engine) and served_serial(settings.server_names[0], stack, engine) != installed.serial:
            _catch_up(installed, dry_run=dry_run, settings=settings, stack=stack, engine=engine, console=console)
            return None
        console.done(f"nothing to do: {', '.join(installed.names)} is valid for {days_left(installed, now)} days more")
        return None
    if installed.method == "files":
        _ask_for_another(installed, settings.server_names, now, console)
        return None
    # The terms of service were agreed to when the first one was got, and so was the rehearsal passed.
    way = Way(installed.method, rehearse=False)
    console.say(f"renewing: {reason}")
    return certs(way, yes=True, dry_run=dry_run, settings=settings, engine=engine, console=console)


def why_due(installed: Installed, names: Sequence[str], now: datetime) -> str:
    """Say why a certificate must be renewed; nothing while it is good for longer than a third of its life."""
    if missing := installed.lacks(names):
        return f"SERVER_NAME has {', '.join(missing)}, the certificate has not"
    if installed.left(now) <= installed.lifetime / _SHARE:
        return f"{max(days_left(installed, now), 0)} days are left"
    return ""


def days_left(installed: Installed, now: datetime) -> int:
    """Count the whole days until the end; negative once it is over."""
    return installed.left(now) // timedelta(days=1)


def _catch_up(
    installed: Installed, *, dry_run: bool, settings: Settings, stack: Stack, engine: Engine, console: Console
) -> None:
    """Finish what an interrupted command left: the certificate is in its place, and nginx was not told."""
    console.say("nginx shows another certificate than the one that is installed")
    if dry_run:
        console.say("would tell it to reload")
        return
    with stack_lock(stack, engine, "security.renew"):
        engine.execute(stack.project, SERVICE, ["nginx", "-t"])
        take_up(installed, settings.server_names[0], stack=stack, engine=engine, console=console)


def _ask_for_another(installed: Installed, names: Sequence[str], now: datetime, console: Console) -> None:
    """Say what a person must do; an error once users are refused, or soon will be."""
    left = days_left(installed, now)
    ending = f"the certificate of {installed.issuer} ends on {installed.not_after:%Y-%m-%d} ({left} days)"
    cure = f"Whoever got it from {installed.issuer} brings the next: inv security.certs --cert FILE --key FILE."
    if missing := installed.lacks(names):
        raise CertificateError(f"the certificate of {installed.issuer} is not for {', '.join(missing)}", cure=cure)
    if left < SOON:
        raise CertificateError(ending, cure=cure)
    console.warn(f"{ending}. {cure}")
