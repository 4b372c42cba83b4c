"""Who reads a secret: the services that use its old value until they are restarted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from cotai_tasks.facts import started_at
from cotai_tasks.security.render import Material, render
from cotai_tasks.security.secrets import rotations
from cotai_tasks.security.store import SERVERS, Store

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.stack import Stack

READ_AT_ONCE = ("secrets/proxy", *(f"secrets/{server}" for server in SERVERS))
"""Folders whose readers need no restart: Nginx looks at each request, the databases were told."""


def folders_of(name: str, now: Material) -> set[str]:
    """Name the folders whose files have other values than with the old password."""
    before = replace(now, passwords={**now.passwords, name: "another"}, logins={}, also_valid={})
    old, new = render(before), render(replace(now, logins={}, also_valid={}))
    return {folder for folder in new if old[folder] != new[folder]}


def services_to_restart(name: str, now: Material, stack: Stack) -> tuple[str, ...]:
    """Name the services whose files have other values than with the old password."""
    changed = folders_of(name, now) - set(READ_AT_ONCE)
    return tuple(sorted(key for key, one in stack.services.items() if changed & one.folders and not one.one_shot))


def confirm_readers(
    name: str,
    now: Material,
    store: Store,
    stack: Stack,
    engine: Engine,
    console: Console,
    yes: bool,  # noqa: FBT001
) -> None:
    """Ask before the old value of services is made invalid that were not restarted since the new one is there."""
    since = datetime.fromisoformat(rotations(store)[name]["since"]).timestamp()
    readers = services_to_restart(name, now, stack)
    running = [one for one in engine.containers(stack.project.name) if one.state == "running"]
    late = sorted({one.service for one in running if one.service in readers and started_at(one) < since})
    if late:
        console.warn(f"not restarted since {name} was changed: {', '.join(late)}")
        console.confirm("They lose their connection. Make the old value invalid all the same?", yes=yes)
