"""What a deploy wants to know of certificates before it starts anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cotai_tasks.errors import Finding
from cotai_tasks.security.certs_status import find_fault
from cotai_tasks.security.installed import installed_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.settings import Settings

_CURE = "inv security.certs --self-signed makes one at once; --acme gets one that browsers know."


def check_certificate(files: Mapping[str, bytes], *, settings: Settings, now: datetime | None = None) -> list[Finding]:
    """Find why nginx could not start with its `CERTIFICATE_FILES`, or why a browser would refuse what it shows."""
    installed = installed_in(files)
    if not installed:
        return [Finding("certificate", "none is installed", _CURE)]
    left = installed.left(now or datetime.now(UTC))
    fault = find_fault(installed, settings.server_names, left=left, served="")
    return [Finding("certificate", fault, _CURE)] if fault else []
