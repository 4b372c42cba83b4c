"""Look at a stack: its health, its load, its logs, its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.task import open_tools, task

if TYPE_CHECKING:
    from invoke.context import Context


@task(
    help={
        "svc": "Services, separated by commas (default: all).",
        "follow": "Go on with new lines, until Ctrl-C.",
        "since": "Only lines since then: 10m, 2h, 2026-01-31T12:00:00.",
        "tail": "Only so many last lines of each container, or all.",
        "grep": "Only lines that match this regular expression.",
        "level": "Only lines of at least this level: debug, info, warning, error, critical.",
    }
)
def logs(
    c: Context,
    svc: str = "",
    follow: bool = False,
    since: str = "",
    tail: str = "100",
    grep: str = "",
    level: str = "",
    env: str = "",
) -> None:
    """Show the log lines of services, all of them or those that match."""
    from cotai_tasks.monitor.logs import show_logs

    show_logs(names=svc, follow=follow, since=since, tail=tail, grep=grep, level=level, **open_tools(c, env))
