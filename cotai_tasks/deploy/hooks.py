"""The team's own commands before and after a deploy, and the notice of what came of it.

Files that can be run, in the project's folder `hooks`: `pre-deploy`, whose failure ends the deploy before it begins;
`post-deploy` and `failed`, which can neither fail nor mask anything.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cotai_tasks.errors import PreflightError
from cotai_tasks.notify import notify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cotai_tasks.console import Console
    from cotai_tasks.deploy.release import Release
    from cotai_tasks.settings import Settings

FOLDER = "hooks"
_PATIENCE = 300.0
"""Seconds that a hook may take."""
_LAST_WORDS = 20
"""Lines."""


@contextmanager
def announced(release: Release, settings: Settings, console: Console) -> Iterator[None]:
    """Run the hooks around a deploy, and tell DEPLOY_WEBHOOK_URL what came of it.

    Raises `PreflightError` with the last words of `pre-deploy` where that fails.
    """
    facts = {"COTAI_STACK": release.stack, "COTAI_RELEASE": release.id, "COTAI_COMMIT": release.commit}
    if fault := run_hook("pre-deploy", facts, settings.directory, console):
        raise PreflightError(f"{FOLDER}/pre-deploy {fault[0]}", cure="Nothing was changed.", evidence=fault[1])
    try:
        yield
    except BaseException as error:
        why = str(error) or type(error).__name__
        with console.uninterrupted("the hook of a deploy that failed"):
            _afterwards("failed", facts | {"COTAI_FAULT": why}, settings, console)
        notify(settings, "deploy", f"release {release.id} failed: {why}", console=console)
        raise
    _afterwards("post-deploy", facts, settings, console)
    notify(settings, "deploy", f"release {release.id} serves", console=console)


def run_hook(name: str, facts: Mapping[str, str], directory: Path, console: Console) -> tuple[str, str] | None:
    """Run a hook where there is one; give what went wrong, and its last words."""
    path = directory / FOLDER / name
    if not path.is_file():
        return None
    if not os.access(path, os.X_OK):
        return f"cannot be run: chmod +x {path}", ""
    with console.step(f"{FOLDER}/{name}"):
        try:
            done = subprocess.run(
                [path],
                cwd=directory,
                env={**os.environ, **facts},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"was not done after {_PATIENCE:.0f} s", ""
        except OSError as error:
            return f"cannot be run: {error.strerror}", ""
    words = "\n".join(done.stdout.splitlines()[-_LAST_WORDS:])
    return (f"ended with exit code {done.returncode}", words) if done.returncode else None


def _afterwards(name: str, facts: Mapping[str, str], settings: Settings, console: Console) -> None:
    if fault := run_hook(name, facts, settings.directory, console):
        console.warn(f"{FOLDER}/{name} {fault[0]}")
        for line in fault[1].splitlines():
            console.line(f"  │ {line}")
