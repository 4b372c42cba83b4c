"""Whether this process lives, and whether it could serve a request right now."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Response, status
from pydantic import BaseModel

from app.dependencies import Neighbours
from app.logs import get_logger
from app.settings import variable

router = APIRouter(tags=["health"])
log = get_logger(__name__)

_PATIENCE_S = 2


class Dependency(BaseModel):
    """One neighbour's answer. Errors are told by name only: this page is public, the log has the rest."""

    ok: bool
    required: bool
    latency_ms: float
    error: str | None = None


class Readiness(BaseModel):
    """All neighbours' answers; ready when every required one is."""

    status: str
    dependencies: dict[str, Dependency]


@router.get("/health/live")
async def live() -> dict[str, str]:
    """Answer as long as the process does."""
    return {"status": "alive"}


@router.get("/health/ready")
async def ready(services: Neighbours, response: Response) -> Readiness:
    """Ask every dependency at once; 503 when a required one is down. A missing model only delays quotations."""
    asked = [_ask(name, ping, required=True) for name, ping in services.required.items()]
    answers = await asyncio.gather(*asked, _ask("llm-service", services.llm.ping, required=False))
    dependencies: dict[str, Dependency] = dict(answers)
    if all(dependency.ok for dependency in dependencies.values() if dependency.required):
        return Readiness(status="ready", dependencies=dependencies)
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Readiness(status="not ready", dependencies=dependencies)


@router.get("/version")
async def version() -> dict[str, Any]:
    """Tell which release answers."""
    return {"version": variable("COTAI_VERSION") or "dev"}


async def _ask(name: str, ping: Callable[[], Awaitable[None]], *, required: bool) -> tuple[str, Dependency]:
    started = perf_counter()
    failure = await _failure(asyncio.ensure_future(ping()))
    latency_ms = round((perf_counter() - started) * 1000, 1)
    error = type(failure).__name__ if failure else None
    if failure:
        log.warning("dependency down", dependency=name, error=error, detail=str(failure)[:300])
    return name, Dependency(ok=failure is None, required=required, latency_ms=latency_ms, error=error)


async def _failure(asking: asyncio.Future[None]) -> BaseException | None:
    """Wait for an answer, but not for a driver to clean up after one that did not come: a frozen server hangs both."""
    answered, _ = await asyncio.wait({asking}, timeout=_PATIENCE_S)
    if answered:
        return asking.exception()
    asking.cancel()
    return TimeoutError(f"no answer within {_PATIENCE_S} s")
