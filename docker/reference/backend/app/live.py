"""A tender's progress, live over a WebSocket."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect, status

from app.dependencies import Neighbours
from app.schemas import Event
from app.services import Services

router = APIRouter()

# What Redis takes for the id of a stream's entry; "0" is the beginning.
EventId = Annotated[str, Query(pattern=r"^\d{1,15}(-\d{1,15})?$")]


@router.websocket("/ws/tenders/{tender_id}")
async def watch_tender(websocket: WebSocket, tender_id: UUID, services: Neighbours, after: EventId = "0") -> None:
    """Send a tender's events, past ones first, and close after the last.

    A client that lost its connection comes back with `?after=<id of the last event it saw>` and misses nothing.
    """
    await websocket.accept()
    if await services.tenders.get(tender_id) is None:
        await websocket.close(status.WS_1008_POLICY_VIOLATION, "There is no such tender.")
        return
    try:
        await _send_events(websocket, tender_id, services, after)
        await websocket.close()
    except WebSocketDisconnect:
        return


async def _send_events(websocket: WebSocket, tender_id: UUID, services: Services, after: str) -> None:
    async for event in services.progress.follow(tender_id, after):
        # A quiet stream repeats the tender's own state: it keeps proxies from hanging up, notices a client that is
        # gone, and brings the end of a tender whose events the cache evicted.
        told = event or await _current(tender_id, services, after)
        after = told.id
        await websocket.send_json(told.model_dump(mode="json"))
        if told.status.final:
            return


async def _current(tender_id: UUID, services: Services, after: str) -> Event:
    tender = await services.tenders.get(tender_id)
    if tender is None:
        raise WebSocketDisconnect
    return Event(id=after, status=tender.status, detail=tender.reason or tender.status.value)
