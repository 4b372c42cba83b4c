"""Backups: made, looked at, checked, thinned out, and brought back."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypedDict

from cotai_tasks.task import env_file, open_bare_tools, open_tools, task

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from invoke.context import Context

    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings
    from cotai_tasks.task import Tools

_STORE = "Where backups are: a folder, or s3://BUCKET/PREFIX (default: BACKUP_STORE)."
_ID = "Which backup; the beginning of its id is enough (default: the newest)."
_IDENTITY = "The private key that opens it: a file of backup.keygen, age-keygen or SSH (default: BACKUP_IDENTITY)."
_SIGNER = "Whose backups count too, beside this host's: SHA256:… as backup.keygen and backup.show print it."


@task(
    iterable=["recipient"],
    help={
        "encrypt": "Encrypt it (production's default).",
        "plain": "Do not encrypt it (development's default).",
        "only": "Components, separated by commas: postgres,postgres-physical,mongodb,redis,volumes,config.",
        "tag": "A word to find it by; what has one stays until backup.delete.",
        "store": _STORE,
        "recipient": "Who can open it: age1… or ssh-ed25519 …; repeat it for several (default: env/recipients.txt).",
        "level": "How hard zstd tries, 1 to 19 (default: 3).",
    },
)
def create(  # noqa: PLR0913, PLR0917 - a flag each
    c: Context,
    recipient: list[str],
    encrypt: bool = False,
    plain: bool = False,
    only: str = "",
    tag: str = "",
    store: str = "",
    level: int = 3,
    env: str = "",
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Back the stack up: each component consistent in itself, streamed, encrypted, read back, signed."""
    from cotai_tasks.backup.components.registry import named
    from cotai_tasks.backup.create import Wish, is_relied_on, show_created
    from cotai_tasks.backup.create import create as procedure

    os.nice(10)  # to compress and to encrypt takes all it can get: users come first
    tools = open_tools(c, env)
    counts = is_relied_on(named(only), store) and not dry_run
    with _failure_told("backup.create", tools) if counts else nullcontext():
        wish = Wish.of(
            tools["settings"],
            encrypt=encrypt,
            plain=plain,
            only=only,
            tag=tag,
            store=store,
            recipients=recipient,
            level=level,
        )
        made = procedure(wish, dry_run=dry_run, as_json=json, **tools)
    show_created(made, as_json=json, console=tools["console"])


@task(
    help={
        "output": "The file to make (default: ~/STACK-backup.key); one that is there is never overwritten.",
        "passphrase": "Ask for a passphrase that the file is wrapped with.",
    }
)
def keygen(c: Context, output: str = "", passphrase: bool = False, env: str = "") -> None:
    """Make an identity that opens backups; print its recipient, and what to keep where."""
    from cotai_tasks.backup.keygen import keygen as procedure

    procedure(output=output, passphrase=passphrase, **_without_engine(c, env))


@task(name="list", help={"store": _STORE, "signer": _SIGNER})
def list_(c: Context, store: str = "", signer: str = "", env: str = "", json: bool = False) -> None:
    """List the backups: age, components, size, verified when and how, kept because."""
    from cotai_tasks.backup.listing import list_backups, show_backups

    tools = _without_engine(c, env)
    listing = list_backups(store=store, signer=signer, settings=tools["settings"])
    show_backups(listing, as_json=json, console=tools["console"])


@task(help={"id": _ID, "store": _STORE, "signer": _SIGNER})
def show(c: Context, id: str = "", store: str = "", signer: str = "", env: str = "", json: bool = False) -> None:  # noqa: A002
    """Show one backup: streams, sizes, versions, the moment of each, who can open it."""
    from cotai_tasks.backup.listing import show_backup

    show_backup(id, store=store, signer=signer, as_json=json, **_without_engine(c, env))


@task(
    help={
        "id": _ID,
        "level": "quick (sizes), data (hashes, no key), decrypt, or restore (into scratch containers).",
        "identity": _IDENTITY,
        "store": _STORE,
        "signer": _SIGNER,
    }
)
def verify(
    c: Context,
    id: str = "",  # noqa: A002
    level: str = "data",
    identity: str = "",
    store: str = "",
    signer: str = "",
    env: str = "",
    json: bool = False,
) -> None:
    """Check that a backup is whole, and record it; from a look at sizes to a whole restore into scratch containers."""
    from cotai_tasks.backup.verify import verify as procedure

    procedure(id, level=level, identity=identity, store=store, signer=signer, as_json=json, **open_tools(c, env))


@task(
    help={
        "max_age": "How old the newest good backup may be: 26h, 8d.",
        "notify": "Tell BACKUP_WEBHOOK_URL when there is none.",
        "store": _STORE,
        "signer": _SIGNER,
    }
)
def check(
    c: Context,
    max_age: str = "26h",
    notify: bool = False,
    store: str = "",
    signer: str = "",
    env: str = "",
    json: bool = False,
) -> None:
    """Fail unless there is a whole backup that is young enough."""
    from cotai_tasks.backup.check import check as procedure

    procedure(max_age, notify=notify, store=store, signer=signer, as_json=json, **_without_engine(c, env))


@task(help={"store": _STORE, "signer": _SIGNER})
def prune(
    c: Context,
    store: str = "",
    signer: str = "",
    yes: bool = False,
    env: str = "",
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Show which backups BACKUP_KEEP keeps and why; after a question delete the others."""
    from cotai_tasks.backup.prune import prune as procedure

    tools = _without_engine(c, env)
    with _failure_told("backup.prune", tools):
        procedure(store=store, signer=signer, yes=yes, dry_run=dry_run, as_json=json, **tools)


@task(help={"id": "Which backup; of a damaged one the whole id.", "store": _STORE, "signer": _SIGNER})
def delete(
    c: Context,
    id: str = "",  # noqa: A002
    store: str = "",
    signer: str = "",
    yes: bool = False,
    env: str = "",
    dry_run: bool = False,
) -> None:
    """Remove one backup for good, after a question: what has a tag, or is damaged, goes no other way."""
    from cotai_tasks.backup.prune import delete as procedure

    procedure(id, store=store, signer=signer, yes=yes, dry_run=dry_run, **_without_engine(c, env))


@task(help={"id": _ID, "to": "Where to: a folder, or s3://BUCKET/PREFIX.", "store": _STORE, "signer": _SIGNER})
def copy(
    c: Context,
    to: str,
    id: str = "",  # noqa: A002
    store: str = "",
    signer: str = "",
    env: str = "",
) -> None:
    """Copy a backup into another store, verified on the way."""
    from cotai_tasks.backup.copy import copy as procedure

    procedure(id, to, store=store, signer=signer, **_without_engine(c, env))


@task(
    help={
        "id": _ID,
        "to": "The folder to make (default: the backup's id, here).",
        "store": _STORE,
        "signer": _SIGNER,
    }
)
def download(
    c: Context,
    id: str = "",  # noqa: A002
    to: str = "",
    store: str = "",
    signer: str = "",
    env: str = "",
) -> None:
    """Fetch a backup as it is, with the commands that open it without this tool."""
    from cotai_tasks.backup.copy import download as procedure

    procedure(id, to, store=store, signer=signer, **_without_engine(c, env))


@task(
    help={
        "id": _ID,
        "only": "Components, separated by commas (default: all but the configuration; scratch: all).",
        "into": "scratch (containers that nobody uses), new (a stack without data), or live.",
        "identity": _IDENTITY,
        "store": _STORE,
        "signer": _SIGNER,
        "queued_tasks": "Let the background tasks that were queued then run (again).",
    }
)
def restore(  # noqa: PLR0913, PLR0917 - a flag each
    c: Context,
    id: str = "",  # noqa: A002
    only: str = "",
    into: str = "scratch",
    identity: str = "",
    store: str = "",
    signer: str = "",
    queued_tasks: bool = False,
    yes: bool = False,
    env: str = "",
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Restore a backup: staged, compared, swapped in; what it replaces is kept."""
    from cotai_tasks.backup.restore import restore as procedure
    from cotai_tasks.backup.restore import show_restored

    bare = (only, into) == ("config", "new") and not env_file(c, env).is_file()
    tools = open_bare_tools(c) if bare else open_tools(c, env)
    done = procedure(
        backup=id,
        only=only,
        into=into,
        identity=identity,
        store=store,
        signer=signer,
        queued_tasks=queued_tasks,
        yes=yes,
        dry_run=dry_run,
        as_json=json,
        **tools,
    )
    show_restored(done, as_json=json, console=tools["console"])


@task(help={"id": "Whose restore; the beginning of the id is enough (default: the one that was interrupted)."})
def undo(c: Context, id: str = "", yes: bool = False, env: str = "", dry_run: bool = False) -> None:  # noqa: A002
    """Put the data back that a restore replaced."""
    from cotai_tasks.backup.restore import undo as procedure

    procedure(backup=id, yes=yes, dry_run=dry_run, **open_tools(c, env))


@task(help={"id": "Also remove for good the data that the restore of this backup replaced."})
def discard(c: Context, id: str = "", yes: bool = False, env: str = "", dry_run: bool = False) -> None:  # noqa: A002
    """Remove what restores left: scratch containers, interrupted work, and by --id the data that was replaced."""
    from cotai_tasks.backup.restore import discard as procedure

    procedure(backup=id, yes=yes, dry_run=dry_run, **open_tools(c, env))


@task(help={"id": _ID, "identity": _IDENTITY, "store": _STORE, "signer": _SIGNER})
def drill(
    c: Context,
    id: str = "",  # noqa: A002
    identity: str = "",
    store: str = "",
    signer: str = "",
    env: str = "",
    json: bool = False,
) -> None:
    """Prove that a backup restores: into scratch containers, rows and hashes compared, timed, recorded."""
    from cotai_tasks.backup.rehearse import drill as procedure
    from cotai_tasks.backup.rehearse import show_outcome

    tools = open_tools(c, env)
    with _failure_told("backup.drill", tools):
        outcome = procedure(backup=id, identity=identity, store=store, signer=signer, **tools)
    show_outcome(outcome, as_json=json, console=tools["console"])


@task(
    help={
        "install": "Install the systemd timers on this host (as root).",
        "drill": "A weekly drill as well; BACKUP_IDENTITY names the key that it uses.",
    }
)
def schedule(c: Context, install: bool = False, drill: bool = False, env: str = "") -> None:
    """Print, or install, what backs up every night and notices when nothing did."""
    from cotai_tasks.backup.schedule import schedule as procedure

    procedure(install=install, drill=drill, environ=os.environ, **_without_engine(c, env))


class _Tools(TypedDict):
    settings: Settings
    console: Console


def _failure_told(what: str, tools: _Tools | Tools) -> AbstractContextManager[None]:
    """Post a notice where what runs by night fails."""
    from cotai_tasks.notify import failure_told

    return failure_told(tools["settings"], what, console=tools["console"])


def _without_engine(c: Context, env: str) -> _Tools:
    """Give what looks at stores alone: which stack is meant is the engine's to say, and nothing else."""
    tools = open_tools(c, env)
    return _Tools(settings=tools["settings"], console=tools["console"])
