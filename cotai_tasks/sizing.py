"""How much of a host each service of production gets: memory, processors, processes, replicas.

A size is made for a host: small 4 GB, medium 16 GB, large 64 GB. The limits of all services together stay below 90 % of
the host's memory, whatever they do at once: nobody is killed because somebody else is greedy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cotai_tasks.tuning import mongodb_cache_gb, pool_size, redis_maxmemory

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Size = Literal["small", "medium", "large"]

_GIGABYTE = int(0.95 * 2**30)
HOST_MEMORY: dict[Size, int] = {"small": 4 * _GIGABYTE, "medium": 16 * _GIGABYTE, "large": 64 * _GIGABYTE}
"""Bytes of the host that a size is made for: of what it is sold with, firmware and kernel keep up to a twentieth."""
SHARE = 0.9
"""Of the host's memory that all limits together may take: the rest is the kernel's and the engine's."""

CONNECTIONS: dict[Size, int] = {"small": 60, "medium": 150, "large": 500}
"""PostgreSQL's max_connections."""
WEB_PROCESSES: dict[Size, int] = {"small": 1, "medium": 2, "large": 4}
"""Gunicorn workers of each backend container."""
WORKER_PROCESSES: dict[Size, tuple[int, int]] = {"small": (1, 1), "medium": (1, 4), "large": (2, 8)}
"""Fewest and most processes of each Celery container; Celery scales between them.

The reference application's first process holds 85 MB, each of those 62 more, however many tasks it did.
"""

MODEL_SERVER = "ollama"
"""Its memory is the model's: LLM_MEMORY of the env file says how much."""


@dataclass(frozen=True)
class Limit:
    """What one container of a service may use, and how many containers there are."""

    memory: int
    """MiB."""
    cpus: float
    pids: int
    replicas: int = 1


# MiB, processors, processes, replicas. A service that a size has no line for is left out of it.
_SMALL = {
    "nginx": Limit(64, 1, 50),
    "backend": Limit(224, 1, 100, 2),
    "migrate": Limit(160, 1, 50),
    "celery-worker": Limit(216, 1, 100, 2),
    "celery-worker-ai": Limit(208, 0.5, 100),
    "celery-beat": Limit(128, 0.5, 50),
    "llm-service": Limit(160, 0.5, 50),
    "postgres": Limit(512, 1, 150),
    "mongodb": Limit(512, 1, 250),
    "redis": Limit(160, 0.5, 50),
    "redis-cache": Limit(128, 0.5, 50),
    "prometheus": Limit(224, 0.5, 100),
    "alertmanager": Limit(48, 0.25, 50),
    "node-exporter": Limit(32, 0.25, 50),
    "blackbox-exporter": Limit(32, 0.25, 50),
    "postgres-exporter": Limit(32, 0.25, 50),
    "redis-exporter": Limit(24, 0.25, 50),
    "redis-cache-exporter": Limit(24, 0.25, 50),
    "mongodb-exporter": Limit(64, 0.25, 50),
    "celery-exporter": Limit(80, 0.25, 50),
    "nginx-exporter": Limit(24, 0.25, 50),
}
_MEDIUM = {
    "nginx": Limit(128, 2, 100),
    "backend": Limit(640, 2, 150, 2),
    "migrate": Limit(512, 1, 50),
    "celery-worker": Limit(640, 2, 150, 2),
    "celery-worker-ai": Limit(512, 1, 150),
    "celery-beat": Limit(192, 0.5, 50),
    "llm-service": Limit(384, 1, 100),
    MODEL_SERVER: Limit(2048, 4, 200),
    "model-pull": Limit(128, 0.5, 50),
    "postgres": Limit(1792, 3, 250),
    "mongodb": Limit(1792, 2, 400),
    "redis": Limit(512, 1, 50),
    "redis-cache": Limit(384, 1, 50),
    "flower": Limit(192, 0.5, 50),
    "prometheus": Limit(512, 1, 100),
    "alertmanager": Limit(96, 0.5, 50),
    "grafana": Limit(320, 1, 100),
    "loki": Limit(320, 1, 100),
    "alloy": Limit(256, 0.5, 100),
    "otel-collector": Limit(192, 0.5, 100),
    "tempo": Limit(320, 1, 100),
    "cadvisor": Limit(192, 0.5, 100),
    "node-exporter": Limit(64, 0.5, 50),
    "blackbox-exporter": Limit(64, 0.5, 50),
    "postgres-exporter": Limit(64, 0.5, 50),
    "redis-exporter": Limit(64, 0.5, 50),
    "redis-cache-exporter": Limit(64, 0.5, 50),
    "mongodb-exporter": Limit(96, 0.5, 50),
    "celery-exporter": Limit(160, 0.5, 50),
    "nginx-exporter": Limit(48, 0.5, 50),
}
_LARGE = _MEDIUM | {
    "nginx": Limit(512, 4, 200),
    "backend": Limit(1536, 4, 300, 4),
    "celery-worker": Limit(2048, 4, 300, 4),
    "celery-worker-ai": Limit(1536, 2, 300, 2),
    "llm-service": Limit(768, 2, 100),
    "postgres": Limit(9216, 8, 500),
    "mongodb": Limit(7168, 6, 1000),
    "redis": Limit(1792, 2, 50),
    "redis-cache": Limit(2048, 2, 50),
    "prometheus": Limit(2560, 2, 200),
    "grafana": Limit(768, 2, 200),
    "loki": Limit(1536, 2, 200),
    "tempo": Limit(1536, 2, 200),
}
_LIMITS: dict[Size, dict[str, Limit]] = {"small": _SMALL, "medium": _MEDIUM, "large": _LARGE}
KNOWN = frozenset(_LARGE)
"""Every service that some size has room for; what a project adds to the stack has limits of its own."""


@dataclass(frozen=True)
class Plan:
    """The limits of every service of one size, on one host."""

    size: Size
    limits: dict[str, Limit]

    @property
    def memory(self) -> int:
        """Bytes that all containers may use together."""
        return sum(one.memory * one.replicas for one in self.limits.values()) * 2**20

    def of(self, services: Collection[str]) -> Plan:
        """Give the plan of these services alone."""
        return Plan(self.size, {name: one for name, one in self.limits.items() if name in services})

    def compose(self, services: Collection[str]) -> dict[str, Any]:
        """Give the limits of these services as a Compose file that is laid over the others."""
        return {"services": {name: _compose(one) for name, one in self.limits.items() if name in services}}

    def variables(self) -> dict[str, str]:
        """Give what follows from the limits, by the names that the Compose files interpolate."""
        fewest, most = WORKER_PROCESSES[self.size]
        pool, overflow = pool_size(self._processes(most), CONNECTIONS[self.size])
        return {
            "WEB_CONCURRENCY": str(WEB_PROCESSES[self.size]),
            "CELERY_AUTOSCALE": f"{most},{fewest}",
            "DB_POOL_SIZE": str(pool),
            "DB_MAX_OVERFLOW": str(overflow),
            "MONGODB_CACHE_GB": f"{mongodb_cache_gb(self._bytes('mongodb')):g}",
            "REDIS_MAXMEMORY": str(redis_maxmemory(self._bytes("redis"), persistent=True)),
            "REDIS_CACHE_MAXMEMORY": str(redis_maxmemory(self._bytes("redis-cache"), persistent=False)),
        }

    def _processes(self, most: int) -> int:
        """Count the processes that may hold connections to PostgreSQL."""
        web = self.limits["backend"].replicas * WEB_PROCESSES[self.size]
        workers = sum(self.limits[name].replicas for name in ("celery-worker", "celery-worker-ai"))
        return web + workers * most

    def _bytes(self, service: str) -> int:
        return self.limits[service].memory * 2**20


def plan(size: Size, *, cpus: float, model_memory: int, replicas: Mapping[str, int]) -> Plan:
    """Plan a size for a host of so many processors.

    `model_memory` is the model server's, in MiB; `replicas` says where there shall be another number of containers
    than the size has, 0 being no wish. No container is given more processors than the host has: the engine refuses it.
    """
    limits = {
        name: Limit(
            memory=model_memory if name == MODEL_SERVER else one.memory,
            cpus=min(one.cpus, cpus),
            pids=one.pids,
            replicas=replicas.get(name) or one.replicas,
        )
        for name, one in _LIMITS[size].items()
    }
    return Plan(size, limits)


def mebibytes(memory: str) -> int:
    """Read a size of the env file, `512m` or `6g`, as MiB."""
    return int(memory[:-1]) * {"m": 1, "g": 1024}[memory[-1]]


def _compose(limit: Limit) -> dict[str, Any]:
    memory = f"{limit.memory}m"
    return {
        "mem_limit": memory,
        "memswap_limit": memory,  # swapping would only make the whole host slow before the end comes anyway
        "cpus": limit.cpus,
        "pids_limit": limit.pids,
        "deploy": {"replicas": limit.replicas},
    }
