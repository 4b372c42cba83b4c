"""The day-to-day eyes on a stack: its containers, its logs, its metrics, and one verdict on all of it.

Its procedures are imported on first use, so that `inv --list`, which reads this folder's tasks, stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cotai_tasks.monitor.logs import show_logs
    from cotai_tasks.monitor.status import show_status

__all__ = ["show_logs", "show_status"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes are of any type
    """Import a public procedure when somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"cotai_tasks.monitor.{name.removeprefix('show_')}"), name)
