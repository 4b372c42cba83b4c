"""Scratch containers: a service's own image with data of its own, cut off from everything, for looking at a backup."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cotai_tasks.errors import BackupError, CotaiError, EngineError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cotai_tasks.backup.components.base import Site
    from cotai_tasks.engine import Engine

LABEL = "cotai.scratch"
"""On a scratch container: the stack that it belongs to."""

PATIENCE = 180.0
"""Seconds that a server has until it answers; an empty one takes two or three, one that recovers a log longer."""

_DIGITS = 6
"""With which the id of a backup ends."""

_LIMITS = {"mem_limit": "--memory", "cpus": "--cpus", "pids_limit": "--pids-limit", "shm_size": "--shm-size"}
"""What bounds the service in the Compose files bounds its scratch container too."""


_OF_THE_HOST = re.compile(
    "no space left|could not (extend|write)|disk is full|out of memory|cannot allocate"  # its disk, its memory
    "|killed|terminat(ed|ing)|given up|exit code 1(37|43)|shutting down"  # somebody ended it
    "|(closed the|broken) (connection|pipe)|connection (refused|reset|to server)|server selection|deadline exceeded"
    "|response from daemon|cannot connect to the docker|oci runtime"  # the engine
    "|locale name|could not access file",  # the image lacks something
    re.IGNORECASE,
)
"""What says of a load that fails nothing about what was loaded."""


@contextmanager
def scratch(  # noqa: PLR0913 - what differs between the servers
    site: Site,
    service: str,
    backup: str,
    *,
    probe: Sequence[str],
    command: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    role: str = "",
    keep: bool = False,
    staging: bool = False,
) -> Iterator[str]:
    """Run a container of a service's image until the block ends; give its name.

    It has no network, the user and the limits of the service, a read-only root, and anonymous volumes where its image
    declares volumes; nothing of the project is mounted. The block begins once `probe`, run in it, succeeds. `role`
    stands in the name instead of the service, where a service has several. `keep` leaves it running after a block that
    ended well; `staging` says that a live restore needs it. What `environ` and `command` hold is readable at the
    engine: nothing secret.

    Raises `BackupError` with its last words for one that ends or does not answer, and `IntegrityError` for what a
    server's own tool refuses in the block, while nothing of the host keeps it from its work.
    """
    name = scratch_name(site, role or service, backup, keep=keep, staging=staging)
    with run_until(site.engine, name, _run(site, service, name, backup, command, environ or {}), keep=keep):
        await_answer(site.engine, name, probe)
        try:
            yield name
        except EngineError as error:
            raise _judged(error, site.engine, name) from error


@contextmanager
def run_until(engine: Engine, name: str, run: Sequence[str], *, keep: bool) -> Iterator[None]:
    """Run a container until the block ends, and remove it with its volumes; `keep` leaves it after a good end."""
    _remove(engine, name)  # what a kill left behind, or the same that was kept
    try:
        engine.command(*run)
        yield
    except BaseException:
        _remove(engine, name)
        raise
    if not keep:
        _remove(engine, name)


def scratch_name(site: Site, part: str, backup: str, *, keep: bool, staging: bool = False) -> str:
    """Name a scratch container: `cotai-prod-scratch-postgres-7c8255`.

    The end of the backup's id and the purpose stand in it: what somebody keeps to look at has another name than what a
    drill or a live restore makes, and removes, of the same backup.
    """
    purpose = "staging" if staging else "scratch" if keep else "drill"
    return f"{site.stack.project.name}-{purpose}-{part}-{backup[-_DIGITS:]}"


def await_answer(engine: Engine, name: str, probe: Sequence[str]) -> None:
    """Wait until a command succeeds in a container; raise `BackupError` with its last words where it ends before."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            engine.command("exec", name, *probe)
        except EngineError as error:
            state = _state(engine, name)
            if state == "running" and time.monotonic() < end:
                time.sleep(0.2)
                continue
            fault = "does not answer" if state == "running" else f"has ended ({state})"
            words = "\n".join([*engine.stream("logs", "--tail", "20", name)][-20:])
            raise BackupError(f"the scratch container {name} {fault}", evidence=words) from error
        return


def drop_scratch(site: Site) -> list[str]:
    """Remove the scratch containers of a stack with their data; give their names."""
    only = f"label={LABEL}={site.stack.project.name}"
    names = site.engine.command("container", "ls", "--all", "--filter", only, "--format", "{{.Names}}").split()
    for name in names:
        _remove(site.engine, name)
    return sorted(names)


def _run(
    site: Site, service: str, name: str, backup: str, command: Sequence[str], environ: Mapping[str, str]
) -> list[str]:
    known: dict[str, Any] = site.stack.rendered["services"].get(service, {})
    stack = site.stack.project.name
    return [
        *("run", "--detach", "--pull", "never", "--name", name, "--network", "none"),
        *("--label", f"{LABEL}={stack}", "--label", f"cotai.backup={backup}"),
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *(("--user", known["user"]) if "user" in known else ()),
        *(part for key, flag in _LIMITS.items() if key in known for part in (flag, str(known[key]))),
        *(part for mount in known.get("tmpfs", ()) for part in ("--tmpfs", mount)),
        *(part for key, value in environ.items() for part in ("--env", f"{key}={value}")),
        site.stack.services[service].image,
        *command,
    ]


def _judged(error: EngineError, engine: Engine, name: str) -> CotaiError:
    """Tell a backup that would not restore from a host that could not try."""
    if _OF_THE_HOST.search(f"{error}\n{error.evidence}") or _state(engine, name) != "running":
        return error
    cure = "Use another backup: inv backup.list."
    return IntegrityError(f"it does not load: {error}", cure=cure, evidence=error.evidence)


def _state(engine: Engine, name: str) -> str:
    return engine.command("container", "inspect", "--format", "{{.State.Status}}", name).strip()


def _remove(engine: Engine, name: str) -> None:
    """Remove a container with its anonymous volumes; the engine does not mind one that is not there."""
    engine.command("container", "rm", "--force", "--volumes", name)
