"""Reports as files, each of them whole or not there, and the memory of the runs before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cotai_tasks.files import replace_file
from cotai_tasks.validate.reports.history import KEPT, remember
from cotai_tasks.validate.reports.junit import junit
from cotai_tasks.validate.reports.page import page
from cotai_tasks.validate.reports.sarif import sarif
from cotai_tasks.validate.reports.summary import summary

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.validate.reports.history import Run

_MODE = 0o644


def write_reports(document: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Write every report of a run into a folder, and remember the run; give the files by their kind."""
    texts = {
        "html": ("report.html", page(document)),
        "json": ("report.json", _json(document)),
        "junit": ("junit.xml", junit(document)),
        "sarif": ("report.sarif", _json(sarif(document))),
        "summary": ("summary.md", summary(document)),
    }
    kept = folder / "history"
    kept.mkdir(parents=True, exist_ok=True)
    for name, text in texts.values():
        replace_file(folder / name, text.encode(), _MODE)
    stamp = document["started"].replace(":", "").replace("+0000", "Z")
    replace_file(kept / f"{stamp}.json", json.dumps(remember(document)).encode(), _MODE)
    for old in sorted(kept.glob("*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return {kind: folder / name for kind, (name, _) in texts.items()}


def previous(folder: Path) -> list[Run]:
    """Give the runs that a folder remembers, the oldest first; what cannot be read is nothing to compare with."""
    found = [_read(path) for path in sorted((folder / "history").glob("*.json"))]
    return [one for one in found if one]


def _read(path: Path) -> Run:
    try:
        found: Run = json.loads(path.read_bytes())
        return found if found["schema_version"] == 1 else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
