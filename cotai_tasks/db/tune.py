"""What the running databases use, against what fits the containers they run in."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cotai_tasks.console import size
from cotai_tasks.db.questions import STATUS, in_time, postgres_values
from cotai_tasks.db.shell import DATABASES, ask, client, require_running
from cotai_tasks.sizing import CONNECTIONS
from cotai_tasks.stack import open_stack
from cotai_tasks.tuning import GiB, mongodb_cache_gb, postgres_settings, redis_maxmemory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

_WHY = {
    "max_connections": "what the size of this stack is planned for",
    "shared_buffers": "25 % of the container's memory",
    "effective_cache_size": "75 % of it: buffers and the page cache",
    "work_mem": "what buffers leave, for every connection at once",
    "maintenance_work_mem": "a sixteenth of it, for VACUUM and CREATE INDEX",
    "wal_buffers": "1/32 of shared_buffers, at most one segment",
    "max_wal_size": "as much as the memory, 1 to 8 GB: rarer checkpoints",
    "min_wal_size": "a quarter of max_wal_size",
    "max_worker_processes": "parallel workers, and eight for the rest",
    "max_parallel_workers": "one for each processor",
    "max_parallel_workers_per_gather": "half of them for one query, at most four",
    "max_parallel_maintenance_workers": "half of them for one index, at most four",
    "random_page_cost": "SSD: reading here and there is as fast as in a row",
    "effective_io_concurrency": "SSD: many reads at once",
}
_POLICIES = {"redis": "noeviction", "redis-cache": "allkeys-lru"}
_POLICY_WHY = {"redis": "a queued task must never be evicted", "redis-cache": "the least used makes room"}
_UNITS = {"B": 1, "kB": 1024, "MB": 2**20, "GB": 2**30, "TB": 2**40}


@dataclass(frozen=True)
class Advice:
    """One setting of one server: what it is, what fits its container, and why."""

    service: str
    setting: str
    current: str
    recommended: str
    why: str

    @property
    def fits(self) -> bool:
        """Whether both mean the same, however they are written: 1GB is 1024MB."""
        return _amount(self.current) == _amount(self.recommended)


def tune(*, settings: Settings, engine: Engine) -> list[Advice]:
    """Ask every database that runs, all at the same time, and compare.

    Raises `DatabaseError` when none runs, or one refuses. A container without a limit counts as the whole host.
    """
    stack = open_stack(settings, engine)
    containers = {one.service: one for one in engine.containers(stack.project.name) if one.state == "running"}
    there = [name for name in DATABASES if name in containers]
    if not there:
        require_running(stack, [name for name in DATABASES if name in stack.services], settings=settings, engine=engine)
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda name: [*_advise(name, containers[name], stack, settings, engine)], there)
    return [one for advice in found for one in advice]


def show_advice(advice: Sequence[Advice], *, as_json: bool, settings: Settings, console: Console) -> None:
    """Print what should be other than it is; all of it as JSON."""
    if as_json:
        console.json([asdict(one) | {"fits": one.fits} for one in advice])
        return
    wrong = [one for one in advice if not one.fits]
    if not wrong:
        console.done(f"nothing to do: all {len(advice)} settings fit the containers")
        return
    rows = [(one.service, one.setting, one.current, one.recommended, one.why) for one in wrong]
    console.table(("server", "setting", "current", "recommended", "why"), rows)
    console.say(f"{len(advice) - len(wrong)} of {len(advice)} settings fit. {_CURES[settings.environment]}")


_CURES = {
    "dev": "Development is small on purpose; its settings are in docker/postgres, docker/mongodb and docker/redis.",
    "prod": "inv deploy.prod writes what fits COTAI_SIZE, and says which database must be restarted for it.",
}


def _advise(service: str, one: Container, stack: Stack, settings: Settings, engine: Engine) -> Iterator[Advice]:
    memory = one.memory_limit or int(engine.info()["MemTotal"])
    match service:
        case "postgres":
            yield from _postgres(_cpus(one, engine), memory, stack, settings, engine)
        case "mongodb":
            yield from _mongodb(memory, stack, engine)
        case _:
            yield from _redis(service, memory, stack, engine)


def _cpus(one: Container, engine: Engine) -> float:
    """Give a container's processors, or the host's where it has no limit."""
    limit = int(engine.command("container", "inspect", "--format", "{{.HostConfig.NanoCpus}}", one.id)) / 1e9
    return limit or float(engine.info()["NCPU"])


def _postgres(cpus: float, memory: int, stack: Stack, settings: Settings, engine: Engine) -> Iterator[Advice]:
    answer = ask(stack, "postgres", in_time(postgres_values([*_WHY])), engine)
    current = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
    planned = settings.environment == "prod"
    connections = CONNECTIONS[settings.variables.COTAI_SIZE] if planned else int(current["max_connections"])
    for name, value in postgres_settings(memory, cpus, connections).items():
        yield Advice("postgres", name, current[name], value, _WHY[name])


def _mongodb(memory: int, stack: Stack, engine: Engine) -> Iterator[Advice]:
    told = json.loads(ask(stack, "mongodb", in_time(STATUS["mongodb"]), engine))
    if cache := told.get("cache"):  # the image for evaluation does not tell
        why = "half of the container's memory above 1 GB, at least 0.25 GB"
        recommended = f"{mongodb_cache_gb(memory):g}GB"
        yield Advice("mongodb", "wiredTigerCacheSizeGB", f"{round(cache / GiB, 2):g}GB", recommended, why)


def _redis(service: str, memory: int, stack: Stack, engine: Engine) -> Iterator[Advice]:
    names = ("maxmemory", "maxmemory-policy", "appendonly")
    lines = ask(stack, service, in_time(client(service, "CONFIG", "GET", *names)), engine).split()
    told: Mapping[str, str] = dict(zip(lines[::2], lines[1::2], strict=True))
    persistent = service == "redis"
    limit, share = redis_maxmemory(memory, persistent=persistent), "75 %" if persistent else "80 %"
    why = "rewriting the append-only file needs the rest" if persistent else "buffers need the rest"
    yield Advice(service, "maxmemory", _written(told["maxmemory"]), size(limit), f"{share} of the container: {why}")
    yield Advice(service, "maxmemory-policy", told["maxmemory-policy"], _POLICIES[service], _POLICY_WHY[service])
    if persistent:
        yield Advice(service, "appendonly", told["appendonly"], "yes", "a crash loses one second of tasks at most")


def _written(count: str) -> str:
    return size(int(count)) if count != "0" else "no limit"


def _amount(value: str) -> float | str:
    """Give what a setting means as a number, where it is one."""
    match = re.fullmatch(r"([\d.]+)\s*([kMGT]?B)?", value)
    return float(match[1]) * _UNITS[match[2] or "B"] if match else value
