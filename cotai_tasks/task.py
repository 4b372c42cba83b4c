"""The decorator that every task wears, and what a task's body begins with.

Only Invoke and the standard library are imported here: `inv --list` must stay instant.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from invoke.exceptions import Exit
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.context import Context

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

DEFAULTS: dict[str, Any] = {
    "project": "cotai",  # `cotai` gives the stacks `cotai-dev` and `cotai-prod`
    "env": "",  # which of them is meant where `--env` is not given
    "env_file": "",  # instead of env/.env.development or env/.env.production
    "docker": "",  # the docker client to use; empty: the first on PATH whose compose and buildx answer
    "variables": {},  # any variable of the env file
}
"""The `cotai` section of Invoke's configuration: `invoke.yaml`, or INVOKE_COTAI_… in the environment."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it."""

ENV_HELP = "Which stack: dev or prod (default: COTAI_ENV, else the one that runs, else dev)."
JSON_HELP = "Print JSON for a program."
YES_HELP = "Do not ask."
DRY_HELP = "Say what would be done, and do nothing."


class Tools(TypedDict):
    """What procedures take as keyword arguments: `procedure(…, **open_tools(c))`."""

    settings: Settings
    engine: Engine
    console: Console


def task(*, help: dict[str, str] | None = None, **options: Any) -> Callable[[Callable[..., None]], Task[Any]]:  # noqa: A002, ANN401 - Invoke's own names
    """Make an Invoke task whose known errors become one line and an exit code.

    Help for `--env`, `--json`, `--yes` and `--dry-run` is added where the task has them. Flags have long names only:
    Invoke makes short ones from whichever letter is free, so that `-s` would mean something else to each task.
    """

    def decorate(body: Callable[..., None]) -> Task[Any]:
        parameters = inspect.signature(body).parameters
        common = {"env": ENV_HELP, "json": JSON_HELP, "yes": YES_HELP, "dry_run": DRY_HELP}
        texts = {name: text for name, text in common.items() if name in parameters} | (help or {})

        @functools.wraps(body)
        def run(c: Context, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            if "dry_run" in parameters and c.config.run.dry:
                kwargs["dry_run"] = True
            _guarded(body, c, *args, **kwargs)

        made: Task[Any] = invoke_task(help=texts, auto_shortflags=False, **options)(run)
        return made

    return decorate


def open_tools(c: Context, env: str = "") -> Tools:
    """Load and validate the settings of the stack that is meant, and find its engine."""
    engine = open_engine(c)
    return Tools(settings=open_settings(c, env, engine), engine=engine, console=open_console())


def open_engine(c: Context) -> Engine:
    """Find the docker command line that is to be used."""
    from cotai_tasks.engine import Engine

    return Engine(os.environ.get("COTAI_DOCKER", "") or c.config.cotai.docker)


def open_settings(c: Context, env: str, engine: Engine | None) -> Settings:
    """Load and validate the settings of the stack that is meant; without an engine, none is known to run."""
    from cotai_tasks.settings import load_settings
    from cotai_tasks.stack import pick_environment

    config = c.config.cotai
    named = env or os.environ.get("COTAI_ENV", "") or config.env
    return load_settings(
        project_directory(c),
        pick_environment(named, engine, config.project) if engine else named or "dev",
        environ=os.environ,
        project=str(config.project),
        env_file=str(config.env_file or ""),
        overrides=dict(config.variables or {}),
    )


def env_file(c: Context, env: str) -> Path:
    """Say where the env file is, or should be, of the environment that is named, else of production."""
    from cotai_tasks.settings import FILE_NAMES

    named = str(c.config.cotai.env_file or "")
    return project_directory(c) / (named or FILE_NAMES["dev" if env == "dev" else "prod"])


def open_bare_tools(c: Context) -> Tools:
    """Give the tools for a host without production's env file: settings of the example, to bring that file back."""
    from cotai_tasks.files import packaged_files
    from cotai_tasks.settings import load_settings

    config = c.config.cotai
    lost = load_settings(
        project_directory(c),
        "prod",
        environ={"SERVER_NAME": "unknown", **os.environ},
        project=str(config.project),
        env_file=str(packaged_files() / "env/.env.production.example"),
        overrides=dict(config.variables or {}),
    )
    settings = lost.model_copy(update={"env_file": env_file(c, "prod")})
    return Tools(settings=settings, engine=open_engine(c), console=open_console())


def open_console() -> Console:
    """Give the console of this process."""
    from cotai_tasks.console import Console

    return Console()


def project_directory(c: Context) -> Path:
    """Give the folder of the user's `tasks.py`."""
    return Path(getattr(c.config, "_project_prefix", None) or Path.cwd()).resolve()


def _guarded(body: Callable[..., None], c: Context, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
    from cotai_tasks.errors import CotaiError

    if threading.current_thread() is threading.main_thread():
        for ending in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: no lock, no child and no secret stays behind
            signal.signal(ending, signal.default_int_handler)
    try:
        body(c, *args, **kwargs)
    except CotaiError as error:
        if c.config.get("debug") or os.environ.get("INVOKE_DEBUG"):
            traceback.print_exc()
        open_console().error(error)
        raise Exit(code=error.code) from error
    except KeyboardInterrupt as error:
        open_console().warn("interrupted; to repeat the command is safe")
        raise Exit(code=INTERRUPTED) from error
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader (head, less) has left: nothing more to say
        raise Exit(code=0) from error
