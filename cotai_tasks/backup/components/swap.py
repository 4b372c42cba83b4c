"""Replacing what is in volumes by renames within them, so that it takes a moment and can be taken back at any step.

What a restore has put into a volume lies in `.cotai-restore-<id>`, and what it replaced in `.cotai-before-<id>`. While
the first takes the place of the second it is called `.cotai-placing-<id>`: from then on nothing old is left outside.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.backup.components.base import Leftovers
from cotai_tasks.backup.components.helper import READ, WRITE, helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.engine import Engine

_OWN = re.compile(r"\.cotai-(restore|before|placing|trash)-(\d{8}T\d{6}Z-[0-9a-f]{6})")
_STAGED = {"restore", "placing"}

# Called with verbs, the id of the backup, and folders. What is made or removed bit by bit is called trash meanwhile, so
# that each other name stands for something whole. A lock keeps out the next one where the last one was left alone.
SCRIPT = r"""
set -eu
export LC_ALL=C
verbs=$1 backup=$2
shift 2
restore=.cotai-restore-$backup before=.cotai-before-$backup
placing=.cotai-placing-$backup trash=.cotai-trash-$backup

like() {
    chown --reference="$1" "$2"
    chmod --reference="$1" "$2"
}

make() {
    rm -rf "$trash"
    mkdir "$trash"
    like . "$trash"
    mv -T "$trash" "$1"
}

move() {
    find "$1" -mindepth 1 -maxdepth 1 ! -name '.cotai-*' -exec mv -t "$2" -- {} +
}

# What a service wrote that was started in between stands where another entry belongs, and gives way to it.
clear_for() {
    find "$1" -mindepth 1 -maxdepth 1 -exec sh -c '
        set -e
        trash=$1
        shift
        for one; do
            name=${one##*/}
            [ -e "./$name" ] || [ -L "./$name" ] || continue
            mkdir -p "$trash"
            rm -rf "$trash/$name"
            mv -T -- "./$name" "$trash/$name"
        done
    ' clear_for "$trash" {} +
}

place() {
    [ -e "$restore" ] || return 0
    make "$before"
    move . "$before"
    mv -T "$restore" "$placing"
    move "$placing" .
    like "$placing" .
    rmdir "$placing"
}

put_back() {
    [ -e "$before" ] || return 0
    [ -e "$placing" ] || [ -e "$restore" ] || make "$placing"
    if [ -e "$placing" ]; then
        clear_for "$placing"
        move . "$placing"
        mv -T "$placing" "$restore"
    fi
    clear_for "$before"
    move "$before" .
    like "$before" .
    rmdir "$before"
}

swapping() {
    [ -e "$before" ] && { [ -e "$restore" ] || [ -e "$placing" ]; }
}

drop() {
    [ -e "$1" ] || return 0
    rm -rf "$trash"
    mv -T "$1" "$trash"
}

unstage() {
    swapping || drop "$restore"
}

discard() {
    swapping || drop "$before"
}

sweep() {
    rm -rf "$trash"
}

stage() {
    if [ -e "$before" ]; then
        echo "what an earlier restore of this backup replaced is still there: inv backup.discard --id $backup" >&2
        return 1
    fi
    mkdir -m 700 "$restore"
}

list() {
    find . -mindepth 1 -maxdepth 1 -name '.cotai-*' -printf "${PWD##*/} %f\n"
    find . -mindepth 1 -maxdepth 1 ! -name '.cotai-*' -printf "${PWD##*/} data\n" -quit
}

for verb in $verbs; do
    for folder; do
        (
            cd "$folder"
            exec 9<.
            flock 9
            "$verb"
        )
    done
done
"""


def staged(backup: str) -> str:
    """Name the folder, within a volume, of what is to take its place."""
    return f".cotai-restore-{backup}"


@dataclass(frozen=True)
class Places:
    """Volumes at the engine, each by its key, and the image of the containers that work in them."""

    engine: Engine
    image: str
    volumes: Mapping[str, str]

    def stage(self, backup: str) -> None:
        """Make the folder of what is to take a volume's place, anew."""
        self._run("unstage sweep stage", backup)

    def place(self, backup: str) -> None:
        """Put what was staged in the place of what is there; `put_back` takes back what of it came to pass."""
        self._run("place", backup)

    def put_back(self, backup: str) -> None:
        """Put what was there back in its place, however far `place` came; nothing where it never began."""
        self._run("put_back", backup)

    def unstage(self, backup: str) -> None:
        """Remove what was staged, unless it is being put in place: then it must be put back first."""
        self._run("unstage sweep", backup)

    def discard(self, backup: str) -> None:
        """Remove what a backup replaced."""
        self._run("discard sweep", backup)

    def leftovers(self) -> Leftovers:
        """Say what earlier restores left."""
        return read_leftovers(self._list())

    def filled(self) -> frozenset[str]:
        """Give the keys of the volumes in which there is anything else."""
        return frozenset(line.removesuffix(" data") for line in self._list().splitlines() if line.endswith(" data"))

    def _list(self) -> str:
        return self._run("list", "", may=READ)

    def _run(self, verbs: str, backup: str, *, may: tuple[str, ...] = WRITE) -> str:
        if not self.volumes:
            return ""
        folders = {f"/volumes/{key}": name for key, name in self.volumes.items()}
        command = ["sh", "-c", SCRIPT, "swap", verbs, backup, *folders]
        return self.engine.command(*helper(self.image, folders, command, may=may))


def read_leftovers(listing: str) -> Leftovers:
    """Read what is in volumes: lines of a volume's key and a name.

    A backup that is being put in place, or back, in one volume is staged, whatever the others say.
    """
    found = defaultdict(set)
    for line in listing.splitlines():
        if own := _OWN.fullmatch(line.rpartition(" ")[2]):
            found[own[2]].add(own[1])
    replaced = {backup for backup, kinds in found.items() if "before" in kinds and not kinds & _STAGED}
    return Leftovers(staged=frozenset(found.keys() - replaced), replaced=frozenset(replaced))
