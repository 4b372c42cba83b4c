"""A folder as a store: what is in it is whole and on disk, or hidden and on its way."""

from __future__ import annotations

import errno
import os
import tempfile
import zlib
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Self

from cotai_tasks.backup.store.base import MAX_PARTS, ExistsError, MissingError, Stat, require_key, require_prefix
from cotai_tasks.errors import StoreError
from cotai_tasks.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO

    from cotai_tasks.backup.store.base import Reader, Upload

_UNFINISHED = ".part"
_TRIES = 10
_PIECE = 2**20
_NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}
"""How file systems say that a file cannot have a second name."""


class DirectoryStore:
    """Backups in a folder, a file each; only its owner may read what we make."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.max_parts = MAX_PARTS
        """As many as S3 takes, so that a backup can be copied there object by object."""
        self._folder = folder

    def check(self) -> None:
        """Make sure that the folder is there, or can be made in one that is: a disk that is not mounted is missed."""
        with _told(self.url):
            _make_folders(self._folder, within=self._folder.parent)
            os.scandir(self._folder).close()

    def upload(self, key: str) -> Upload:
        """Begin a large file."""
        return self._draft(key)

    def put(self, key: str, data: bytes, *, replace: bool = False) -> None:
        """Make a small file in one step."""
        with self._draft(key) as draft:
            draft.write(data)
            draft.complete(replace=replace)

    def get(self, key: str) -> bytes:
        """Read a small file."""
        with self.open(key) as file:
            return file.read()

    @contextmanager
    def open(self, key: str) -> Iterator[Reader]:
        """Read a large file."""
        path = self._path(key)
        with _told(self.url):
            try:
                file = path.open("rb", buffering=0)
            except _NOT_THERE as error:
                raise MissingError(f"{self.url} has no {key}") from error
        with file:
            yield _FileReader(file, self.url)

    def list(self, prefix: str) -> list[Stat]:
        """Give the files, hidden ones left out."""
        return sorted(
            (
                Stat(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
                for path, found in self._walk(require_prefix(prefix))
                if not path.name.startswith(".") and (key := self._key(path)).startswith(prefix)
            ),
            key=lambda one: one.key,
        )

    def delete(self, keys: Sequence[str]) -> None:
        """Remove files and the folders that this leaves empty; back from here, no loss of power brings them back."""
        paths = [self._path(key) for key in keys]
        with _told(self.url):
            for path in paths:
                with suppress(*_NOT_THERE):
                    path.unlink()
            for folder in {path.parent for path in paths}:
                self._tidy(folder)

    def locked_until(self, key: str) -> datetime | None:  # noqa: ARG002 - as every store
        """Give None: a folder locks nothing."""
        return None

    def sweep(self, prefix: str, older_than: datetime) -> int:
        """Remove the hidden files of uploads that were interrupted."""
        old = [
            path
            for path, found in self._walk(require_prefix(prefix))
            if path.name.startswith(".")
            and path.suffix == _UNFINISHED
            and self._key(path.with_name(path.name[1:])).startswith(prefix)
            and found.st_mtime < older_than.timestamp()
        ]
        with _told(self.url):
            for path in old:
                path.unlink(missing_ok=True)
                self._tidy(path.parent)
        return len(old)

    def _path(self, key: str) -> Path:
        return self._folder / require_key(key)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _draft(self, key: str) -> _Draft:
        path = self._path(key)
        with _told(self.url):
            for _ in range(_TRIES):
                # Whoever clears up may take the empty folder away before there is something in it.
                with suppress(FileNotFoundError):
                    return self._begin(path, key)
            return self._begin(path, key)

    def _begin(self, path: Path, key: str) -> _Draft:
        _make_folders(path.parent, within=self._folder.parent)
        return _Draft(path, key, self.url)

    def _walk(self, prefix: str) -> Iterator[tuple[Path, os.stat_result]]:
        """Give each file, hidden ones too, of the folder where keys that begin so are."""
        with _told(self.url):
            top = self._folder / prefix.rpartition("/")[0]
            for root, folders, names in os.walk(top, onerror=_raise_unless_gone):
                folders[:] = [name for name in folders if not name.startswith(".")]
                for name in names:
                    path = Path(root, name)
                    with suppress(*_NOT_THERE):  # removed meanwhile
                        if S_ISREG((found := path.lstat()).st_mode):
                            yield path, found

    def _tidy(self, folder: Path) -> None:
        """Bring a folder to the disk, and take it away if it is empty, and those around it."""
        with suppress(*_NOT_THERE):
            sync_folder(folder)
        with suppress(OSError):  # something is in it
            while folder != self._folder:
                folder.rmdir()
                folder = folder.parent


class _Draft:
    """A hidden file that gets its name when it is whole."""

    def __init__(self, path: Path, key: str, url: str) -> None:
        self._path = path
        self._key = key
        self._url = url
        self._size = 0
        self._checksum = 0
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_UNFINISHED, dir=path.parent)
        self._file = os.fdopen(number, "r+b", buffering=0)
        self._hidden = Path(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        with suppress(OSError):  # the sweep gets what cannot be removed now
            self._hidden.unlink(missing_ok=True)

    def write(self, part: bytes) -> None:
        rest = memoryview(part)
        with _told(self._url):
            while rest:
                rest = rest[self._file.write(rest) :]
        self._size += len(part)
        self._checksum = zlib.crc32(part, self._checksum)

    def complete(self, *, replace: bool = False) -> None:
        with _told(self._url):
            os.fsync(self._file.fileno())
            self._read_back()
            if replace:
                self._hidden.replace(self._path)
            else:
                self._link()
            sync_folder(self._path.parent)

    def _read_back(self) -> None:
        """Read it from the disk: what is only in memory proves nothing."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._file.seek(0)
        size = checksum = 0
        while piece := self._file.read(_PIECE):
            size += len(piece)
            checksum = zlib.crc32(piece, checksum)
        if (size, checksum) != (self._size, self._checksum):
            cure = "Do not trust this disk: dmesg and smartctl tell more. Name another store: --store."
            raise StoreError(f"{self._url}: {self._key} does not read back as it was written", cure=cure)

    def _link(self) -> None:
        """Give it its name unless that is taken, which a rename would not notice."""
        try:
            os.link(self._hidden, self._path)
        except FileExistsError as error:
            raise ExistsError(f"{self._url} has {self._key} already") from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            cure = "Name a folder on another file system (ext4, XFS, Btrfs, ZFS, APFS, NFS), or S3."
            raise StoreError(f"{self._url}: its file system knows no hard links", cure=cure) from error


class _FileReader:
    """A file whose faults are the store's."""

    def __init__(self, file: FileIO, url: str) -> None:
        self._file = file
        self._url = url

    def read(self, size: int = -1, /) -> bytes:
        with _told(self._url):
            return self._file.read(size)


def _make_folders(folder: Path, within: Path) -> None:
    """Make what is missing below a folder that has to be there, for the owner alone."""
    missing = []
    while folder != within and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        with suppress(FileExistsError):  # somebody was faster, or it is a file: that shows at once
            one.mkdir(mode=0o700)
            sync_folder(one.parent)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, _NOT_THERE):
        raise error


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turn what the system says into an error with its cure."""
    try:
        yield
    except OSError as error:
        raise _in_words(url, error) from error


def _in_words(url: str, error: OSError) -> StoreError:
    reason = f"{url}: {error.strerror or error}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreError(f"{url}: the disk is full", cure="Free some space (inv backup.prune), or name --store.")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return StoreError(reason, cure=f"Whoever makes backups must own {error.filename or url}.")
        case errno.ENOENT | errno.ENOTDIR:
            return StoreError(reason, cure="Mount its disk, or make the folder that it is to be in (mkdir -p).")
        case _:
            return StoreError(reason, cure="dmesg may tell what is wrong with its disk.")
