"""Asking Nginx as users do, from within its own container: where it runs, a port may be published elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cotai_tasks.engine import Engine
    from cotai_tasks.stack import Stack

PROXY = "nginx"
MAINTENANCE = "proxy/maintenance"
"""The folder in which a file tells Nginx to answer 503 (nginx/snippets/maintenance.conf)."""


def ask(path: str, host: str, stack: Stack, engine: Engine, *, patience: int) -> str:
    """Ask for a page over TLS under a host name, for so many seconds; give the status.

    Whoever signed the certificate is not judged here. Raises `EngineError` when there is no answer.
    """
    address = f"{host}:8443"
    shown = ("--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}")
    command = ["curl", "--insecure", "--max-time", str(patience), *shown, "--resolve", f"{address}:127.0.0.1"]
    return engine.execute(stack.project, PROXY, [*command, f"https://{address}{path}"]).strip()
