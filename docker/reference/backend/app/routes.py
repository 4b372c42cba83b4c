"""Tenders and quotations over HTTP."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Query, status

from app.dependencies import Neighbours
from app.metrics import TENDERS
from app.schemas import QuotationPage, SearchWords, Status, TenderIn, TenderOut

router = APIRouter(prefix="/api/v1", tags=["tenders"])


@router.post("/tenders", status_code=status.HTTP_202_ACCEPTED)
async def post_tender(tender: TenderIn, services: Neighbours) -> TenderOut:
    """Take a tender in; its quotation is drafted in the background. Follow it on the WebSocket `/ws/tenders/{id}`."""
    tender_id = uuid4()
    # The document first: a row promises that there is one, a document without a row harms nobody.
    await services.documents.add(tender_id, tender.title, tender.text)
    received = await services.tenders.add(tender_id, tender.title)
    await services.progress.announce(tender_id, Status.RECEIVED, "received")
    await services.broker.enqueue_draft(tender_id)
    TENDERS.inc()
    return received


@router.get("/tenders/{tender_id}")
async def get_tender(tender_id: UUID, services: Neighbours) -> TenderOut:
    """Give a tender: its state, why it failed if it did, and its quotation once there is one."""
    if cached := await services.cache.get(tender_id):
        return cached
    tender = await services.tenders.get(tender_id)
    if tender is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such tender.")
    await services.cache.put(tender)
    return tender


@router.get("/quotations")
async def get_quotations(
    services: Neighbours,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    size: Annotated[int, Query(ge=1, le=100)] = 20,
    search: SearchWords = "",
) -> QuotationPage:
    """Give quotations, newest first; `search` looks for words in their titles and drafts."""
    return await services.tenders.quotations(page, size, search)
