"""Releases on record, at the engine: what each was made of, when, by whom, and what its users saw.

The record lies in the volume `releases`, so whoever deploys from another machine sees the same history. A volume of its
own says that a deploy is under way; one that is left tells of a deploy that was killed.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import secrets
import socket
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from cotai_tasks.deploy.changes import Change
from cotai_tasks.deploy.users import Seen
from cotai_tasks.errors import IntegrityError, PreflightError, UsageError, nearest
from cotai_tasks.places import Place, kept_tag
from cotai_tasks.volumes import VolumeFile, get_folder, put_folders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.engine import Engine
    from cotai_tasks.stack import Stack

_VOLUME = "releases"
_RECORD, _COMPOSE, _UPSTREAMS = "release.json", "compose.json", "upstreams.conf"
_AUDIT, _LOG = "audit", "log.jsonl"
_KEPT = 10
"""Releases whose record stays; the audit log keeps a line of every one."""

Outcome = Literal["under way", "live", "replaced", "failed", "aborted"]


class Release(BaseModel):
    """One deploy: what it was made of, and what came of it."""

    model_config = ConfigDict(frozen=True)

    id: str
    stack: str
    begun: datetime
    by: str
    commit: str = ""
    """Of the project's checkout; ends with `+` where something was not committed."""
    outcome: Outcome = "under way"
    ended: datetime | None = None
    changes: tuple[Change, ...] = ()
    before: dict[str, Place] = {}
    after: dict[str, Place] = {}
    """Where the services stood, and stand, that are replaced without a gap."""
    old: dict[str, tuple[str, ...]] = {}
    """Ids of the containers that it replaces, by service."""
    images: dict[str, str] = {}
    """Id of each service's image."""
    taken_away: tuple[str, ...] = ()
    """Statements of its migration that no release before it can live with."""
    backup: str = ""
    """Id of the backup that was made before those."""
    steps: dict[str, float] = {}
    """Seconds that each step took."""
    seen: Seen | None = None
    fault: str = ""


@dataclass
class Records:
    """What the engine knows of a stack's releases."""

    stack: Stack
    engine: Engine
    releases: dict[str, Release] = field(default_factory=dict)
    """By their ids, the newest first."""
    log: list[str] = field(default_factory=list)
    """The audit log, a line of JSON to each deploy: each holds the hash of the line before."""
    files: dict[str, bytes] = field(default_factory=dict)
    """What is in the volume, by its path."""

    @classmethod
    def read(cls, stack: Stack, engine: Engine) -> Records:
        """Read all of it."""
        files = get_folder(stack, engine, _VOLUME)
        found = [Release.model_validate_json(text) for path, text in files.items() if path.endswith(f"/{_RECORD}")]
        log = files.get(f"{_AUDIT}/{_LOG}", b"").decode().splitlines()
        releases = {one.id: one for one in sorted(found, key=lambda one: one.id, reverse=True)}
        return cls(stack, engine, releases, log, files)

    @property
    def live(self) -> Release | None:
        """The release that serves."""
        return next((one for one in self.releases.values() if one.outcome == "live"), None)

    def find(self, text: str) -> Release:
        """Give the release whose id begins so; raise `UsageError` where there is none, or more than one."""
        fitting = [one for name, one in self.releases.items() if name.startswith(text)]
        if len(fitting) != 1 or not text:
            raise UsageError(f"no such release: {text!r}", cure=nearest(text, self.releases) if self.releases else "")
        return fitting[0]

    def begin(self, release: Release, compose: bytes, upstreams: bytes) -> None:
        """Write a release down before anything is changed for it, with the Compose file as it is rendered now."""
        self.releases = {release.id: release, **self.releases}
        self.files |= {f"{release.id}/{_COMPOSE}": compose, f"{release.id}/{_UPSTREAMS}": upstreams}
        put_folders(self.stack, self.engine, {f"{_VOLUME}/{release.id}": self._folder(release)})
        self.engine.command("volume", "create", "--label", f"cotai.release={release.id}", note(self.stack))

    def pass_the_point(self) -> None:
        """Say that the old containers are told to go from now on: whoever is killed then may have told some of them."""
        self.engine.command("volume", "create", _point(self.stack))

    @property
    def passed(self) -> bool:
        """Whether that was said."""
        return bool(self.engine.volume_labels([_point(self.stack)]))

    def frozen(self, release: Release) -> tuple[bytes, bytes]:
        """Give the Compose file of a release, and what Nginx asked before it."""
        return self.files[f"{release.id}/{_COMPOSE}"], self.files[f"{release.id}/{_UPSTREAMS}"]

    def end(self, release: Release) -> None:
        """Write down what came of a release, and that nothing is under way any more."""
        folders = {f"{_VOLUME}/{release.id}": self._folder(release)}
        if release.outcome == "live" and (old := self.live) and old.id != release.id:
            replaced = old.model_copy(update={"outcome": "replaced"})
            folders[f"{_VOLUME}/{old.id}"] = self._folder(replaced)
            self.releases[old.id] = replaced
        self._keep_images(release)
        self.releases = {
            release.id: release,
            **{name: one for name, one in self.releases.items() if name != release.id},
        }
        self.log.append(_line(release, self.log[-1] if self.log else ""))
        folders[f"{_VOLUME}/{_AUDIT}"] = {_LOG: VolumeFile("".join(f"{one}\n" for one in self.log).encode())}
        for gone in [*self.releases][_KEPT:]:
            folders[f"{_VOLUME}/{gone}"] = {}
            self._forget_images(gone)
            del self.releases[gone]
        put_folders(self.stack, self.engine, folders)
        self.engine.command("volume", "rm", "--force", *notes(self.stack))

    def _keep_images(self, release: Release) -> None:
        """Give our own images a tag that no later build takes away: going back needs them."""
        if release.outcome == "live":
            ids = {one.image: release.images.get(name) for name, one in self.stack.services.items()}
            for image in self._own_images():
                if found := ids[image]:
                    self.engine.command("image", "tag", found, kept_tag(image, release.id))

    def _forget_images(self, release: str) -> None:
        """Take the tags of a release away that nobody can go back to any more."""
        if present := self.engine.images(*(kept_tag(image, release) for image in self._own_images())):
            self.engine.untag([*present])

    def forget(self) -> None:
        """Take the tags of every release away: the record is removed, with all that is there."""
        for release in self.releases:
            self._forget_images(release)

    def _own_images(self) -> set[str]:
        own = f"{self.stack.variables['COTAI_REPOSITORY']}/"
        return {one.image for one in self.stack.services.values() if one.image.startswith(own)}

    def _folder(self, release: Release) -> dict[str, VolumeFile]:
        """Give a release's files, with its record as it is now."""
        compose, upstreams = self.frozen(release)
        return {
            _RECORD: _file(release),
            _COMPOSE: VolumeFile(compose, mode=0o400),
            _UPSTREAMS: VolumeFile(upstreams),
        }


def note(stack: Stack) -> str:
    """Name the volume that is there while a deploy is under way."""
    return f"{stack.project.name}-deploy"


def _point(stack: Stack) -> str:
    """Name the volume that is there once there is no way back."""
    return f"{note(stack)}-no-way-back"


def notes(stack: Stack) -> tuple[str, str]:
    """Name every volume that a deploy leaves while it is under way."""
    return note(stack), _point(stack)


def unfinished(stack: Stack, engine: Engine) -> str:
    """Give the id of the release whose deploy is under way, or was killed; empty where there is none."""
    return engine.volume_labels([note(stack)]).get(note(stack), {}).get("cotai.release", "")


def require_finished(stack: Stack, engine: Engine) -> None:
    """Raise `PreflightError` where a deploy was killed half-way."""
    if found := unfinished(stack, engine):
        raise PreflightError(
            f"the deploy of release {found} was interrupted half-way",
            cure="inv deploy.resume finishes it, inv deploy.abort goes back to what served before.",
        )


def new_id(now: datetime) -> str:
    """Make the id of a release: they sort by their time."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def owner() -> str:
    """Say who deploys."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def commit(directory: Path) -> str:
    """Give the commit that is checked out, with `+` where something is not committed; empty outside of a checkout."""
    told = subprocess.run(
        ["git", "-C", str(directory), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],  # noqa: S607 - whichever git the user has
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip()


def verify(log: Sequence[str]) -> None:
    """Check that no line of the audit log was changed, or left out; raise `IntegrityError` with the first that was."""
    before = ""
    for number, line in enumerate(log, 1):
        if json.loads(line).get("before") != _digest(before):
            raise IntegrityError(
                f"the audit log was changed before its line {number}",
                cure="Whoever may write to the volume `releases` may have done it: compare with a backup's.",
            )
        before = line


def _line(release: Release, before: str) -> str:
    told: Mapping[str, object] = {
        "release": release.id,
        "stack": release.stack,
        "by": release.by,
        "commit": release.commit,
        "begun": f"{release.begun:%Y-%m-%dT%H:%M:%SZ}",
        "ended": f"{release.ended or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "outcome": release.outcome,
        "changed": [one.service for one in release.changes],
        "fault": release.fault,
        "before": _digest(before),
    }
    return json.dumps(told)


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def _file(release: Release) -> VolumeFile:
    return VolumeFile(release.model_dump_json(indent=2).encode())
