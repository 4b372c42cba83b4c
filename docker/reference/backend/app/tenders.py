"""Tenders and quotations in PostgreSQL, which alone decides what state a tender is in."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from app.db import Quotation, Tender
from app.schemas import Fields, QuotationOut, QuotationPage, Status, TenderOut

_FINAL = [status.value for status in Status if status.final]


class Tenders:
    """The tenders of one database."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use the engine's pool; nothing is opened yet."""
        self._engine = engine
        self._session = async_sessionmaker(engine, expire_on_commit=False)

    async def add(self, tender_id: UUID, title: str) -> TenderOut:
        """Add a tender that was just received."""
        tender = Tender(id=tender_id, title=title, status=Status.RECEIVED.value)
        async with self._session.begin() as session:
            session.add(tender)
            await session.flush()
            await session.refresh(tender)
            added: TenderOut = TenderOut.model_validate(tender)
            return added

    async def get(self, tender_id: UUID) -> TenderOut | None:
        """Give a tender with its quotation, or None when there is no such tender."""
        async with self._session() as session:
            tender = await session.get(Tender, tender_id)
            return TenderOut.model_validate(tender) if tender else None

    async def begin(self, tender_id: UUID) -> TenderOut | None:
        """Count one more attempt at a draft; None when there is nothing left to do, as for a task delivered twice."""
        unfinished = update(Tender).where(Tender.id == tender_id, Tender.status.not_in(_FINAL))
        values = {"status": Status.PROCESSING.value, "reason": None, "updated_at": func.now()}
        begun = unfinished.values(values | {"attempts": Tender.attempts + 1}).returning(Tender.id)
        async with self._session.begin() as session:
            if await session.scalar(begun) is None:
                return None
        return await self.get(tender_id)

    async def record(self, tender_id: UUID, status: Status, reason: str | None = None) -> None:
        """Record a state and the reason for it; a final state is never overwritten."""
        values = {"status": status.value, "reason": reason, "updated_at": func.now()}
        async with self._session.begin() as session:
            await session.execute(
                update(Tender).where(Tender.id == tender_id, Tender.status.not_in(_FINAL)).values(values),
            )

    async def save_quotation(self, tender: TenderOut, fields: Fields, draft: str, model: str) -> None:
        """Save the draft and the tender's new state together; the first of two drafts for one tender stays."""
        quotation = {
            "tender_id": tender.id,
            "title": tender.title,
            "fields": fields.model_dump(),
            "draft": draft,
            "model": model,
        }
        drafted = {"status": Status.DRAFTED.value, "reason": None, "updated_at": func.now()}
        async with self._session.begin() as session:
            await session.execute(insert(Quotation).values(quotation).on_conflict_do_nothing())
            await session.execute(update(Tender).where(Tender.id == tender.id).values(drafted))

    async def claim_stuck(self, silent_for: timedelta, limit: int = 100) -> list[UUID]:
        """Claim unfinished tenders that nothing happened to for so long; claiming counts as something happening."""
        stuck = (
            select(Tender.id)
            .where(Tender.status.not_in(_FINAL), Tender.updated_at < func.now() - silent_for)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._session.begin() as session:
            claimed = await session.scalars(
                update(Tender).where(Tender.id.in_(stuck)).values(updated_at=func.now()).returning(Tender.id),
            )
            return list(claimed)

    async def quotations(self, page: int, size: int, search: str) -> QuotationPage:
        """Give one page of quotations, newest first; `search` takes words, "a phrase", `or` and -excluded words."""
        matching = select(Quotation)
        if search:
            matching = matching.where(Quotation.search.op("@@")(func.websearch_to_tsquery("portuguese", search)))
        newest = matching.order_by(Quotation.created_at.desc(), Quotation.id).offset((page - 1) * size).limit(size)
        async with self._session() as session:
            total = await session.scalar(select(func.count()).select_from(matching.subquery()))
            items = [QuotationOut.model_validate(row) for row in await session.scalars(newest)]
        return QuotationPage(items=items, page=page, size=size, total=total or 0)

    async def ping(self) -> None:
        """Ask the server for an answer."""
        async with self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
