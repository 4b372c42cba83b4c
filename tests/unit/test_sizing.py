"""Sizes: what each service gets, and that all together fit their host."""

from __future__ import annotations

from typing import get_args

import pytest

from cotai_tasks.sizing import HOST_MEMORY, SHARE, Limit, Size, mebibytes, plan

SIZES: tuple[Size, ...] = get_args(Size)
MODEL = {"small": 0, "medium": 2048, "large": 8192}
"""MiB of the model server in the example of each size."""


@pytest.mark.parametrize("size", SIZES)
def test_all_limits_fit_the_host(size: Size) -> None:
    """90 % of the host's memory, whatever all containers do at once; and most of it is used."""
    found = plan(size, cpus=64, model_memory=MODEL[size], replicas={})
    assert 0.8 * HOST_MEMORY[size] < found.memory <= SHARE * HOST_MEMORY[size]


@pytest.mark.parametrize("size", SIZES)
def test_what_must_be_there_twice_is(size: Size) -> None:
    """Two of what serves, and exactly one scheduler, in every size."""
    limits = plan(size, cpus=2, model_memory=2048, replicas={}).limits
    assert limits["backend"].replicas >= 2
    assert limits["celery-worker"].replicas >= 2
    assert limits["celery-beat"].replicas == 1
    assert all(limits[name].replicas == 1 for name in ("postgres", "mongodb", "redis", "redis-cache", "nginx"))


def test_a_small_host_leaves_services_out() -> None:
    """The model server, the dashboards, logs and traces need a larger one."""
    small, medium = (plan(size, cpus=2, model_memory=2048, replicas={}).limits.keys() for size in SIZES[:2])
    assert sorted(medium - small) == [
        "alloy",
        "cadvisor",
        "flower",
        "grafana",
        "loki",
        "model-pull",
        "ollama",
        "otel-collector",
        "tempo",
    ]
    assert plan("large", cpus=2, model_memory=2048, replicas={}).limits.keys() == medium


def test_wishes_are_heard() -> None:
    """Replicas and the model's memory come from the env file; nobody gets more processors than there are."""
    limits = plan("medium", cpus=1, model_memory=6144, replicas={"backend": 5, "celery-worker": 0}).limits
    assert limits["backend"] == Limit(memory=640, cpus=1, pids=150, replicas=5)
    assert limits["celery-worker"].replicas == 2
    assert limits["ollama"].memory == 6144


def test_a_plan_as_compose_takes_it() -> None:
    """Memory without swap, processors, processes, replicas."""
    services = plan("small", cpus=2, model_memory=0, replicas={}).compose(["backend", "files"])["services"]
    assert services == {
        "backend": {
            "mem_limit": "224m",
            "memswap_limit": "224m",
            "cpus": 1,
            "pids_limit": 100,
            "deploy": {"replicas": 2},
        }
    }


def test_what_follows_from_a_plan() -> None:
    """Processes, pools and caches by the names that the Compose files interpolate."""
    assert plan("medium", cpus=2, model_memory=2048, replicas={}).variables() == {
        "WEB_CONCURRENCY": "2",
        "CELERY_AUTOSCALE": "4,1",
        "DB_POOL_SIZE": "2",
        "DB_MAX_OVERFLOW": "1",
        "MONGODB_CACHE_GB": "0.37",
        "REDIS_MAXMEMORY": str(512 * 2**20 * 75 // 100),
        "REDIS_CACHE_MAXMEMORY": str(384 * 2**20 * 80 // 100),
    }


@pytest.mark.parametrize(("text", "count"), [("512m", 512), ("6g", 6144)])
def test_a_size_of_the_env_file_is_read(text: str, count: int) -> None:
    """Megabytes and gigabytes as Docker counts them."""
    assert mebibytes(text) == count
