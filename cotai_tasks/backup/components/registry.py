"""Which components there are, in the order in which they are dumped and restored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.backup.components.config import Config
from cotai_tasks.backup.components.mongodb import MongoDB
from cotai_tasks.backup.components.postgres import Postgres
from cotai_tasks.backup.components.postgres_physical import PostgresPhysical
from cotai_tasks.backup.components.redis import Redis
from cotai_tasks.backup.components.volumes import Volumes
from cotai_tasks.backup.manifest import COMPONENTS, DEFAULT_COMPONENTS
from cotai_tasks.errors import UsageError, nearest
from cotai_tasks.stack import split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.backup.components.base import Component


def all_components(*, encrypted: bool = True, queued_tasks: bool = False) -> dict[str, Component]:
    """Give every component by its name.

    A plain backup holds no secrets; a restored Redis holds the tasks that were queued only where that is asked for.
    """
    made: tuple[Component, ...] = (
        Postgres(),
        PostgresPhysical(),
        MongoDB(),
        Redis(queued_tasks=queued_tasks),
        Volumes(),
        Config(encrypted=encrypted),
    )
    return {one.name: one for one in made}


def named(only: str, known: Sequence[str] = COMPONENTS, default: Sequence[str] = DEFAULT_COMPONENTS) -> tuple[str, ...]:
    """Give the components of a comma-separated list in their usual order; the default ones where it is empty."""
    wanted = split(only)
    for name in wanted:
        if name not in known:
            raise UsageError(f"no such component: {name!r}", cure=nearest(name, known))
    return tuple(name for name in known if name in wanted) if wanted else tuple(default)
