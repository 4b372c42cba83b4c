"""Proof that a stack is what it claims to be; listed as `monitor.validate` and `monitor.checks`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cotai_tasks.task import env_file, open_bare_tools, open_console, open_tools, project_directory, task

if TYPE_CHECKING:
    from invoke.context import Context


@task(
    help={
        "profile": "quick (under a minute) or full: load, broken dependencies, restores.",
        "group": "Only these groups, separated by commas: CFG,HLT,END,DB,NET,PERF,RES,SEC,MON,BAK, or their names.",
        "id": "Only these checks, separated by commas: NET-02,SEC-01.",
        "allow_writes": "Also try what writes rows, keys and tasks of its own, and takes them away again.",
        "throwaway": "Start a stack of its own, validate that, remove it: only there things are broken on purpose.",
        "keep": "Do not remove the throwaway stack.",
        "output": "The folder of the reports.",
        "report_times": "Tell what is slow, and do not fail for it: on a machine that others use, too.",
    }
)
def validate(  # noqa: PLR0913, PLR0917 - a flag each
    c: Context,
    env: str = "",
    profile: str = "quick",
    group: str = "",
    id: str = "",  # noqa: A002 - the flag's name
    allow_writes: bool = False,
    throwaway: bool = False,
    keep: bool = False,
    output: str = "reports",
    report_times: bool = False,
    json: bool = False,
) -> None:
    """Try the catalogue of checks on a stack, and report for people and machines."""
    from cotai_tasks.validate.validate import Wish, validate_throwaway
    from cotai_tasks.validate.validate import validate as procedure

    wish = Wish(profile, group, id, allow_writes, project_directory(c) / output, json, report_times)
    if throwaway:
        bare = env == "prod" and not env_file(c, env).is_file()
        tools = open_bare_tools(c) if bare else open_tools(c, env or "dev")
        validate_throwaway(wish, environ=os.environ, keep=keep, **tools)
    else:
        procedure(wish, **open_tools(c, env))


@task()
def checks(_: Context, json: bool = False) -> None:
    """List every check: what it promises, how it is judged, and what it does to the stack."""
    from cotai_tasks.validate.catalogue import catalogue, show_catalogue

    show_catalogue(catalogue(), as_json=json, console=open_console())
