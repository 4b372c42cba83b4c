"""Replacing what is in a volume: the script, in folders of this host, killed at each of its steps."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup.components.base import Leftovers
from cotai_tasks.backup.components.helper import READ, WRITE
from cotai_tasks.backup.components.swap import SCRIPT, Places, read_leftovers
from cotai_tasks.testing import FakeEngine

if TYPE_CHECKING:
    from pathlib import Path

BACKUP, OTHER = "20261123T073840Z-a1b2c3", "20261122T073840Z-d4e5f6"
OLD = {"gone": "old", "kept": "old", ".hidden": "old", "folder/inner": "old", "odd\n name": "old"}
NEW = {"added": "new", "kept": "new", ".hidden": "new", "folder/inner": "new", "folder/second": "new"}
COMMANDS = ("chmod", "chown", "mkdir", "mv", "rm", "rmdir")
# Stands before each command that changes something: there all of it is killed. Where a command would move several
# entries, each of them is a step.
SHIM = r"""#!/bin/sh
step() {
    read -r left <"$STEPS_LEFT"
    echo $((left - 1)) >"$STEPS_LEFT"
    [ "$left" != 1 ] || kill -KILL 0
}
if [ NAME = mv ] && [ "$1" = -t ]; then
    to=$2
    shift 3
    for one; do step; /bin/NAME -t "$to" -- "$one" || exit; done
else
    step
    exec /bin/NAME "$@"
fi
"""


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def held(folder: Path) -> dict[str, str]:
    """Give what a folder holds, without what a restore left in it."""
    found = (one.relative_to(folder) for one in folder.rglob("*") if one.is_file())
    return {str(one): (folder / one).read_text() for one in found if not one.parts[0].startswith(".cotai-")}


def beside(folder: Path) -> list[str]:
    return sorted(one.name.split("-")[1] for one in folder.glob(".cotai-*"))


def run(verbs: str, *folders: Path, backup: str = BACKUP) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", SCRIPT, "swap", verbs, backup, *map(str, folders)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def do(verbs: str, *folders: Path, backup: str = BACKUP) -> str:
    done = run(verbs, *folders, backup=backup)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Give a volume whose next contents are staged."""
    folder = tmp_path / "volume"
    folder.mkdir(mode=0o750)
    fill(folder, OLD)
    do("unstage sweep stage", folder)
    staged = folder / f".cotai-restore-{BACKUP}"
    fill(staged, NEW)
    staged.chmod(0o705)
    return folder


@pytest.fixture
def shims(tmp_path: Path) -> Path:
    folder = tmp_path / "shims"
    folder.mkdir()
    for name in COMMANDS:
        (folder / name).write_text(SHIM.replace("NAME", name))
        (folder / name).chmod(0o755)
    return folder


def killed(verbs: str, folder: Path, shims: Path, step: int) -> bool:
    """Run verbs until they come to a step, and kill them there; tell whether they came to it."""
    counter = shims / "steps"
    counter.write_text(str(step))
    environ = {"PATH": f"{shims}:/usr/bin:/bin", "STEPS_LEFT": str(counter)}
    command = ["sh", "-c", SCRIPT, "swap", verbs, BACKUP, str(folder)]
    done = subprocess.run(command, env=environ, start_new_session=True, capture_output=True, text=True, check=False)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode != 0


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def test_what_was_staged_takes_the_place_of_all_there_was(volume: Path) -> None:
    """Nothing old stays among the new; all of it stays beside, until it is discarded; the folder's mode comes along."""
    do("place", volume)
    assert (held(volume), beside(volume), mode(volume)) == (NEW, ["before"], 0o705)
    assert held(volume / f".cotai-before-{BACKUP}") == OLD
    do("discard sweep", volume)
    assert (held(volume), beside(volume)) == (NEW, [])


def test_a_swap_that_is_through_can_be_taken_back(volume: Path) -> None:
    """What was replaced is live again, with the folder's own mode; what was written since goes with the rest."""
    do("place", volume)
    fill(volume, {"written since": "x"})
    do("put_back", volume)
    assert (held(volume), beside(volume), mode(volume)) == (OLD, ["restore"], 0o750)
    do("unstage sweep", volume)
    assert (held(volume), beside(volume)) == (OLD, [])


@pytest.mark.parametrize(("verbs", "before"), [("place", ""), ("put_back", "place")])
def test_killed_at_any_step_the_old_data_comes_back(volume: Path, shims: Path, verbs: str, before: str) -> None:
    """Swapping, or taking that back: wherever it dies, it is seen, and what was there can be put back whole."""
    if before:
        do(before, volume)
    saved = volume.with_name("saved")
    shutil.copytree(volume, saved, symlinks=True)
    step = 0
    while True:
        shutil.rmtree(volume)
        shutil.copytree(saved, volume, symlinks=True)
        step += 1
        if not killed(verbs, volume, shims, step):
            break
        found = read_leftovers(do("list", volume, backup=""))
        assert found.staged | found.replaced == {BACKUP}
        do("unstage sweep", volume)  # an impatient one must not remove what is needed
        do("put_back", volume)
        assert (step, held(volume), mode(volume)) == (step, OLD, 0o750)
        do("unstage sweep", volume)
        assert (step, held(volume), beside(volume)) == (step, OLD, [])
    assert step > 10


def test_killed_at_any_step_of_taking_it_back_that_can_be_gone_on_with(volume: Path, shims: Path) -> None:
    """Killed over and over, one step further each time, it comes to its end."""
    do("place", volume)
    for step in range(1, 200):
        if not killed("put_back", volume, shims, step):
            break
    assert (held(volume), beside(volume), mode(volume)) == (OLD, ["restore"], 0o750)


@pytest.mark.parametrize(("verbs", "before"), [("unstage sweep", ""), ("discard sweep", "place")])
def test_killed_while_it_removes_nothing_half_removed_is_taken_for_whole(
    volume: Path, shims: Path, verbs: str, before: str
) -> None:
    """The live data stays as it is, and the same command, or the next restore, removes the rest."""
    if before:
        do(before, volume)
    live = held(volume)
    step = 1
    while killed(verbs, volume, shims, step):
        for kind, whole in (("restore", NEW), ("before", OLD)):
            assert kind not in beside(volume) or held(volume / f".cotai-{kind}-{BACKUP}") == whole
        found = read_leftovers(do("list", volume, backup=""))
        assert (held(volume), found.staged | found.replaced) == (live, frozenset({BACKUP}))
        step += 1
    assert step > 1
    do(verbs, volume)
    assert (held(volume), beside(volume)) == (live, [])


@pytest.mark.parametrize("moved", ["restore", "placing"])
def test_a_service_that_was_started_in_between_does_not_stand_in_the_way(volume: Path, shims: Path, moved: str) -> None:
    """It found an empty folder and made its own files there: the old ones come back nevertheless, and whole."""
    saved = volume.with_name("saved")
    shutil.copytree(volume, saved)
    step = 0
    while beside(volume) != ["before", moved] or held(volume):
        shutil.rmtree(volume)
        shutil.copytree(saved, volume)
        step += 1
        assert killed("place", volume, shims, step)
    fill(volume, {"folder/inner": "of the service", "kept": "of the service"})
    do("put_back", volume)
    assert held(volume) == OLD
    do("unstage sweep", volume)
    assert beside(volume) == []


def test_what_an_earlier_restore_replaced_is_never_covered(volume: Path) -> None:
    """The same backup again is refused while the data that it replaced is kept: the two could not be told apart."""
    do("place", volume)
    refused = run("unstage sweep stage", volume)
    assert refused.returncode == 1
    assert f"inv backup.discard --id {BACKUP}" in refused.stderr
    assert (held(volume), beside(volume)) == (NEW, ["before"])


def test_backups_do_not_disturb_one_another(volume: Path) -> None:
    """What another backup replaced stays where it is while this one is put in place and taken back."""
    do("place", volume)
    do("unstage sweep stage", volume, backup=OTHER)
    fill(volume / f".cotai-restore-{OTHER}", {"third": "third"})
    do("place", volume, backup=OTHER)
    assert held(volume) == {"third": "third"}
    do("put_back", volume, backup=OTHER)
    do("unstage sweep", volume, backup=OTHER)
    assert (held(volume), beside(volume)) == (NEW, ["before"])
    do("put_back", volume)
    assert held(volume) == OLD


def test_nothing_happens_where_there_is_nothing_to_do(tmp_path: Path) -> None:
    """No verb touches a volume that no restore has touched."""
    fill(tmp_path, OLD)
    do("place put_back unstage discard sweep", tmp_path)
    assert (held(tmp_path), beside(tmp_path)) == (OLD, [])


def test_an_empty_volume_is_swapped_as_any_other(tmp_path: Path) -> None:
    """From nothing to something, and back."""
    do("stage", tmp_path)
    fill(tmp_path / f".cotai-restore-{BACKUP}", NEW)
    do("place", tmp_path)
    assert held(tmp_path) == NEW
    do("put_back unstage sweep", tmp_path)
    assert (held(tmp_path), beside(tmp_path)) == ({}, [])


@pytest.mark.parametrize(
    ("lines", "staged", "replaced"),
    [
        (["a restore"], {BACKUP}, set()),
        (["a before"], set(), {BACKUP}),
        (["a trash"], {BACKUP}, set()),
        (["a before", "b trash"], set(), {BACKUP}),
        (["a restore", "a before"], {BACKUP}, set()),
        (["a placing", "a before"], {BACKUP}, set()),
        (["a before", "b restore"], {BACKUP}, set()),
        ([], set(), set()),
    ],
)
def test_leftovers_are_those_of_all_volumes_together(lines: list[str], staged: set[str], replaced: set[str]) -> None:
    """A swap that is through in one volume only is none; strangers' names are nobody's leftovers."""
    listing = [f"{key} .cotai-{kind}-{BACKUP}" for key, kind in map(str.split, lines)]
    strange = ["a data", "a .cotai-restore-x", f"a .cotai-other-{OTHER}", f"a .cotai-restore-{OTHER}-x"]
    found = read_leftovers("\n".join([*listing, *strange]))
    assert found == Leftovers(staged=frozenset(staged), replaced=frozenset(replaced))


def test_one_container_does_it_for_all_volumes_and_only_to_write_it_may() -> None:
    """Cut off from the network, without a log of what passes, reading with the right to read alone."""
    answers = {"run": ["a data", f"b .cotai-before-{BACKUP}"]}
    engine = FakeEngine(answers=answers)
    places = Places(engine, "postgres:1", {"a": "cotai-dev_a", "b": "cotai-dev_b"})
    assert places.filled() == {"a"}
    assert places.leftovers() == Leftovers(replaced=frozenset({BACKUP}))
    places.place(BACKUP)
    reading, _, writing = engine.calls
    for call in (reading, writing):
        text = " ".join(call)
        assert text.startswith("run --rm --interactive --pull never --network none --log-driver none --read-only")
        assert "--cap-drop ALL --security-opt no-new-privileges" in text
    assert [reading[at + 1] for at, word in enumerate(reading) if word == "--cap-add"] == list(READ)
    assert [writing[at + 1] for at, word in enumerate(writing) if word == "--cap-add"] == list(WRITE)
    mounts = [writing[at + 1] for at, word in enumerate(writing) if word == "--mount"]
    assert mounts == [f"type=volume,source=cotai-dev_{key},target=/volumes/{key},volume-nocopy" for key in "ab"]
    assert all(word.endswith("readonly") for at, word in enumerate(reading) if reading[at - 1] == "--mount")
    assert writing[-5:] == ("swap", "place", BACKUP, "/volumes/a", "/volumes/b")


def test_without_a_volume_no_container_is_started() -> None:
    """A stack whose services never ran has nothing to look at."""
    engine = FakeEngine()
    places = Places(engine, "", {})
    assert (places.leftovers(), places.filled()) == (Leftovers(), frozenset())
    places.put_back(BACKUP)
    assert engine.calls == []
