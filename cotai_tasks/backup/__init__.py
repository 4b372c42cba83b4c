"""Backups of a whole stack: encrypted, streamed, verified, restored.

Its procedures are imported on first use, so that `inv --list`, which reads this folder's tasks, stays instant. None has
the name of the module that it is in: that would be the module's, once it is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cotai_tasks.backup.catalogue import Entry, open_catalogue
    from cotai_tasks.backup.check import judge as judge_freshness
    from cotai_tasks.backup.create import Created, Wish
    from cotai_tasks.backup.create import create as create_backup
    from cotai_tasks.backup.rehearse import Outcome as Rehearsal
    from cotai_tasks.backup.rehearse import drill as drill_backup
    from cotai_tasks.backup.restore import restore as restore_backup
    from cotai_tasks.backup.retention import Decision, read_keep
    from cotai_tasks.backup.retention import plan as plan_retention
    from cotai_tasks.backup.verify import verify as verify_backup

__all__ = [
    "Created",
    "Decision",
    "Entry",
    "Rehearsal",
    "Wish",
    "create_backup",
    "drill_backup",
    "judge_freshness",
    "open_catalogue",
    "plan_retention",
    "read_keep",
    "restore_backup",
    "verify_backup",
]

_PLACES = {
    "Created": ("create", "Created"),
    "Decision": ("retention", "Decision"),
    "Entry": ("catalogue", "Entry"),
    "Rehearsal": ("rehearse", "Outcome"),
    "Wish": ("create", "Wish"),
    "create_backup": ("create", "create"),
    "drill_backup": ("rehearse", "drill"),
    "judge_freshness": ("check", "judge"),
    "open_catalogue": ("catalogue", "open_catalogue"),
    "plan_retention": ("retention", "plan"),
    "read_keep": ("retention", "read_keep"),
    "restore_backup": ("restore", "restore"),
    "verify_backup": ("verify", "verify"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes are of any type
    """Import a public procedure when somebody asks for it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, found = _PLACES[name]
    return getattr(import_module(f"cotai_tasks.backup.{module}"), found)
