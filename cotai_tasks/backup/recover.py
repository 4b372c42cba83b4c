"""How a downloaded backup is opened without this tool: the sheet that lies beside it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cotai_tasks.backup.manifest import Manifest, Stream

_HEAD = """\
Backup {id} of {stack}, begun {time:%Y-%m-%d %H:%M:%S} UTC, made by cotai-tasks {tool}.

Every stream below is one zstd frame{within}, cut into the files that are named after it, and nothing else:
zstd{age} and the databases' own tools bring it all back. Databases are restored into new, empty servers
of the same major version. Set these first:

    BACKUP=.                     # the folder with this sheet
{identity}
Is everything as it was stored?

    (cd "$BACKUP" && sha256sum --check SHA256SUMS)
"""

_IDENTITY = """\
    IDENTITY=identity.txt        # the private key of one of: {recipients}
"""

_LEFT_OUT = "--nsExclude='admin.system.*' --nsExclude='*.before_20*Z-*' --nsExclude='*.restore_20*Z-*'"
"""Users and roles, which would stand in those of the new server's place, and what earlier restores had kept."""


def recovery_sheet(manifest: Manifest) -> str:
    """Write the commands that bring a backup back on a host that has nothing of ours."""
    head = _HEAD.format(
        id=manifest.id,
        stack=manifest.stack,
        time=manifest.started_at,
        tool=manifest.tool,
        within=" within one age file" if manifest.encrypted else "",
        age=", age" if manifest.encrypted else "",
        identity=_IDENTITY.format(recipients=", ".join(manifest.recipients)) if manifest.encrypted else "",
    )
    return "\n".join([head, *(_section(one, encrypted=manifest.encrypted) for one in manifest.streams)])


def checksums(manifest: Manifest) -> str:
    """List the files with their SHA-256, as `sha256sum --check` reads it."""
    lines = (f"{one.sha256}  {file_name(one.key)}\n" for stream in manifest.streams for one in stream.objects)
    return "".join(lines)


def file_name(key: str) -> str:
    """Give the name that an object has in a download: the last part of its key."""
    return key.rpartition("/")[2]


def _section(stream: Stream, *, encrypted: bool) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in stream.facts.items() if isinstance(value, str | int))
    title = f"{stream.name} ({stream.kind}{f', {facts}' if facts else ''})"
    files = " ".join(f'"$BACKUP"/{shlex.quote(file_name(one.key))}' for one in stream.objects)
    opened = f'cat {files} | age -d -i "$IDENTITY" | zstd -d' if encrypted else f"cat {files} | zstd -d"
    return "\n".join([title, "", *(f"    {line}" for line in _commands(stream, opened)), ""])


def _commands(stream: Stream, opened: str) -> list[str]:
    name = shlex.quote(stream.name)
    match stream.kind:
        case "pg_globals":
            note = "# first of all, as superuser; that the role which makes the others exists already is no fault"
            return [note, f"{opened} | psql --dbname=postgres"]
        case "pg_dump":
            note = "# makes the database; is there an empty one of its name, drop that first (dropdb)"
            return [note, f"{opened} | pg_restore --create --exit-on-error --no-tablespaces --dbname=postgres"]
        case "pg_basebackup":
            start = "# start PostgreSQL as its owner, with this as its data folder"
            return [f"mkdir -m 700 {name} && {opened} | tar -x -C {name}", f"pg_verifybackup -n {name}", start]
        case "mongodump":
            replay = " --oplogReplay" if stream.facts.get("replica_set") else ""
            return [f"{opened} | mongorestore --archive{replay} {_LEFT_OUT}"]
        case "bson":
            return ["# of the image for evaluation: its own mongodb-restore reads it", f"{opened} > {name}.bson"]
        case "rdb":
            start = "# start Redis with it as its dump file and --appendonly no: with yes it would ignore the file"
            return [f"{opened} > dump.rdb", start]
        case _:
            return [f"mkdir {name} && {opened} | tar -x --numeric-owner --xattrs --xattrs-include='*' -C {name}"]
