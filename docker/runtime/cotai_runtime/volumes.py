"""Puts files into volumes, and reads them: what a container needs reaches it through the engine, wherever that runs.

    volumes.py put SHA256 FOLDER…       < tar     prints `changed PATH` for each, and `written SECONDS FOLDER`
    volumes.py get FOLDER [NAME…]       > tar

A folder is `VOLUME/NAME`; `put` makes each just what the archive holds, once the archive has its checksum: one that was
cut short would look whole. Each file is complete before it has its name, and a file that is the same already is not
touched. It runs as root, the only one who can give files to other users; OWNERS (`VOLUME=UID …`) names those that whole
volumes belong to.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
from pathlib import Path

ROOT = Path("/volumes")


def put(folders: list[str], archive: tarfile.TarFile, root: Path = ROOT) -> list[str]:
    """Make the folders hold what the archive does; give the paths of the files that are new, other, or gone."""
    changed, wanted = [], set()
    for member in archive:
        path = Path(member.name)
        if ".." in path.parts or not any(path.is_relative_to(folder) for folder in folders):
            sys.exit(f"{member.name}: not in {' '.join(folders)}")
        wanted.add(path)
        if _write(root / path, archive.extractfile(member).read(), member):
            changed.append(str(path))
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder).chmod(0o755)
        for path in sorted(path.relative_to(root) for path in (root / folder).rglob("*") if not path.is_dir()):
            if path not in wanted:
                (root / path).unlink()
                changed.append(str(path))
    return changed


def own(owners: str, root: Path = ROOT) -> None:
    """Give volumes to the users that write to them: an engine gives a new one to root."""
    for owner in owners.split():
        volume, _, uid = owner.partition("=")
        os.chown(root / volume, int(uid), int(uid))


def _write(path: Path, content: bytes, member: tarfile.TarInfo) -> bool:
    """Write a file as the archive says; tell whether it is another than before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        found = path.stat()
        if (path.read_bytes(), found.st_uid, found.st_mode & 0o7777) == (content, member.uid, member.mode):
            return False
    fresh = path.with_name(f".{path.name}.new")
    with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
        os.fchown(file.fileno(), member.uid, member.uid)
        os.fchmod(file.fileno(), member.mode)
        os.fsync(file.fileno())
    fresh.replace(path)
    return True


def written(folder: str, root: Path = ROOT) -> float:
    """Tell when something in a folder changed last, in seconds since 1970: each new file is put into its folder."""
    return max(path.stat().st_mtime for path in (root / folder, *(root / folder).rglob("*")) if path.is_dir())


def get(folder: str, names: list[str], archive: tarfile.TarFile, root: Path = ROOT) -> None:
    """Add files of a folder to the archive, all where none is named; a folder that is not there has none."""
    if (root / folder).is_dir():
        for path in sorted(path for path in (root / folder).rglob("*") if path.is_file()):
            if not names or str(path.relative_to(root / folder)) in names:
                archive.add(path, str(path.relative_to(root)))


def main(command: str, first: str, *rest: str) -> None:
    """Put or get."""
    if command == "put":
        packed = sys.stdin.buffer.read()
        if hashlib.sha256(packed).hexdigest() != first:
            sys.exit("the archive did not arrive whole: nothing was changed")
        own(os.environ.get("OWNERS", ""))
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            sys.stdout.writelines(f"changed {path}\n" for path in put(list(rest), archive))
        sys.stdout.writelines(f"written {written(folder)} {folder}\n" for folder in rest)
    else:
        with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
            get(first, list(rest), archive)


if __name__ == "__main__":
    main(*sys.argv[1:])
