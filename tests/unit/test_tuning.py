"""How much a database takes of its container: the figures, and their limits."""

from __future__ import annotations

import pytest

from cotai_tasks.errors import SettingsError
from cotai_tasks.tuning import (
    POOL_SHARE,
    GiB,
    MiB,
    mongodb_cache_gb,
    pool_size,
    postgres_settings,
    redis_maxmemory,
)


def test_postgres_in_a_container_of_two_gigabytes() -> None:
    """Every setting, as it stands in the file."""
    assert postgres_settings(2 * GiB, 3, 150) == {
        "max_connections": "150",
        "shared_buffers": "512MB",
        "effective_cache_size": "1536MB",
        "work_mem": "3495kB",
        "maintenance_work_mem": "128MB",
        "wal_buffers": "16384kB",
        "max_wal_size": "2048MB",
        "min_wal_size": "512MB",
        "max_worker_processes": "11",
        "max_parallel_workers": "3",
        "max_parallel_workers_per_gather": "1",
        "max_parallel_maintenance_workers": "1",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
    }


@pytest.mark.parametrize(
    ("memory", "cpus", "connections", "expected"),
    [
        (
            128 * MiB,
            0.5,
            100,
            {
                "shared_buffers": "32MB",
                "work_mem": "1024kB",
                "maintenance_work_mem": "16MB",
                "wal_buffers": "1024kB",
                "max_wal_size": "1024MB",
                "max_parallel_workers": "1",
                "max_parallel_workers_per_gather": "0",
            },
        ),
        (
            256 * GiB,
            64,
            500,
            {
                "shared_buffers": "65536MB",
                "maintenance_work_mem": "2048MB",
                "wal_buffers": "16384kB",
                "max_wal_size": "8192MB",
                "max_parallel_workers": "64",
                "max_parallel_workers_per_gather": "4",
            },
        ),
    ],
)
def test_postgres_at_the_limits(memory: int, cpus: float, connections: int, expected: dict[str, str]) -> None:
    """The smallest container still gets a server that starts, the largest no absurd figure."""
    found = postgres_settings(memory, cpus, connections)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("memory", [512 * MiB, 2 * GiB, 10 * GiB])
@pytest.mark.parametrize("connections", [20, 60, 300])
def test_every_connection_may_sort_at_once(memory: int, connections: int) -> None:
    """Buffers and one sort of each connection fit into the container."""
    told = postgres_settings(memory, 2, connections)
    buffers, work = int(told["shared_buffers"][:-2]) * MiB, int(told["work_mem"][:-2]) * 1024
    assert buffers + work * connections < memory


@pytest.mark.parametrize(
    ("memory", "cache"),
    [(256 * MiB, 0.25), (512 * MiB, 0.25), (GiB, 0.25), (int(1.5 * GiB), 0.25), (2 * GiB, 0.5), (8 * GiB, 3.5)],
)
def test_mongodb_has_its_smallest_cache_up_to_a_gigabyte_and_a_half(memory: int, cache: float) -> None:
    """Its own rule, on the container's memory."""
    assert mongodb_cache_gb(memory) == cache


def test_mongodb_is_rounded_down() -> None:
    """To hundredths: an option that a person can read."""
    assert mongodb_cache_gb(3 * GiB + 100 * MiB) == 1.04


def test_redis_leaves_room_for_its_rewrite() -> None:
    """The broker less than the cache."""
    assert redis_maxmemory(400 * MiB, persistent=True) == 300 * MiB
    assert redis_maxmemory(400 * MiB, persistent=False) == 320 * MiB


@pytest.mark.parametrize(
    ("processes", "connections", "expected"),
    [(1, 100, (7, 3)), (8, 60, (2, 1)), (16, 150, (2, 1)), (5, 100, (6, 2)), (40, 100, (1, 0)), (20, 100, (2, 0))],
)
def test_each_process_gets_its_share(processes: int, connections: int, expected: tuple[int, int]) -> None:
    """From one connection to ten."""
    assert pool_size(processes, connections) == expected


@pytest.mark.parametrize("processes", range(1, 61))
def test_two_releases_at_once_stay_below_the_limit(processes: int) -> None:
    """Whatever the number of processes."""
    assert 2 * processes * sum(pool_size(processes, 150)) <= POOL_SHARE * 150


def test_more_processes_than_connections_are_refused() -> None:
    """A pool of nothing would wait for ever."""
    with pytest.raises(SettingsError, match=r"^41 processes are too many for PostgreSQL's 100 connections: at most 40"):
        pool_size(41, 100)
