"""The volumes that are no database's: what services keep in files, put back by renames within the volume."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.components.archive import FLOOR, archived, load, pack, unpack
from cotai_tasks.backup.components.base import Dump, Rehearsal
from cotai_tasks.backup.components.helper import CUT_OFF, READ, WRITE, allow, helper
from cotai_tasks.backup.components.scratch import LABEL, run_until, scratch_name
from cotai_tasks.backup.components.swap import Places, staged
from cotai_tasks.errors import BackupError, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cotai_tasks.backup.components.archive import Archive
    from cotai_tasks.backup.components.base import Difference, Feed, Leftovers, Site
    from cotai_tasks.backup.manifest import Stream

LEFT_OUT = {
    "secrets": "written again from the project at each deploy",
    "config": "written again from the project at each deploy",
    "proxy": "of this one deploy; its certificate and key are had again by inv security.certs",
    "releases": "says what was deployed here and when: an older one would lie, and take lines from the audit log",
    "metrics": "says when the last backup was made: an older one would lie",
    "ollama": "models are downloaded again",
    "prometheus": "telemetry",
    "loki": "telemetry",
    "tempo": "telemetry",
    "alloy": "how far telemetry was read",
    "s3": "holds the backups that development tries",
}
"""Volumes that no backup holds, and why."""

_FOLDER = "/volume"


@dataclass(frozen=True)
class Volumes:
    """Every volume of the stack but the databases' and those left out, as tar archives."""

    name = "volumes"

    def dumps(self, site: Site) -> list[Dump]:
        """Give one stream to each volume that is there."""
        return [
            Dump(self.name, f"volume-{key}", "tar", FLOOR, partial(_archive, site, key, name))
            for key, name in _present(site).items()
        ]

    def unfit(self, site: Site, streams: Sequence[Stream]) -> list[Finding]:
        """Find volumes that this stack does not define."""
        known, stack = _defined(site), site.stack.project.name
        return [
            Finding(
                one.name, f"{stack} has no such volume", "Define it in a Compose file, or leave volumes out: --only."
            )
            for one in streams
            if one.facts["volume"] not in known
        ]

    @contextmanager
    def rehearse(
        self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed, *, keep: bool = False
    ) -> Iterator[Rehearsal]:
        """Unpack each into a volume of its own, and compare every file."""
        folders = {one.name: f"/volumes/{one.facts['volume']}" for one in streams}
        with _scratch(site, backup, list(folders.values()), keep=keep) as name:
            found: list[Difference] = []
            for one in streams:
                inside = ("exec", "--interactive", name)
                folder = folders[one.name]
                found += load(
                    site.engine, one, feed, unpacking=[*inside, *unpack(folder)], packing=[*inside, *pack(folder)]
                )
            entries = sum(one.facts["entries"] for one in streams)
            compared = f"{len(streams)} volumes, {entries:,} entries, owners, modes, attributes, contents"
            yield Rehearsal(tuple(found), compared, (name,), (f"docker exec -it {name} ls -lA /volumes",))

    def is_empty(self, site: Site) -> bool:
        """Tell whether there is no file in any of them."""
        return not _places(site).filled()

    def users(self, site: Site, streams: Sequence[Stream]) -> frozenset[str]:  # noqa: ARG002 - what is undone has none
        """Name the services that mount one of them."""
        names = frozenset(_defined(site).values())
        return frozenset(service for service, one in site.stack.services.items() if one.volumes & names)

    def stage(self, site: Site, backup: str, streams: Sequence[Stream], feed: Feed) -> list[Difference]:
        """Unpack each within its volume, in a folder of its own, and compare every file."""
        image, present, found = _image(site), _present(site), []
        folder = f"{_FOLDER}/{staged(backup)}"
        for one in streams:
            key = one.facts["volume"]
            if key not in present:
                cure = f"Compose makes every volume: inv deploy.{site.settings.environment}."
                raise BackupError(f"volume {key} is not there yet", cure=cure)
            mounted = {_FOLDER: present[key]}
            Places(site.engine, image, {key: present[key]}).stage(backup)
            found += load(
                site.engine,
                one,
                feed,
                unpacking=helper(image, mounted, unpack(folder), may=WRITE),
                packing=helper(image, mounted, pack(folder), may=READ),
            )
        return found

    def swap(self, site: Site, backup: str) -> None:
        """Rename what is in each volume away, and what was staged in its place."""
        _places(site).place(backup)

    def revert(self, site: Site, backup: str) -> None:
        """Rename everything back."""
        _places(site).put_back(backup)

    def unstage(self, site: Site, backup: str) -> None:
        """Remove what was staged."""
        _places(site).unstage(backup)

    def leftovers(self, site: Site) -> Leftovers:
        """Read it from the names in the volumes."""
        return _places(site).leftovers()

    def discard(self, site: Site, backup: str) -> None:
        """Remove what was replaced."""
        _places(site).discard(backup)


def _defined(site: Site) -> dict[str, str]:
    """Give the volumes that are backed up, by the keys that they have in the Compose files."""
    defined: dict[str, Any] = site.stack.rendered.get("volumes") or {}
    names = {key: str(one["name"]) for key, one in sorted(defined.items()) if key not in LEFT_OUT}
    return {key: name for key, name in names.items() if name not in site.stack.formats}


def _present(site: Site) -> dict[str, str]:
    """Give those of them that are there: all, once anything of the stack was started."""
    there = site.engine.volumes(site.stack.project.name)
    return {key: name for key, name in _defined(site).items() if name in there}


def _places(site: Site) -> Places:
    return Places(site.engine, _image(site), _present(site))


def _image(site: Site) -> str:
    """Choose an image with GNU tar, findutils and flock that every stack has."""
    return site.stack.services["postgres"].image


@contextmanager
def _archive(site: Site, key: str, name: str) -> Iterator[Archive]:
    command = helper(_image(site), {_FOLDER: name}, pack(_FOLDER), may=READ)
    with archived(site.engine, command, f"volume {key}", {"volume": key}) as found:
        yield found


@contextmanager
def _scratch(site: Site, backup: str, folders: Sequence[str], *, keep: bool) -> Iterator[str]:
    """Give a container with an empty volume for each folder; it is removed with them, as every scratch container."""
    stack = site.stack.project.name
    name = scratch_name(site, "volumes", backup, keep=keep)
    run = [
        *("run", "--detach", "--name", name, *CUT_OFF, *allow((*READ, *WRITE))),
        *("--label", f"{LABEL}={stack}", "--label", f"cotai.backup={backup}"),
        *(part for folder in folders for part in ("--volume", folder)),
        *("--entrypoint", "sleep", _image(site), "infinity"),
    ]
    with run_until(site.engine, name, run, keep=keep):
        yield name
