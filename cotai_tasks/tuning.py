"""What a database is told to use of the container it lives in. Figures only: nothing is asked and nothing is changed.

Memory is the container's own limit: a server that believes in the host's memory is killed by the kernel.
"""

from __future__ import annotations

import math

from cotai_tasks.errors import SettingsError

MiB = 2**20
GiB = 2**30

POOL_SHARE = 0.8
"""Of PostgreSQL's connections that the application may hold: the rest is for people, exporters and backups."""
LARGEST_POOL = 10
"""Connections of one process: more than that wait for one another inside the server."""


def postgres_settings(memory: int, cpus: float, connections: int) -> dict[str, str]:
    """Give PostgreSQL's settings for a container of `memory` bytes and so many processors.

    - `shared_buffers`: 25 % of the memory, "a reasonable starting value" (PostgreSQL 17, 19.4.1).
    - `effective_cache_size`: 75 %, of the server's buffers and the page cache together (PGTune).
    - `work_mem`: what `shared_buffers` leaves, through three operations for each connection (PGTune); at least 1 MB.
    - `maintenance_work_mem`: a sixteenth, from 16 MB to 2 GB (PGTune).
    - `wal_buffers`: 1/32 of `shared_buffers`, at most one segment of 16 MB (19.5.1, what -1 gives).
    - `max_wal_size`: the memory, from 1 GB (the default, 19.5.2) to 8 GB: longer between checkpoints, and longer to
      start again after a crash.
    - parallel workers: one for each processor, half of them, at most four, for one query (PGTune); the eight processes
      of the default remain for extensions and replication.
    - `random_page_cost` 1.1, `effective_io_concurrency` 200: SSDs (PGTune).
    """
    processors = max(1, math.floor(cpus))
    buffers = memory // 4
    wal = min(max(memory, GiB), 8 * GiB)
    for_one_query = min(4, processors // 2)
    return {
        "max_connections": str(connections),
        "shared_buffers": _megabytes(buffers),
        "effective_cache_size": _megabytes(memory * 3 // 4),
        "work_mem": _kilobytes(max((memory - buffers) // (3 * connections), MiB)),
        "maintenance_work_mem": _megabytes(min(max(memory // 16, 16 * MiB), 2 * GiB)),
        "wal_buffers": _kilobytes(min(buffers // 32, 16 * MiB)),
        "max_wal_size": _megabytes(wal),
        "min_wal_size": _megabytes(wal // 4),
        "max_worker_processes": str(8 + processors),
        "max_parallel_workers": str(processors),
        "max_parallel_workers_per_gather": str(for_one_query),
        "max_parallel_maintenance_workers": str(for_one_query),
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
    }


def mongodb_cache_gb(memory: int) -> float:
    """Give WiredTiger's cache in GiB for a container of `memory` bytes.

    Half of what is above 1 GiB, and at least 0.25: MongoDB's own rule (manual, storage.wiredTiger.engineConfig), which
    it applies to the host's memory where it does not see the container's. Rounded down to hundredths.
    """
    return max(0.25, math.floor((memory - GiB) / 2 / GiB * 100) / 100)


def redis_maxmemory(memory: int, *, persistent: bool) -> int:
    """Give Redis' `maxmemory` in bytes for a container of `memory` bytes.

    A cache gets 80 %, the rest being fragmentation and buffers. A server that writes its data down gets 75 %: while it
    rewrites its append-only file, what changes is there twice (Redis, "Redis persistence", how it works).
    """
    return memory * (75 if persistent else 80) // 100


def pool_size(processes: int, connections: int) -> tuple[int, int]:
    """Give the connections that each process keeps, and those that it may open beyond.

    During a rollout two releases run at once: twice all `processes` together stay within `POOL_SHARE` of PostgreSQL's
    `connections`. A third of each process' share is its overflow (SQLAlchemy closes those again).
    Raises `SettingsError` when there is not one connection for each.
    """
    share = min(math.floor(connections * POOL_SHARE / (2 * processes)), LARGEST_POOL)
    if share < 1:
        most = math.floor(connections * POOL_SHARE / 2)
        raise SettingsError(
            f"{processes} processes are too many for PostgreSQL's {connections} connections: at most {most}",
            cure="Lower BACKEND_REPLICAS or WORKER_REPLICAS, or choose a larger COTAI_SIZE.",
        )
    overflow = share // 3
    return share - overflow, overflow


def _megabytes(count: int) -> str:
    return f"{count // MiB}MB"


def _kilobytes(count: int) -> str:
    return f"{count // 1024}kB"
