"""Progress over the WebSocket."""

from uuid import uuid4

import pytest
from fastapi import WebSocketDisconnect
from fastapi.testclient import TestClient

from app.schemas import Status
from tests.fakes import FakeServices


@pytest.mark.anyio
async def test_reconnected_client_misses_nothing(api: TestClient, services: FakeServices) -> None:
    """A client that names the last event it saw gets exactly the later ones, and the end."""
    tender_id = await services.received()
    for status in (Status.RECEIVED, Status.PROCESSING, Status.DRAFTED):
        await services.progress.announce(tender_id, status, "")

    with api.websocket_connect(f"/ws/tenders/{tender_id}?after=1-0") as socket:
        events = [socket.receive_json(), socket.receive_json()]
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert [(event["id"], event["status"]) for event in events] == [("2-0", "processing"), ("3-0", "drafted")]
    assert closed.value.code == 1000


@pytest.mark.anyio
async def test_end_is_told_without_its_event(api: TestClient, services: FakeServices) -> None:
    """A finished tender whose events the cache evicted still ends, from its row."""
    tender_id = await services.received()
    await services.tenders.record(tender_id, Status.FAILED, "no model")

    with api.websocket_connect(f"/ws/tenders/{tender_id}") as socket:
        assert socket.receive_json() == {"id": "0", "status": "failed", "detail": "no model"}


def test_unknown_tender_is_closed_with_the_reason(api: TestClient) -> None:
    """Nobody waits for a tender that never was."""
    with api.websocket_connect(f"/ws/tenders/{uuid4()}") as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (1008, "There is no such tender.")
