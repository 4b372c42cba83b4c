"""What is in a folder of a volume, as a tar archive: written, unpacked, and compared."""

from __future__ import annotations

import hashlib
import json
import tarfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from cotai_tasks.backup.components.base import Difference
from cotai_tasks.backup.line import PIECE, Line, at_work
from cotai_tasks.engine import leashed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cotai_tasks.backup.components.base import Feed
    from cotai_tasks.backup.manifest import Stream
    from cotai_tasks.engine import Engine
    from cotai_tasks.process import Piped

FLOOR = 10_240
"""Bytes of an archive without a file: tar writes whole records."""

_KEPT = ("--numeric-owner", "--acls", "--xattrs", "--xattrs-include=user.*")
"""Beside names, modes and times. Attributes of the system would need rights that no container has."""

# The same files give the same bytes: sorted, without the times of reading, and without the number of tar's process,
# which later formats of sparse files have in their names.
_PACK = (
    *("--create", "--file=-", "--format=posix", "--sort=name", "--sparse", "--sparse-version=0.0", *_KEPT),
    *("--pax-option=delete=atime,delete=ctime", "--anchored", "--exclude=./.cotai-*"),
)
# A file that changes or goes while it is read ends tar with 1, and a word about it; its archive is whole.
_WRITE = 'export LC_ALL=C; tar "$@" || [ $? -eq 1 ]'
# What is unpacked is on the disk when this ends, and not on its way there. Of a full disk tar may say no more than that
# it wrote less than it wanted.
_READ = """
export LC_ALL=C
tar "$@" && sync --file-system "$FOLDER" && exit
[ $(($(stat --file-system --format '%a * %S' "$FOLDER"))) -gt 1000000 ] || echo "no space left on device" >&2
exit 1
"""
_WORDS = 20
"""Lines of warnings that are kept."""


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True)
class Contents:
    """What an archive holds, whatever file system it was read from: holes count as the zeros that they are."""

    entries: int
    bytes: int
    """Of its files, with the holes."""
    sha256: str
    """Of every name, owner, mode, time, attribute and byte but the time of the folder itself."""

    def __str__(self) -> str:
        """Give it as people compare it."""
        return f"{self.entries:,} entries, {self.bytes:,} bytes, {self.sha256[:16]}"


def pack(folder: str) -> list[str]:
    """Give the command that writes a folder as an archive, without what a restore left in it.

    It wants an open standard input, and ends with it.
    """
    return leashed(["sh", "-c", _WRITE, "tar", f"--directory={folder}", *_PACK, "."])


def unpack(folder: str) -> list[str]:
    """Give the command that makes an archive a folder's contents; the folder must be there, and empty."""
    tar = ("--extract", "--file=-", f"--directory={folder}", "--same-permissions", "--same-owner", *_KEPT)
    return ["env", f"FOLDER={folder}", "sh", "-c", _READ, "tar", *tar]


def read_contents(file: _Readable) -> Contents:
    """Read an archive to its end."""
    digest, entries, size = hashlib.sha256(), 0, 0
    stream = cast("IO[bytes]", file)
    with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
        while member := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # it would remember them all
            digest.update(json.dumps(_header(member)).encode())
            if member.isreg() and (content := archive.extractfile(member)):
                while piece := content.read(PIECE):
                    digest.update(piece)
                size += member.size
            entries += 1
    while file.read(PIECE):  # what fills the last record
        pass
    return Contents(entries - 1, size, digest.hexdigest())


def _header(member: tarfile.TarInfo) -> list[Any]:
    told = member.pax_headers
    return [
        *(member.name, member.type.decode(), member.mode, member.uid, member.gid, member.linkname, member.size),
        *(member.devmajor, member.devminor),
        "" if member.name == "." else told.get("mtime", str(int(member.mtime))),
        sorted((key, value) for key, value in told.items() if key.startswith("SCHILY.")),
    ]


@dataclass
class Archive:
    """The bytes of an archive on its way into the store, read by us as well while they pass by."""

    tar: Piped
    facts: dict[str, Any]
    line: Line = field(default_factory=Line)
    reading: ExitStack = field(default_factory=ExitStack)

    def read(self, size: int = PIECE, /) -> bytes:
        """Give the next bytes."""
        piece = self.tar.read(size)
        self.line.write(piece)
        return piece

    def finish(self) -> dict[str, Any]:
        """Give what it holds, and what tar warned of: files that changed meanwhile, sockets."""
        self.tar.finish()
        self.line.close()
        self.reading.close()
        warnings = [line for line in self.tar.last_words.splitlines() if line.startswith("tar: ")][-_WORDS:]
        return self.facts | ({"warnings": warnings} if warnings else {})

    def watch(self) -> None:
        """Read what passes by; in a thread of its own."""
        self.facts |= asdict(read_contents(self.line))


@contextmanager
def archived(engine: Engine, command: Sequence[str], name: str, facts: dict[str, Any]) -> Iterator[Archive]:
    """Begin the docker command that writes an archive."""
    with engine.pipe(*command, what=f"tar of {name}") as tar:
        found = Archive(tar, facts)
        with found.reading:
            found.reading.enter_context(at_work((found.line,), partial(found.watch)))
            yield found


def load(
    engine: Engine, stream: Stream, feed: Feed, *, unpacking: Sequence[str], packing: Sequence[str]
) -> list[Difference]:
    """Unpack an archive by one docker command, pack it again by another, and compare."""
    with engine.pipe(*unpacking, what=f"unpacking {stream.name}") as tar:
        feed(stream, tar.write)
        tar.finish()
    with engine.pipe(*packing, what=f"reading {stream.name}") as tar:
        found = read_contents(tar)
        tar.finish()
    expected = Contents(**{name: stream.facts[name] for name in ("entries", "bytes", "sha256")})
    return [] if found == expected else [Difference(stream.name, str(expected), str(found))]
