"""From a stored tender to its quotation: what a worker does for one tender."""

from datetime import timedelta
from uuid import UUID

from app import prompts
from app.extraction import extract_fields
from app.logs import get_logger
from app.schemas import Status
from app.services import Services

log = get_logger(__name__)

# The longest part of a tender that is shown to the model: small models have small contexts.
_TEXT_LIMIT = 3_000


class DraftingError(Exception):
    """The tender cannot be drafted, and trying again would not help; the message says why."""


async def draft_quotation(services: Services, tender_id: UUID, max_attempts: int) -> None:
    """Take a tender from its document to a saved quotation, announcing each step.

    Raises:
        DraftingError: when the tender can never be drafted.
        LlmUnavailableError, and the databases' own errors: when it may be, later.

    """
    tender = await services.tenders.begin(tender_id)
    if tender is None:
        log.info("nothing to draft", tender_id=str(tender_id))
        return
    if tender.attempts > max_attempts:
        msg = f"given up after {max_attempts} attempts: something ends them before they can report why"
        raise DraftingError(msg)
    text = await services.documents.text(tender_id)
    if text is None:
        msg = "the document is not in the document store"
        raise DraftingError(msg)
    shown = f"{tender.title}\n\n{text[:_TEXT_LIMIT]}"

    await services.progress.announce(tender_id, Status.PROCESSING, "extracting the fields")
    extraction = await services.llm.ask(prompts.extraction(shown), max_tokens=200, answer_format=prompts.FIELDS_FORMAT)
    fields = extract_fields(extraction.text, shown)

    await services.progress.announce(tender_id, Status.PROCESSING, "drafting the quotation")
    draft = await services.llm.ask(prompts.quotation(shown), max_tokens=300)
    if not draft.text:
        msg = f"the model {draft.model} answered nothing"
        raise DraftingError(msg)

    await services.documents.keep_answers(tender_id, {"extraction": extraction.text, "draft": draft.text})
    await services.tenders.save_quotation(tender, fields, draft.text, draft.model)
    await _finish(services, tender_id, Status.DRAFTED, f"drafted by {draft.model}")


async def report_retry(services: Services, tender_id: UUID, reason: str) -> None:
    """Show why a tender is taking longer."""
    await services.tenders.record(tender_id, Status.RETRYING, reason)
    await services.progress.announce(tender_id, Status.RETRYING, reason)


async def give_up(services: Services, tender_id: UUID, reason: str) -> None:
    """Put a tender into its visible failed state."""
    await services.tenders.record(tender_id, Status.FAILED, reason)
    await _finish(services, tender_id, Status.FAILED, reason)


async def claim_stuck(services: Services, silent_for: timedelta) -> list[UUID]:
    """Claim the tenders that nothing happened to for so long, to queue them again."""
    return await services.tenders.claim_stuck(silent_for)


async def _finish(services: Services, tender_id: UUID, status: Status, detail: str) -> None:
    finished = await services.tenders.get(tender_id)
    if finished:
        await services.cache.put(finished)
    await services.progress.announce(tender_id, status, detail)
    log.info("tender finished", tender_id=str(tender_id), status=status.value, detail=detail)
