"""Invoke tasks that take a Python + AI stack from `git clone` to a safe production, and keep it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invoke.collection import Collection

    ns: Collection

__version__ = "0.1.0"
__all__ = ["__version__", "ns"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes are of any type
    """Import the task collection only when somebody asks for it (`from cotai_tasks import ns`)."""
    if name != "ns":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cotai_tasks.namespace import ns

    return ns
