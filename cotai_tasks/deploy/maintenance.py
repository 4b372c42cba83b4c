"""Closing the stack to its users, and opening it again, without a restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cotai_tasks.deploy.proxy import MAINTENANCE, PROXY, ask
from cotai_tasks.errors import UnhealthyError, UsageError
from cotai_tasks.facts import running_services
from cotai_tasks.lock import stack_lock
from cotai_tasks.stack import open_stack
from cotai_tasks.volumes import VolumeFile, get_folder, put_folders

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

FLAG = "on"
"""Nginx answers 503 as long as this file is there: it looks at every request."""

_NGINX_UID = 101
_CLOSED = "503"
_PATIENCE = 5.0
"""Seconds for Nginx to see the file; it sees it at once, but it may be reloading."""


def set_maintenance(wanted: str, *, dry_run: bool, settings: Settings, engine: Engine, console: Console) -> bool:
    """Close the stack (`on`) or open it (`off`), and ask Nginx whether it is; tell whether anything changed.

    Raises `UsageError` for another word and where no Nginx runs, `UnhealthyError` when Nginx answers otherwise.
    """
    if wanted not in {"on", "off"}:
        raise UsageError(f"maintenance can be on or off, not {wanted!r}")
    stack = open_stack(settings, engine)
    name = stack.project.name
    if PROXY not in running_services(engine.containers(name)):
        raise UsageError(f"no nginx of {name} runs: there is nothing to close", cure="inv deploy.prod starts it.")
    closed = FLAG in get_folder(stack, engine, MAINTENANCE)
    if closed == (wanted == "on"):
        console.done(f"{name}: nothing to do, maintenance is {wanted}")
        return False
    if dry_run:
        console.say(f"would turn maintenance of {name} {wanted}")
        return False
    with stack_lock(stack, engine, "maintenance"):
        files = {FLAG: VolumeFile(b"", uid=_NGINX_UID)} if wanted == "on" else {}
        put_folders(stack, engine, {MAINTENANCE: files})
        status = _ask_until(wanted, stack, settings.server_names[0], engine)
    console.done(f"{name}: maintenance is {wanted}, users get {status}")
    return True


def _ask_until(wanted: str, stack: Stack, host: str, engine: Engine) -> str:
    """Ask for the front page until Nginx has seen the file; give the status."""
    until = time.monotonic() + _PATIENCE
    while True:
        status = ask("/", host, stack, engine, patience=5)
        if (status == _CLOSED) == (wanted == "on"):
            return status
        if time.monotonic() > until:
            cure = "inv deploy.logs --svc nginx shows why."
            raise UnhealthyError(f"maintenance is {wanted}, but nginx answers {status}", cure=cure)
        time.sleep(0.5)
