"""Trivy's database of known vulnerabilities: how old it is, and whether that is too old to believe."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cotai_tasks.security.scanning.tools import ScannerError

if TYPE_CHECKING:
    from cotai_tasks.security.scanning.tools import Tool

MAX_AGE = timedelta(days=7)
"""Each day brings new vulnerabilities: an image that passes an older database has passed nothing."""

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""A database that was never filled says that it is of the year 1."""


def fresh_database(trivy: Tool, now: datetime) -> str:
    """Say why there is no database to believe, after a try to fetch one; the empty string where there is."""
    fault = judge_database(_updated(trivy), now)
    if not fault:
        return ""
    try:
        trivy.run(["image", "--download-db-only", "--quiet"], directory=Path.cwd())
    except ScannerError as error:
        return f"{fault}, and it cannot be fetched: {str(error).rpartition(': ')[2]}"
    return judge_database(_updated(trivy), now)


def judge_database(updated: datetime | None, now: datetime) -> str:
    """Say what is wrong with a database of that time; the empty string where nothing is."""
    if not updated or updated < _BEGINNING:
        return "there is no database of known vulnerabilities"
    if now - updated > MAX_AGE:
        days = (now - updated) // timedelta(days=1)
        return f"the database of known vulnerabilities is {days} days old ({updated:%Y-%m-%d})"
    return ""


def read_updated(text: str) -> datetime | None:
    """Read from `trivy version --format json` when its database was made."""
    told = (json.loads(text).get("VulnerabilityDB") or {}).get("UpdatedAt")
    if not told:
        return None
    return datetime.fromisoformat(told[:19]).replace(tzinfo=UTC)  # it writes nanoseconds


def _updated(trivy: Tool) -> datetime | None:
    return read_updated(trivy.run(["version", "--format", "json"], directory=Path.cwd()))
