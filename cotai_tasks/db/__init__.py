"""Databases: their clients, schema, settings and state.

Its procedures are imported on first use, so that `inv --list`, which reads this folder's tasks, stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cotai_tasks.db.migrate import revision
    from cotai_tasks.db.shell import ask, one_command

__all__ = ["ask", "one_command", "revision"]

_HOMES = {"revision": "migrate"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes are of any type
    """Import a public procedure when somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"cotai_tasks.db.{_HOMES.get(name, 'shell')}"), name)
