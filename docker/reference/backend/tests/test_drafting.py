"""From a stored tender to its quotation."""

import pytest

from app.drafting import DraftingError, draft_quotation, give_up
from app.schemas import Fields, Status
from tests.fakes import FakeServices

pytestmark = pytest.mark.anyio


async def test_tender_becomes_a_quotation(services: FakeServices) -> None:
    """The draft is saved with its fields, the raw answers are kept, the end is cached and announced."""
    tender_id = await services.received("Notebooks", "Campinas buys 250 notebooks until 15/12/2026.")
    services.llm.answers = ['Sure! {"agency": "Campinas", "quantity": 250, "subject": "lunar rovers"}', "We offer 250."]

    await draft_quotation(services, tender_id, max_attempts=3)

    tender = services.tenders.rows[tender_id]
    assert (tender.status, tender.attempts) == (Status.DRAFTED, 1)
    assert tender.quotation is not None
    assert tender.quotation.fields == Fields(agency="Campinas", quantity="250", deadline="15/12/2026")
    assert (tender.quotation.draft, tender.quotation.model) == ("We offer 250.", "scripted")
    assert services.documents.answers[tender_id]["extraction"].startswith("Sure!")
    assert services.cache.kept == {tender_id: tender}
    assert [(event.status.value, event.detail) for event in services.progress.events] == [
        ("processing", "extracting the fields"),
        ("processing", "drafting the quotation"),
        ("drafted", "drafted by scripted"),
    ]


async def test_task_delivered_twice_drafts_once(services: FakeServices) -> None:
    """A finished tender is left alone: no model is asked again."""
    tender_id = await services.received()
    await give_up(services, tender_id, "no model")

    await draft_quotation(services, tender_id, max_attempts=3)
    assert services.llm.asked == []
    assert services.tenders.rows[tender_id].reason == "no model"


async def test_endless_redelivery_ends(services: FakeServices) -> None:
    """A tender that kills its worker each time is given up after its attempts."""
    tender_id = await services.received()
    for _ in range(3):
        await services.tenders.begin(tender_id)

    with pytest.raises(DraftingError, match="given up after 3 attempts"):
        await draft_quotation(services, tender_id, max_attempts=3)


async def test_missing_document_and_silent_model_are_told(services: FakeServices) -> None:
    """What no retry can cure is an error that names the cause."""
    tender_id = await services.received()
    services.llm.answers = ["{}", ""]
    with pytest.raises(DraftingError, match="the model scripted answered nothing"):
        await draft_quotation(services, tender_id, max_attempts=3)

    services.documents.texts.clear()
    with pytest.raises(DraftingError, match="not in the document store"):
        await draft_quotation(services, tender_id, max_attempts=3)
