"""Volumes, really packed, unpacked elsewhere, put in place and taken back, with whatever may lie in them."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup.components.base import Leftovers, Site
from cotai_tasks.backup.components.scratch import drop_scratch
from cotai_tasks.backup.components.volumes import Volumes
from cotai_tasks.errors import BackupError, EngineError, IntegrityError
from cotai_tasks.settings import load_settings
from cotai_tasks.stack import open_stack
from tests.integration.alone import eventually
from tests.unit.backup.dumps import Kept, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cotai_tasks.backup.components.base import Difference
    from cotai_tasks.backup.manifest import Stream
    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BACKUP, OTHER = "20261123T073840Z-a1b2c3", "20261124T073840Z-d4e5f6"
KEY = "alertmanager"

EVERYTHING = r"""
import os, struct
os.chdir('/volume')
os.chown('.', 65534, 12345); os.chmod('.', 0o2751)
open(b'n\xff\xfe\nx \\ "q"', 'w').write('bytes')
open('größe', 'w').write('Größe')
open('-n', 'w').write('dash'); open('.hidden', 'w').write('dot'); open('empty', 'w')
os.makedirs('d' * 200 + '/' + 'e' * 200 + '/' + 'f' * 200)
with open('sparse', 'wb') as file:
    file.seek(50_000_000); file.write(b'x' * 5000); file.truncate(90_000_000)
with open('holes', 'wb') as file:
    for at in range(100):
        file.seek(at * 100_000); file.write(b'y')
with open('noise', 'wb') as file:
    file.write(os.urandom(3_000_000))
os.symlink('/etc/passwd', 'link'); os.symlink('nowhere', 'dangling'); os.link('sparse', 'hard')
os.mkfifo('fifo'); os.mknod('device', 0o20600, os.makedev(1, 3))
os.setxattr('d' * 200, 'user.bin', b'a=b\n\x00\xff\xfe 12 x=')
entries = [(1, 6, 0xffffffff), (2, 7, 12345), (4, 4, 0xffffffff), (16, 7, 0xffffffff), (32, 4, 0xffffffff)]
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *one) for one in entries)
os.setxattr('noise', 'system.posix_acl_access', acl); os.setxattr('d' * 200, 'system.posix_acl_default', acl)
os.chown('link', 12345, 54321, follow_symlinks=False); os.chown('noise', 999, 999)
os.mkdir('locked'); open('locked/inside', 'w').write('locked'); os.chown('locked', 1234, 1234); os.chmod('locked', 0)
os.mkdir('group'); os.chown('group', 5, 6); os.chmod('group', 0o7777)
os.utime('empty', ns=(1, 1_000_000_000_123_456_789)); os.utime('group', ns=(1, 1))
"""
OLD = "import os; os.chdir('/volume'); open('old', 'w').write('old'); os.mkdir('group'); open('group/old', 'w')"
"""What stands in the way of some of it."""

LARGE = "import os; open('/volume/large', 'wb').write(os.urandom(60_000_000))"
"""More than fits into all the pipes from there to here: while nobody reads, it is not through."""


@dataclass(frozen=True)
class Volume:
    """A volume of a stack's own, whose service need not run."""

    site: Site
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called at the engine."""
        return f"{self.site.stack.project.name}_{KEY}"

    def make(self, script: str = "") -> None:
        """Make it anew, and fill it."""
        self.remove()
        labels = {"com.docker.compose.project": self.site.stack.project.name, "com.docker.compose.volume": KEY}
        tags = [part for pair in labels.items() for part in ("--label", "=".join(pair))]
        self.site.engine.command("volume", "create", *tags, *self.options, self.name)
        if script:
            self.run(script)

    def run(self, script: str) -> str:
        """Run Python in it."""
        mount = ("--volume", f"{self.name}:/volume")
        image = self.site.stack.variables["PYTHON_IMAGE"]
        return self.site.engine.command(
            *("run", "--rm", "--network", "none", *mount, "--entrypoint", "python3", image, "-c", script)
        )

    def listing(self) -> str:
        """List its folder, restores' own folders too."""
        return self.run("import os; print(sorted(os.listdir('/volume')))").strip()

    def remove(self) -> None:
        """Remove it."""
        self.site.engine.command("volume", "rm", "--force", self.name)


@pytest.fixture
def volume(engine: Engine) -> Iterator[Volume]:
    """Give the volume of a project of its own, not yet made."""
    project = f"cotai-test-{uuid.uuid4().hex[:6]}"
    settings = load_settings(ROOT, "dev", environ=os.environ, project=project)
    made = Volume(Site(open_stack(settings, engine), settings, engine))
    try:
        yield made
    finally:
        drop_scratch(made.site)
        for _ in engine.down(made.site.stack.project, volumes=True):
            pass
        made.remove()


def rehearsed(site: Site, kept: Kept) -> tuple[Difference, ...]:
    with Volumes().rehearse(site, BACKUP, [kept.stream], kept.feed) as found:
        return found.differences


def helpers(site: Site) -> list[str]:
    """Find the containers that have the volume mounted."""
    name = f"{site.stack.project.name}_{KEY}"
    return site.engine.command("container", "ls", "--quiet", "--filter", f"volume={name}").split()


def test_whatever_lies_in_a_volume_is_restored(volume: Volume) -> None:
    """Holes, links, pipes, odd names, owners, modes, times, attributes: loaded elsewhere, all of it is the same."""
    volume.make(EVERYTHING)
    kept = keep(Volumes(), volume.site)
    assert kept.stream.name == f"volume-{KEY}"
    assert (kept.stream.facts["volume"], kept.stream.facts["entries"]) == (KEY, 19)
    assert len(kept.data) < 5_000_000
    assert "warnings" not in kept.stream.facts
    json.dumps(kept.stream.facts)
    assert rehearsed(volume.site, kept) == ()
    assert keep(Volumes(), volume.site).data == kept.data


def test_it_takes_the_place_of_what_is_there_and_that_comes_back(volume: Volume) -> None:
    """Staged, swapped, taken back, swapped again: each time the volume is wholly the one or the other."""
    component, site = Volumes(), volume.site
    volume.make(EVERYTHING)
    new = keep(component, site)
    volume.make(OLD)
    old = keep(component, site)
    assert not component.is_empty(site)
    assert component.users(site, ()) == {KEY}
    assert component.stage(site, BACKUP, [new.stream], new.feed) == []
    assert component.leftovers(site) == Leftovers(staged=frozenset({BACKUP}))
    assert keep(component, site).stream.facts == old.stream.facts
    component.swap(site, BACKUP)
    assert component.leftovers(site) == Leftovers(replaced=frozenset({BACKUP}))
    assert keep(component, site).stream.facts == new.stream.facts
    component.revert(site, BACKUP)
    component.unstage(site, BACKUP)
    assert keep(component, site).stream.facts == old.stream.facts
    assert component.leftovers(site) == Leftovers()
    component.stage(site, OTHER, [new.stream], new.feed)
    component.swap(site, OTHER)
    component.discard(site, OTHER)
    assert ".cotai-" not in volume.listing()
    assert keep(component, site).stream.facts == new.stream.facts


def test_a_swap_that_is_killed_half_way_is_taken_back(volume: Volume) -> None:
    """Its container dies among thousands of renames: that is seen, and what was there comes back whole."""
    component, site = Volumes(), volume.site
    volume.make(OLD)
    new = keep(component, site)
    volume.run("for n in range(30_000): open(f'/volume/{n}', 'w').write('old')")
    old = keep(component, site)
    component.stage(site, BACKUP, [new.stream], new.feed)
    failed: list[Exception] = []

    def swap() -> None:
        try:
            component.swap(site, BACKUP)
        except EngineError as error:
            failed.append(error)

    thread = Thread(target=swap)
    thread.start()
    eventually(lambda: bool(helpers(site)), "the container")
    moving = f"until ls -A /volumes/{KEY} | grep -q cotai-before-; do :; done"  # asked in there: renames are quick
    (helper,) = helpers(site)
    site.engine.command("exec", helper, "sh", "-c", moving)
    site.engine.command("kill", helper)
    thread.join()
    assert failed
    assert component.leftovers(site) == Leftovers(staged=frozenset({BACKUP}))
    component.revert(site, BACKUP)
    component.unstage(site, BACKUP)
    assert keep(component, site).stream.facts == old.stream.facts
    assert component.leftovers(site) == Leftovers()


def test_an_empty_volume_is_a_backup_too(volume: Volume) -> None:
    """It is dumped, takes the place of files, and is known to be empty."""
    component, site = Volumes(), volume.site
    volume.make()
    kept = keep(component, site)
    assert (component.is_empty(site), kept.stream.facts["entries"]) == (True, 0)
    assert rehearsed(site, kept) == ()
    volume.run(OLD)
    component.stage(site, BACKUP, [kept.stream], kept.feed)
    component.swap(site, BACKUP)
    assert component.is_empty(site)


def test_a_file_that_changes_meanwhile_is_told_and_nothing_fails(volume: Volume) -> None:
    """Its archive is whole, and restores; the facts say which file it was."""
    volume.make("open('/volume/growing', 'w')")
    site = volume.site
    grow = "while True: open('/volume/growing', 'a').write('x' * 50000)"
    image = site.stack.variables["PYTHON_IMAGE"]
    writer = site.engine.command(
        *("run", "--detach", "--rm", "--memory", "64m", "--volume", f"{volume.name}:/volume"),
        *("--entrypoint", "python3", image, "-c", f"import time\n{grow}; time.sleep(0.0005)"),
    ).strip()
    try:
        kept = keep(Volumes(), site)
    finally:
        site.engine.command("container", "rm", "--force", writer)
    assert kept.stream.facts["warnings"] == ["tar: ./growing: file changed as we read it"]
    assert rehearsed(site, kept) == ()


def test_whoever_reads_it_being_killed_is_a_failure(volume: Volume) -> None:
    """What tar gave until then is not taken for all."""
    volume.make(LARGE)
    (dump,) = Volumes().dumps(volume.site)

    def read() -> None:
        with dump.open() as source:
            source.read(10)
            eventually(lambda: bool(helpers(volume.site)), "the helper")
            # The engine tells the end of a container once all of its output was taken: by us, and so it is not awaited.
            Thread(target=volume.site.engine.command, args=("kill", *helpers(volume.site))).start()
            while source.read(2**16):
                pass
            source.finish()

    with pytest.raises(EngineError):
        read()


def test_it_ends_with_whoever_began_it(volume: Volume) -> None:
    """A backup that is killed leaves no container behind that goes on reading."""
    volume.make(LARGE)
    (dump,) = Volumes().dumps(volume.site)

    def leave() -> None:
        with dump.open() as source:
            source.read(10)
            eventually(lambda: bool(helpers(volume.site)), "the helper")
            source.tar._process.kill()  # type: ignore[attr-defined]  # noqa: SLF001 - as a SIGKILL of ours does
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    eventually(lambda: not helpers(volume.site), "the end of the helper")


def test_a_full_disk_leaves_the_live_data_as_it_is(volume: Volume) -> None:
    """The archive does not fit beside it: that is said, and what was unpacked is removed again."""
    component, site = Volumes(), volume.site
    volume.make("open('/volume/large', 'wb').write(__import__('os').urandom(6_000_000))")
    kept = keep(component, site)
    small = replace(volume, options=("--driver=local", "--opt=type=tmpfs", "--opt=device=tmpfs", "--opt=o=size=8m"))
    small.make()
    image = site.stack.variables["PYTHON_IMAGE"]  # a file system in memory is there as long as somebody has it mounted
    holder = site.engine.command(
        *("run", "--detach", "--volume", f"{volume.name}:/volume", "--entrypoint", "sleep", image, "600")
    ).strip()
    try:
        volume.run("open('/volume/live', 'wb').write(b'x' * 4_000_000)")
        before = keep(component, site).stream.facts
        with pytest.raises(EngineError, match="disk is full"):
            component.stage(site, BACKUP, [kept.stream], kept.feed)
        component.unstage(site, BACKUP)
        assert component.leftovers(site) == Leftovers()
        assert keep(component, site).stream.facts == before
        volume.run("import os; os.remove('/volume/live')")
        assert component.stage(site, BACKUP, [kept.stream], kept.feed) == []
    finally:
        site.engine.command("container", "rm", "--force", holder)


def test_other_contents_are_found_out(volume: Volume) -> None:
    """What was unpacked is compared with the manifest: another byte, and it is told before anything is replaced."""
    volume.make(OLD)
    kept = keep(Volumes(), volume.site)
    altered = replace(kept, data=_altered(kept.data))
    (found,) = Volumes().stage(volume.site, BACKUP, [kept.stream], altered.feed)
    assert found.where == f"volume-{KEY}"
    assert found.expected != found.found
    assert len(rehearsed(volume.site, altered)) == 1


def _altered(data: bytes) -> bytes:
    at = data.rindex(b"old\0")
    return data[:at] + b"odd" + data[at + 3 :]


def test_a_damaged_feed_replaces_nothing(volume: Volume) -> None:
    """The error of the pipeline comes through, and what was unpacked until then can be removed."""
    component, site = Volumes(), volume.site
    volume.make(OLD)
    kept = keep(component, site)

    def damaged(stream: Stream, write: Callable[[bytes], object]) -> None:
        write(kept.data[:700])
        raise IntegrityError(f"{stream.name} is damaged")

    with pytest.raises(IntegrityError, match="is damaged"):
        component.stage(site, BACKUP, [kept.stream], damaged)
    component.unstage(site, BACKUP)
    assert volume.listing() == "['group', 'old']"
    with pytest.raises(IntegrityError), component.rehearse(site, BACKUP, [kept.stream], damaged):
        pass
    assert drop_scratch(site) == []


def test_on_a_fresh_host_it_can_be_looked_at_and_comes_back_after_the_first_deploy(volume: Volume) -> None:
    """Without the volume there is nothing to put it into, which is said; Compose makes it."""
    component, site = Volumes(), volume.site
    volume.make(OLD)
    kept = keep(component, site)
    volume.remove()
    assert component.dumps(site) == []
    assert component.is_empty(site)
    assert rehearsed(site, kept) == ()
    with pytest.raises(BackupError, match=f"{KEY} is not there yet"):
        component.stage(site, BACKUP, [kept.stream], kept.feed)
    for _ in site.engine.compose(site.stack.project, "create", "--pull", "never", KEY):
        pass
    assert component.stage(site, BACKUP, [kept.stream], kept.feed) == []
    component.swap(site, BACKUP)
    assert volume.listing() == f"['.cotai-before-{BACKUP}', 'group', 'old']"


def test_a_rehearsal_can_be_kept_and_looked_at(volume: Volume) -> None:
    """Its container has every file, and goes with its volumes when it is dropped."""
    volume.make(OLD)
    site = volume.site
    kept = keep(Volumes(), site)
    with Volumes().rehearse(site, BACKUP, [kept.stream], kept.feed, keep=True) as found:
        pass
    (name,) = found.containers
    assert "old" in site.engine.command("exec", name, "ls", f"/volumes/{KEY}")
    mounts = json.loads(site.engine.command("container", "inspect", "--format", "{{json .Mounts}}", name))
    assert drop_scratch(site) == [name]
    assert not {one["Name"] for one in mounts} & set(site.engine.command("volume", "ls", "--quiet").split())
