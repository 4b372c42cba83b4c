"""Backups of a whole stack: encrypted, streamed, verified, restored.

Its procedures are imported on first use, so that `inv --list`, which reads this folder's tasks, stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cotai_tasks.backup.catalogue import open_catalogue
    from cotai_tasks.backup.check import judge as judge_freshness
    from cotai_tasks.backup.create import Wish, create
    from cotai_tasks.backup.rehearse import drill
    from cotai_tasks.backup.restore import restore
    from cotai_tasks.backup.retention import plan as plan_retention
    from cotai_tasks.backup.retention import read_keep
    from cotai_tasks.backup.verify import verify

__all__ = [
    "Wish",
    "create",
    "drill",
    "judge_freshness",
    "open_catalogue",
    "plan_retention",
    "read_keep",
    "restore",
    "verify",
]

_PLACES = {
    "Wish": ("create", "Wish"),
    "create": ("create", "create"),
    "drill": ("rehearse", "drill"),
    "judge_freshness": ("check", "judge"),
    "open_catalogue": ("catalogue", "open_catalogue"),
    "plan_retention": ("retention", "plan"),
    "read_keep": ("retention", "read_keep"),
    "restore": ("restore", "restore"),
    "verify": ("verify", "verify"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes are of any type
    """Import a public procedure when somebody asks for it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, found = _PLACES[name]
    return getattr(import_module(f"cotai_tasks.backup.{module}"), found)
