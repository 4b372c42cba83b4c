"""Going on with a deploy that was interrupted, taking it back, and going back to an earlier release."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cotai_tasks.deploy.hooks import announced
from cotai_tasks.deploy.prod import DRAIN, WATCH, decide, old_containers, show_changes
from cotai_tasks.deploy.proxy import read_upstreams
from cotai_tasks.deploy.release import Records, Release, new_id, note, owner, require_finished, unfinished
from cotai_tasks.deploy.rollout import Rollout
from cotai_tasks.deploy.schema import require_way_back
from cotai_tasks.errors import RefusedError, UsageError
from cotai_tasks.facts import DEFINITION_LABEL, RELEASE_LABEL, SLOT_LABEL
from cotai_tasks.lock import stack_lock
from cotai_tasks.places import fingerprints, kept_tag, move
from cotai_tasks.stack import open_stack, read_services

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

_TIMEOUT = 600.0


def resume(*, watch: float = WATCH, settings: Settings, engine: Engine, console: Console) -> Release:
    """Go on with a deploy that was interrupted, with the Compose file that was written down when it began."""
    stack = open_stack(settings, engine)
    with stack_lock(stack, engine, "deploy.resume"):
        rollout = _interrupted(stack, settings, engine, console, watch=watch)
        console.say(
            f"release {rollout.release.id}, begun {rollout.release.begun:%Y-%m-%d %H:%M} UTC by {rollout.release.by}"
        )
        with announced(rollout.release, settings, console):
            release = rollout.run()
    console.done(f"{stack.project.name}: release {release.id} serves; users saw {release.seen}")
    return release


def abort(*, settings: Settings, engine: Engine, console: Console) -> None:
    """Take a deploy back that was interrupted; raise `RefusedError` where what served before is gone already."""
    stack = open_stack(settings, engine)
    with stack_lock(stack, engine, "deploy.abort"):
        rollout = _interrupted(stack, settings, engine, console)
        if not rollout.can_go_back:
            raise RefusedError(
                f"release {rollout.release.id} serves already, and what served before is gone",
                cure="inv deploy.resume finishes it; inv deploy.rollback then goes back.",
            )
        with console.uninterrupted("what served before is being put back"):
            rollout.go_back("aborted", "aborted")


def rollback(
    to: str = "",
    *,
    watch: float = WATCH,
    yes: bool = False,
    dry_run: bool = False,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> Release | None:
    """Go back to the release before, or to the one that is named, as it was written down then; None for a rehearsal.

    A deploy that was interrupted is taken back. Databases, secrets and what runs once stay as they are. Raises
    `UsageError` without such a release, `RefusedError` where one of its images is gone, or what it uses of the schema.
    """
    stack = open_stack(settings, engine)
    if not to and unfinished(stack, engine):
        abort(settings=settings, engine=engine, console=console)
        return None
    with stack_lock(stack, engine, "deploy.rollback"):
        require_finished(stack, engine)
        records = Records.read(stack, engine)
        target = _target(records, to)
        require_way_back(target, records.releases.values())
        then, text = _as_it_was(stack, records, target, engine)
        before = engine.containers(stack.project.name)
        names = to_take_back(then, {one.service for one in before} | {one.service for one in target.changes})
        decided = decide(then, names, before, engine)
        if dry_run or not decided:
            show_changes(then, decided, console)
            return None
        show_changes(then, decided, console)
        console.confirm(f"Go back to release {target.id} of {target.begun:%Y-%m-%d %H:%M} UTC?", yes=yes)
        now = datetime.now(UTC)
        moved = {one.service: stack.places[one.service].next(target.id) for one in decided if one.how == "roll"}
        config = move(json.loads(text), then.rolls, stack.places | moved)
        for name, one in config["services"].items():
            one.setdefault("labels", {})[DEFINITION_LABEL] = then.definitions[name]
        release = Release(
            id=new_id(now),
            stack=stack.project.name,
            begun=now,
            by=owner(),
            commit=target.commit,
            changes=tuple(decided),
            before=stack.places,
            after=stack.places | moved,
            old=old_containers(before, stack.rolls.keys() & {one.service for one in decided}),
            images=target.images,
        )
        frozen = json.dumps(config).encode()
        with announced(release, settings, console):
            records.begin(release, frozen, read_upstreams(stack, engine))
            done = _rollout(then, release, records, settings, engine, console, watch=watch).run()
    console.done(f"{stack.project.name}: as release {target.id} was; users saw {done.seen}")
    return done


def to_take_back(then: Stack, known: Collection[str]) -> list[str]:
    """Name the services that go back: those that the stack has had, as whole groups may never have been started."""
    return [
        name for name, one in then.services.items() if name in known and not one.one_shot and name not in then.stateful
    ]


def unlock(*, yes: bool, settings: Settings, engine: Engine, console: Console) -> None:
    """Break a lock whose owner is known to be gone, after a question: a lock ends with its owner by itself."""
    stack = open_stack(settings, engine)
    name = f"{stack.project.name}-lock"
    held = engine.container_labels(name)
    if not held:
        console.done(f"{stack.project.name}: nothing to do, nobody holds it")
        return
    who = f"{held.get('cotai.owner')} since {held.get('cotai.since')} ({held.get('cotai.purpose')})"
    console.confirm(f"Held by {who}. Is that process gone?", yes=yes)
    engine.command("container", "rm", "--force", name)
    console.done(f"{stack.project.name}: free")


def _interrupted(
    stack: Stack, settings: Settings, engine: Engine, console: Console, *, watch: float = WATCH
) -> Rollout:
    records = Records.read(stack, engine)
    found = unfinished(stack, engine)
    if not found:
        raise UsageError(f"no deploy of {stack.project.name} was interrupted")
    if found not in records.releases:  # killed in the moment between
        engine.command("volume", "rm", "--force", note(stack))
        raise UsageError(f"the deploy of release {found} had not begun: nothing is to be done")
    return _rollout(stack, records.releases[found], records, settings, engine, console, watch=watch)


def _rollout(
    stack: Stack,
    release: Release,
    records: Records,
    settings: Settings,
    engine: Engine,
    console: Console,
    *,
    watch: float,
) -> Rollout:
    return Rollout(
        stack, release, records, settings.server_names[0], _TIMEOUT, watch, DRAIN, engine=engine, console=console
    )


def _target(records: Records, to: str) -> Release:
    """Find the release that is meant: the one named, else the one that served before this one."""
    if to:
        return records.find(to)
    found = next((one for one in records.releases.values() if one.outcome == "replaced"), None)
    if not found:
        raise UsageError("there is no release to go back to", cure="inv deploy.history shows what there is.")
    return found


def _as_it_was(stack: Stack, records: Records, target: Release, engine: Engine) -> tuple[Stack, str]:
    """Give the stack as a release had it, with the images that it had, and its Compose file."""
    config: dict[str, Any] = json.loads(records.frozen(target)[0])
    own = f"{stack.variables['COTAI_REPOSITORY']}/"
    present = engine.images(*{one["image"] for one in config["services"].values()})
    gone = []
    for name, one in config["services"].items():
        wanted = target.images.get(name, "")
        if (
            one["image"].startswith(own)
            and wanted
            and not (one["image"] in present and present[one["image"]].id == wanted)
        ):
            one["image"] = kept_tag(one["image"], target.id)
            if one["image"] not in engine.images(one["image"]):
                gone.append(name)
    if gone:
        raise RefusedError(
            f"release {target.id} cannot be had again: the images of {', '.join(gone)} are gone",
            cure="Check its commit out and deploy that.",
        )
    services = {name: one for name, one in read_services(config).items() if name in stack.services}
    then = replace(stack, services=services, definitions=fingerprints(_unlabelled(config)))
    return then, json.dumps(config)


def _unlabelled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Give a rendered project without the labels that a deploy adds: the fingerprint is of what they are added to."""
    ours = {SLOT_LABEL, RELEASE_LABEL, DEFINITION_LABEL}
    return {
        "services": {
            name: one | {"labels": {key: text for key, text in (one.get("labels") or {}).items() if key not in ours}}
            for name, one in config["services"].items()
        }
    }
