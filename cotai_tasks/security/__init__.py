"""Secrets and certificates of a stack.

Its procedures are imported on first use, so that `inv --list`, which reads this folder's tasks, stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cotai_tasks.security.certs import install_self_signed
    from cotai_tasks.security.preflight import check_certificate
    from cotai_tasks.security.secrets import check_secrets, make_secrets, secret_folders, secret_warnings

__all__ = [
    "check_certificate",
    "check_secrets",
    "install_self_signed",
    "make_secrets",
    "secret_folders",
    "secret_warnings",
]

_HOMES = {"check_certificate": "preflight", "install_self_signed": "certs"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes are of any type
    """Import a public procedure when somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"cotai_tasks.security.{_HOMES.get(name, 'secrets')}"), name)
