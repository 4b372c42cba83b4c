"""`inv doctor`: everything that is wrong with this machine, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.task import open_console, open_engine, open_settings, task

if TYPE_CHECKING:
    from invoke.context import Context


@task()
def doctor(c: Context, env: str = "", json: bool = False) -> None:
    """Name everything that is wrong with this machine, and its cure."""
    from cotai_tasks.errors import PreflightError
    from cotai_tasks.host import check_table, diagnose, findings

    console = open_console()
    checks = diagnose(lambda: open_engine(c), lambda engine: open_settings(c, env, engine))
    if json:
        console.json([vars(check) for check in checks])
    else:
        console.render(check_table(checks))
    errors = len(findings(checks).errors)
    if errors:
        raise PreflightError(f"this machine is not ready: {errors} of {len(checks)} checks fail")
