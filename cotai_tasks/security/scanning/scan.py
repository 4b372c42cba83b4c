"""`security.scan`: every scanner on what it is for, in one report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cotai_tasks.errors import UsageError, nearest
from cotai_tasks.security.scanning.exemptions import exempt, load_exemptions, unused
from cotai_tasks.security.scanning.files import scan_files
from cotai_tasks.security.scanning.flaws import PARTS, join
from cotai_tasks.security.scanning.images import scan_images, stack_images

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.security.scanning.flaws import Part, Report
    from cotai_tasks.settings import Settings


def scan(
    parts: Collection[Part],
    *,
    images: Sequence[str] = (),
    settings: Settings,
    engine: Engine | None,
    console: Console,
    now: datetime | None = None,
) -> Report:
    """Scan the parts of one stack and its project; without `images`, those of our own that the stack uses.

    Only images need an engine. What the list of exceptions names is taken out. What could not be looked at is in
    `skipped`, with its reason. Raises `SettingsError` for a list of exceptions that has faults.
    """
    at = now or datetime.now(UTC)
    exemptions = load_exemptions(settings)
    reports = [scan_files(parts, settings=settings, console=console)]
    if "images" in parts:
        chosen = images or (stack_images(settings, engine) if engine else ())
        reports.append(scan_images(chosen, engine=engine, console=console, now=at))
    found = join(reports)
    warnings = unused(found, exemptions, parts)
    return replace(exempt(found, exemptions, at.date()), warnings=tuple(warnings))


def read_parts(names: Sequence[str]) -> list[Part]:
    """Read the parts as they are typed; none means all. Raises `UsageError` for one that does not exist."""
    for name in names:
        if name not in PARTS:
            raise UsageError(f"--what {name}: no such part", cure=nearest(name, PARTS))
    return [one for one in PARTS if one in names or not names]
