"""Look at a stack: its health, its load, its logs, its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.task import open_tools, task

if TYPE_CHECKING:
    from invoke.context import Context


@task()
def health(c: Context, env: str = "", json: bool = False) -> None:
    """Give one verdict on the whole stack: containers, databases, readiness, pages, targets, alerts, backup."""
    from cotai_tasks.monitor.health import show_health, stack_health

    tools = open_tools(c, env)
    show_health(stack_health(**tools), as_json=json, console=tools["console"])


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


@task(
    help={
        "sort": "By what: memory, full (memory of its limit), cpu, network, disk, restarts; the largest comes first.",
        "once": "Show it once, also at a terminal.",
    }
)
def top(c: Context, sort: str = "memory", once: bool = False, env: str = "", json: bool = False) -> None:
    """Show who uses what, again and again until Ctrl-C: processor, memory of its limit, network, disk, restarts."""
    from cotai_tasks.monitor.top import show_top

    show_top(order=sort, once=once, as_json=json, **open_tools(c, env))


@task(
    positional=["query"],
    help={
        "query": "A query of Prometheus (PromQL): up, 'rate(http_requests_total[5m])'.",
        "range": "Over so long until now, instead of this moment: 15m, 6h, 7d.",
        "step": "A value every so often: 30s, 1m (default: 60 of them in the range).",
    },
)
def metrics(c: Context, query: str, range: str = "", step: str = "", env: str = "", json: bool = False) -> None:  # noqa: A002 - the flag's name
    """Ask Prometheus: the values of this moment, or with --range what they were, summed up and drawn."""
    from cotai_tasks.monitor.metrics import show_metrics

    show_metrics(query, span=range, step=step, as_json=json, **open_tools(c, env))
