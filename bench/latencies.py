"""How long users wait for answers: from the document of a validation, which measures them."""

from __future__ import annotations

import json
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.figures import Figure, measured, missing
from cotai_tasks.errors import UnhealthyError
from cotai_tasks.validate.groups.performance import percentile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.workbench import Workbench

_READ = {
    "api-p50": ("PERF-02", 50),
    "api-p95": ("PERF-02", 95),
    "api-p99": ("PERF-02", 99),
    "postgres-read": ("DB-01", 95),
    "mongodb-write": ("DB-04", 95),
    "redis-pair": ("DB-06", 95),
    "gateway": ("PERF-03", 95),
    "first-word": ("PERF-04", 95),
    "task": ("PERF-06", 95),
}
"""From which check's first series each figure comes, and which percentile of it; its second series is the peer's."""


def measure(bench: Workbench) -> Iterator[Figure]:
    """Validate the bench's own production stack in the groups that measure time."""
    production = bench.production
    with TemporaryDirectory(prefix="cotai-bench-") as folder, bench.console.step("validating PERF and DB"):
        what = ("--group", "PERF,DB", "--profile", "full", "--allow-writes")
        done = production.inv("monitor.validate", *what, "--output", folder, "--json")
    try:
        document = json.loads(done.stdout)
    except ValueError:
        last = "\n".join(done.stderr.splitlines()[-15:])
        raise UnhealthyError(f"the validation ended with {done.returncode} and told nothing", evidence=last) from None
    yield from read(document)


def read(document: Mapping[str, Any]) -> list[Figure]:
    """Read the figures out of a validation's document."""
    checks = {one["id"]: one for one in document["checks"]}
    return [_figure(name, checks.get(check), check, which) for name, (check, which) in _READ.items()]


def _figure(name: str, check: Mapping[str, Any] | None, id_: str, which: int) -> Figure:
    if not check:
        return missing([name], f"there is no {id_}")[0]
    series: list[Sequence[float]] = [*(check["data"].get("latencies_ms") or {}).values()]
    if not series or not series[0]:
        return missing([name], f"{id_} {check['state']}: {check['figure']}".strip(": "))[0]
    ours, *others = (percentile(one, which) for one in series)
    return measured(name, ours, others[:1] if name.startswith("api") else ())
