"""What a deploy is tried with, laid over the reference application: slow answers, events, counted tasks, faults."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.responses import StreamingResponse
from redis import Redis

from app.broker import celery_app
from app.dependencies import Neighbours
from app.schemas import Status
from app.settings import settings

router = APIRouter(prefix="/api/trial")

NOTES = "trial:notes"
TASK_S = 2


def cache() -> Redis:
    """Reach the cache, whose lists are written down at once."""
    return Redis.from_url(settings().cache_url, decode_responses=True)


Cache = Annotated[Redis, Depends(cache)]


@router.get("/slow")
async def slow(seconds: float = 10) -> dict[str, float]:
    """Answer late."""
    await asyncio.sleep(seconds)
    return {"seconds": seconds}


@router.post("/events")
async def open_events(services: Neighbours) -> UUID:
    """Open a stream of events: a tender that nobody drafts. Its WebSocket is the application's own."""
    tender = uuid4()
    await services.tenders.add(tender, "a trial")
    return tender


@router.post("/events/{tender}/{number}")
async def tell(tender: UUID, number: int, services: Neighbours) -> None:
    """Announce an event."""
    await services.progress.announce(tender, Status.RECEIVED, str(number))


@router.get("/events/{tender}")
async def follow(
    tender: UUID, services: Neighbours, last_event_id: Annotated[str, Header()] = "0"
) -> StreamingResponse:
    """Send the events from the server, past ones first."""

    async def lines() -> AsyncIterator[str]:
        async for event in services.progress.follow(tender, last_event_id):
            yield f"id: {event.id}\ndata: {event.detail}\n\n" if event else ": quiet\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.post("/tasks")
def queue(count: int) -> None:
    """Queue tasks that write down that they were done."""
    for number in range(count):
        celery_app.send_task("trial.note", args=[number], ignore_result=True)


@router.get("/tasks")
def noted(store: Cache) -> list[int]:
    """Give the numbers of the tasks that were done, as often as they were."""
    return [int(one) for one in store.lrange(NOTES, 0, -1)]


@celery_app.task(name="trial.note")
def note(number: int) -> None:
    """Work, and write down that it was done."""
    time.sleep(TASK_S)
    cache().rpush(NOTES, number)


def install(app: FastAPI) -> None:
    """Add all of it to the application; TRIAL_FAULT says what is wrong with this release."""
    app.include_router(router)
    fault = os.environ.get("TRIAL_FAULT", "")
    if not fault:
        return

    serving = False

    @app.middleware("http")
    async def at_fault(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        nonlocal serving  # only once it serves: until then a deploy must take it for healthy
        path = request.url.path
        serving = serving or path.startswith("/api/")
        if fault == "errors" and path.startswith("/api/"):
            return Response(status_code=500)
        if fault == "unhealthy" and serving and path.startswith("/health/"):
            return Response(status_code=503)
        return await answer(request)
