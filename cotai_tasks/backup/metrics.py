"""What Prometheus knows of backups: a file at the engine that production's node-exporter reads."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from cotai_tasks.errors import CotaiError
from cotai_tasks.volumes import VolumeFile, get_folder, put_folders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.backup.manifest import Manifest
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

FOLDER = "metrics"
FILE = "backup.prom"

METRICS = {
    "cotai_backup_last_success_timestamp_seconds": "When the newest backup was whole in its store.",
    "cotai_backup_duration_seconds": "How long that backup took.",
    "cotai_backup_size_bytes": "How large it is in its store.",
    "cotai_backup_last_failure_timestamp_seconds": "When a backup failed last.",
    "cotai_backup_drill_last_success_timestamp_seconds": "When a backup was last restored on trial and found equal.",
    "cotai_backup_drill_duration_seconds": "How long that took.",
}
"""Every metric with its explanation."""

_LINE = re.compile(r'^(cotai_\w+)\{stack="[^"]*"\} (\d+(?:\.\d+)?)$', re.MULTILINE)


def record_backup(
    stack: Stack, settings: Settings, engine: Engine, console: Console, *, manifest: Manifest, seconds: float
) -> None:
    """Record a backup that counts: of the whole stack, in its usual store."""
    found = {
        "cotai_backup_last_success_timestamp_seconds": time.time(),
        "cotai_backup_duration_seconds": seconds,
        "cotai_backup_size_bytes": float(manifest.stored_bytes),
    }
    _record(found, stack, settings, engine, console)


def record_failure(stack: Stack, settings: Settings, engine: Engine, console: Console) -> None:
    """Record that a backup failed just now."""
    _record({"cotai_backup_last_failure_timestamp_seconds": time.time()}, stack, settings, engine, console)


def record_drill(stack: Stack, settings: Settings, engine: Engine, console: Console, *, seconds: float) -> None:
    """Record that a backup was restored on trial, and found equal."""
    found = {
        "cotai_backup_drill_last_success_timestamp_seconds": time.time(),
        "cotai_backup_drill_duration_seconds": seconds,
    }
    _record(found, stack, settings, engine, console)


def render(stack: str, values: Mapping[str, float]) -> str:
    """Write metrics as Prometheus reads them."""
    return "".join(
        f'# HELP {name} {told}\n# TYPE {name} gauge\n{name}{{stack="{stack}"}} {values[name]:.3f}\n'
        for name, told in METRICS.items()
        if name in values
    )


def parse(text: str) -> dict[str, float]:
    """Read what `render` wrote."""
    return {name: float(value) for name, value in _LINE.findall(text)}


def _record(found: Mapping[str, float], stack: Stack, settings: Settings, engine: Engine, console: Console) -> None:
    """Add values to those that are there; development, whose volume nobody reads, has none.

    A backup that was made stays made: what goes wrong here is a warning.
    """
    if settings.environment != "prod":
        return
    try:
        before = get_folder(stack, engine, FOLDER)
        text = render(stack.project.name, parse(before.get(FILE, b"").decode(errors="replace")) | dict(found))
        files = before | {FILE: text.encode()}
        put_folders(stack, engine, {FOLDER: {name: VolumeFile(content) for name, content in files.items()}})
    except CotaiError as error:
        console.warn(f"Prometheus does not learn of it: {error}")
