"""What a deploy wants to know of certificates before it starts anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cotai_tasks.errors import Finding
from cotai_tasks.security.certs_status import find_fault
from cotai_tasks.security.installed import read_installed

if TYPE_CHECKING:
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

_CURE = "inv security.certs --self-signed makes one at once; --acme gets one that browsers know."


def check_certificate(
    stack: Stack, *, settings: Settings, engine: Engine, now: datetime | None = None
) -> list[Finding]:
    """Find why nginx could not start, or why a browser would refuse what it shows."""
    installed = read_installed(stack, engine)
    if not installed:
        return [Finding("certificate", "none is installed", _CURE)]
    left = installed.left(now or datetime.now(UTC))
    fault = find_fault(installed, settings.server_names, left=left, served="")
    return [Finding("certificate", fault, _CURE)] if fault else []
