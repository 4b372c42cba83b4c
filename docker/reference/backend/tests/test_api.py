"""The API as its clients see it."""

from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from app.schemas import Fields, Status
from tests.fakes import FakeServices

TENDER = {"title": "Notebooks", "text": "Buys 250 notebooks."}


def test_posted_tender_is_stored_and_queued(api: TestClient, services: FakeServices) -> None:
    """A tender that was answered 202 is in both stores, on the queue, and announced."""
    answer = api.post("/api/v1/tenders", json=TENDER)

    tender_id = UUID(answer.json()["id"])
    assert answer.status_code == 202
    assert answer.json()["status"] == "received"
    assert services.documents.texts == {tender_id: "Buys 250 notebooks."}
    assert list(services.tenders.rows) == [tender_id]
    assert services.broker.queued == [tender_id]
    assert [event.detail for event in services.progress.events] == ["received"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"title": "", "text": "x"}', "string_too_short"),
        (b'{"title": "a\\u0000b", "text": "x"}', "string_pattern_mismatch"),
        (b'{"title": "\\ud800", "text": "x"}', "string_unicode"),
        (b'{"title": "a"}', "missing"),
        (b"{", "json_invalid"),
    ],
)
def test_bad_tender_is_refused_without_an_echo(api: TestClient, body: bytes, fault: str) -> None:
    """What no database could take is a 422 that names the fault and does not repeat the input."""
    answer = api.post("/api/v1/tenders", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert [(detail["type"], sorted(detail)) for detail in answer.json()["detail"]] == [(fault, ["loc", "msg", "type"])]


def test_unknown_tender_is_not_found(api: TestClient) -> None:
    """A tender that never was is a 404."""
    assert api.get(f"/api/v1/tenders/{uuid4()}").status_code == 404


@pytest.mark.anyio
async def test_finished_tender_comes_from_the_cache(api: TestClient, services: FakeServices) -> None:
    """A finished tender is cached by its first reader, and later readers need no database."""
    tender_id = await services.received()
    await services.tenders.record(tender_id, Status.FAILED, "no model")

    first = api.get(f"/api/v1/tenders/{tender_id}").json()
    services.tenders.rows.clear()
    assert api.get(f"/api/v1/tenders/{tender_id}").json() == first
    assert (first["status"], first["reason"]) == ("failed", "no model")


@pytest.mark.anyio
async def test_quotations_are_paged(api: TestClient, services: FakeServices) -> None:
    """A page has its items, its number, its size and the total of all pages."""
    for title in ("Notebooks", "Chairs", "Notebooks again"):
        tender_id = await services.received(title)
        await services.tenders.save_quotation(services.tenders.rows[tender_id], Fields(), "We offer", "tiny")

    page = api.get("/api/v1/quotations", params={"search": "Notebooks", "size": 1, "page": 2}).json()
    assert [item["title"] for item in page.pop("items")] == ["Notebooks again"]
    assert page == {"page": 2, "size": 1, "total": 2}


@pytest.mark.parametrize("query", ["page=0", "size=101", "page=99999999999", "search=%00"])
def test_bad_page_is_refused(api: TestClient, query: str) -> None:
    """A page that cannot be is a 422, not an error of the database."""
    assert api.get(f"/api/v1/quotations?{query}").status_code == 422


def test_database_down_is_an_honest_503(api: TestClient, services: FakeServices) -> None:
    """A database that is away is a 503 that says when to come back, without a word about its address."""
    services.tenders.error = OperationalError("SELECT", {}, Exception("connection to postgres:5432 refused"))

    answer = api.post("/api/v1/tenders", json=TENDER)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "postgres" not in answer.text


@pytest.mark.parametrize(("offered", "kept"), [("client-1", True), ("bad id\n", False), ("", False)])
def test_request_id_is_kept_or_made(api: TestClient, offered: str, *, kept: bool) -> None:
    """A fit request id comes back; an unfit one is replaced, so that no log line can be forged."""
    returned = api.get("/version", headers={"X-Request-ID": offered.encode()}).headers["X-Request-ID"]
    assert (returned == offered) is kept
    assert returned
