"""Which certificate is installed, how long it lives, and whether nginx shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.markup import escape

from cotai_tasks.errors import CertificateError
from cotai_tasks.security.installed import SOON, Installed, proxy_runs, read_installed, require_tls, served_serial
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings


@dataclass(frozen=True)
class CertificateStatus:
    """What one stack has, and what is wrong with it."""

    stack: str
    installed: Installed | None
    days_left: int
    served: str
    """`yes`, `no` (nginx shows another one), or `nginx does not run`."""
    fault: str
    """Why a browser would refuse it; empty when it would not."""
    warning: str
    """What goes wrong before long."""


def certificate_status(*, settings: Settings, engine: Engine, now: datetime | None = None) -> CertificateStatus:
    """Read which certificate the stack has, and ask nginx over TLS which one it shows."""
    require_tls(settings)
    stack = open_stack(settings, engine)
    installed = read_installed(stack, engine)
    if not installed:
        return CertificateStatus(settings.stack_name, None, 0, served="no", fault="none is installed", warning="")
    served = "nginx does not run"
    if proxy_runs(stack, engine):
        same = served_serial(settings.server_names[0], stack, engine) == installed.serial
        served = "yes" if same else "no"
    left = installed.left(now or datetime.now(UTC))
    days = left // timedelta(days=1)
    return CertificateStatus(
        settings.stack_name,
        installed,
        days,
        served,
        fault=find_fault(installed, settings.server_names, left=left, served=served),
        warning=f"it ends in {days} days" if left < timedelta(days=SOON) else "",
    )


def find_fault(installed: Installed, names: Sequence[str], *, left: timedelta, served: str) -> str:
    """Say why a browser would refuse it, or why what it sees is another one."""
    if left < timedelta(0):
        return f"it expired on {installed.not_after:%Y-%m-%d %H:%M} UTC"
    if left > installed.lifetime:
        return f"it is valid only from {installed.not_before:%Y-%m-%d %H:%M} UTC on"
    if missing := installed.lacks(names):
        return f"it is not for {', '.join(missing)}"
    return "nginx shows another one" if served == "no" else ""


def show_certificate(status: CertificateStatus, *, as_json: bool, console: Console) -> None:
    """Print the status; raise `CertificateError` when a browser would refuse what it is shown."""
    if as_json:
        console.json(as_facts(status))
    elif status.installed:
        console.table(("stack", "names", "issuer", "method", "valid until", "days left", "served"), [_row(status)])
    if status.fault:
        raise CertificateError(f"the certificate of {status.stack}: {status.fault}", cure=_cure(status))
    if status.warning:
        console.warn(f"the certificate of {status.stack}: {status.warning}. {_cure(status)}")


def as_facts(status: CertificateStatus) -> dict[str, object]:
    """Give the status as JSON takes it."""
    return {
        "stack": status.stack,
        "installed": status.installed.facts() if status.installed else None,
        "days_left": status.days_left,
        "served": status.served == "yes",
        "fault": status.fault,
        "warning": status.warning,
    }


def _row(status: CertificateStatus) -> tuple[str, ...]:
    found = status.installed
    assert found  # noqa: S101 - the caller looked
    colour = "red" if status.fault else "yellow" if status.warning else "green"
    return (
        status.stack,
        escape(", ".join(found.names)),
        escape(found.issuer),
        found.method,
        f"{found.not_after:%Y-%m-%d %H:%M} UTC",
        f"[{colour}]{status.days_left}[/]",
        status.served,
    )


def _cure(status: CertificateStatus) -> str:
    if not status.installed:
        return "Get one: inv security.certs --self-signed, --acme, or --cert FILE --key FILE."
    if status.fault == "nginx shows another one":
        return "inv deploy.restart --svc nginx, and inv deploy.logs --svc nginx if that does not help."
    if status.installed.method == "files":
        return "Bring another: inv security.certs --cert FILE --key FILE."
    return "inv security.renew renews it."
