"""`security.scan`: every scanner on what it is for, in one report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.security.scanning.flaws import Part, Report
    from cotai_tasks.settings import Settings


def scan(
    parts: Collection[Part],
    *,
    images: Sequence[str] = (),
    settings: Settings,
    engine: Engine,
    console: Console,
    now: datetime | None = None,
) -> Report:
    """Scan the parts of one stack and its project; without `images`, those of our own that the stack uses.

    What the list of exceptions names is taken out. What could not be looked at is in `skipped`, with its reason. Raises
    `UsageError` for an unknown part, `SettingsError` for a list of exceptions that has faults.
    """
    raise NotImplementedError
