"""Secrets and certificates of a stack, and scans of what it is made of.

Its procedures are imported on first use, so that `inv --list`, which reads this folder's tasks, stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cotai_tasks.security.benchmark import audit
    from cotai_tasks.security.certs import install_self_signed
    from cotai_tasks.security.cis import Point
    from cotai_tasks.security.installed import CERTIFICATE_FILES
    from cotai_tasks.security.preflight import check_certificate
    from cotai_tasks.security.scanning.flaws import Flaw, Part, Report, Severity, Skipped
    from cotai_tasks.security.scanning.sbom import Bill, sbom
    from cotai_tasks.security.scanning.scan import scan
    from cotai_tasks.security.scanning.tls import Grade, grade_tls
    from cotai_tasks.security.scanning.tools import MissingToolError, Tool, tool
    from cotai_tasks.security.secrets import check_secrets, make_secrets, secret_folders, secret_warnings

__all__ = [
    "CERTIFICATE_FILES",
    "Bill",
    "Flaw",
    "Grade",
    "MissingToolError",
    "Part",
    "Point",
    "Report",
    "Severity",
    "Skipped",
    "Tool",
    "audit",
    "check_certificate",
    "check_secrets",
    "grade_tls",
    "install_self_signed",
    "make_secrets",
    "sbom",
    "scan",
    "secret_folders",
    "secret_warnings",
    "tool",
]

_HOMES = {
    "CERTIFICATE_FILES": "installed",
    "check_certificate": "preflight",
    "install_self_signed": "certs",
    "Point": "cis",
    "audit": "benchmark",
    **dict.fromkeys(("Flaw", "Part", "Report", "Severity", "Skipped"), "scanning.flaws"),
    **dict.fromkeys(("Bill", "sbom"), "scanning.sbom"),
    **dict.fromkeys(("Grade", "grade_tls"), "scanning.tls"),
    **dict.fromkeys(("MissingToolError", "Tool", "tool"), "scanning.tools"),
    "scan": "scanning.scan",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes are of any type
    """Import a public procedure when somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"cotai_tasks.security.{_HOMES.get(name, 'secrets')}"), name)
