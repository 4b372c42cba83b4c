"""Deciding what a deploy does to each service, and why: pure judgements on plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from cotai_tasks.deploy.proxy import PROXY
from cotai_tasks.stack import containers_by_service

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cotai_tasks.facts import Container, Image
    from cotai_tasks.stack import Stack

How = Literal["start", "run", "roll", "replace", "restart", "keep"]

REREAD = "a file that it reads has changed"

_NOTICED = {
    "start": "nobody: it does not run",
    "run": "nobody",
    "roll": "nobody: the new ones serve before the old ones leave",
    "replace": "whoever uses it, for seconds",
    "restart": "whoever uses it, for seconds",
    "keep": "nobody",
}


class Change(BaseModel):
    """What happens to one service, and why."""

    model_config = ConfigDict(frozen=True)

    service: str
    how: How
    """`run` is a one-shot's, `roll` starts new containers beside the old, `replace` after them; `keep` is said of a
    database that goes on as it is although it is defined anew."""
    reasons: tuple[str, ...]
    noticed: str = ""
    """By whom."""


def changes(
    stack: Stack,
    names: Sequence[str],
    *,
    images: Mapping[str, Image],
    containers: Collection[Container],
    reread: Collection[str] = (),
    databases: bool = False,
) -> list[Change]:
    """Name what changes of these services.

    `images` holds what each image's name means now, `reread` names the services that were started before a file changed
    which they read. A database that runs is left alone but with `databases`.
    """
    found = containers_by_service(containers)
    decided = []
    for name in names:
        own = found.get(name, [])
        reasons = _reasons(stack.definitions.get(name, ""), images.get(stack.services[name].image), own)
        if name in reread:
            reasons.append(REREAD)
        how = _how(stack, name, own, reasons, databases=databases)
        if how:
            decided.append(_change(stack, name, how, tuple(reasons) or ("it does not run",)))
    return decided


def _how(
    stack: Stack, name: str, containers: Sequence[Container], reasons: Sequence[str], *, databases: bool
) -> How | None:
    running = any(one.state in {"running", "restarting"} for one in containers)
    if stack.services[name].one_shot:
        return "run" if reasons or not containers or any(one.exit_code for one in containers) else None
    if not running:
        return "start"
    if not reasons:
        return None
    if name in stack.stateful:
        return "replace" if databases else "keep"
    if name in stack.rolls:
        return "roll"
    return "replace" if reasons != [REREAD] else "restart"


def _reasons(wanted: str, image: Image | None, containers: Sequence[Container]) -> list[str]:
    reasons = []
    if any(one.definition != wanted for one in containers):
        reasons.append("its definition has changed")
    if image and any(one.image_id != image.id for one in containers):
        reasons.append("its image has changed")
    return reasons


def _change(stack: Stack, service: str, how: How, reasons: tuple[str, ...]) -> Change:
    noticed = _NOTICED[how]
    if (service, how) == (PROXY, "replace"):
        noticed = "every user, for seconds"
    if (stack.rolls.get(service), how) == ("alone", "roll"):
        noticed = "nobody: for about a second there is none"
    return Change(service=service, how=how, reasons=reasons, noticed=noticed)


def rolled_beside(stack: Stack, decided: Collection[Change]) -> list[str]:
    """Name the services whose new containers start beside their old ones."""
    return [name for name in named(decided, "roll") if stack.rolls[name] != "alone"]


def named(decided: Collection[Change], *hows: How) -> list[str]:
    """Name the services of which one of these things happens."""
    return [one.service for one in decided if one.how in hows]
