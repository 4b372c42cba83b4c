"""Neighbours in memory, with the signatures of the real ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from app.broker import Broker
from app.cache import Cache
from app.documents import Documents
from app.llm import Answer, Llm
from app.progress import Progress
from app.prompts import Messages
from app.schemas import Event, Fields, QuotationOut, QuotationPage, Status, TenderOut
from app.services import Services
from app.tenders import Tenders


class MemoryTenders(Tenders):
    """A dict of tenders."""

    def __init__(self) -> None:
        """Start empty."""
        self.rows: dict[UUID, TenderOut] = {}
        self.error: Exception | None = None

    async def add(self, tender_id: UUID, title: str) -> TenderOut:
        """Add a tender."""
        if self.error:
            raise self.error
        now = datetime.now(UTC)
        self.rows[tender_id] = TenderOut(
            id=tender_id,
            title=title,
            status=Status.RECEIVED,
            reason=None,
            attempts=0,
            created_at=now,
            updated_at=now,
        )
        return self.rows[tender_id]

    async def get(self, tender_id: UUID) -> TenderOut | None:
        """Give a tender."""
        return self.rows.get(tender_id)

    async def begin(self, tender_id: UUID) -> TenderOut | None:
        """Count an attempt."""
        row = self.rows[tender_id]
        if row.status.final:
            return None
        return self._change(tender_id, status=Status.PROCESSING, attempts=row.attempts + 1)

    async def record(self, tender_id: UUID, status: Status, reason: str | None = None) -> None:
        """Record a state."""
        self._change(tender_id, status=status, reason=reason)

    async def save_quotation(self, tender: TenderOut, fields: Fields, draft: str, model: str) -> None:
        """Save a quotation."""
        quotation = QuotationOut(
            id=uuid4(),
            tender_id=tender.id,
            title=tender.title,
            fields=fields,
            draft=draft,
            model=model,
            created_at=datetime.now(UTC),
        )
        self._change(tender.id, status=Status.DRAFTED, quotation=quotation)

    async def quotations(self, page: int, size: int, search: str) -> QuotationPage:
        """Give the quotations whose title has the words searched for."""
        drafted = [row.quotation for row in self.rows.values() if row.quotation and search in row.title]
        return QuotationPage(items=drafted[(page - 1) * size :][:size], page=page, size=size, total=len(drafted))

    async def ping(self) -> None:
        """Answer, or fail as told."""
        if self.error:
            raise self.error

    def _change(self, tender_id: UUID, **values: object) -> TenderOut:
        self.rows[tender_id] = self.rows[tender_id].model_copy(update=values)
        return self.rows[tender_id]


class MemoryDocuments(Documents):
    """A dict of documents."""

    def __init__(self) -> None:
        """Start empty."""
        self.texts: dict[UUID, str] = {}
        self.answers: dict[UUID, dict[str, str]] = {}

    async def add(self, tender_id: UUID, title: str, text: str) -> None:  # noqa: ARG002 -- the title is in the row
        """Store a document."""
        self.texts[tender_id] = text

    async def text(self, tender_id: UUID) -> str | None:
        """Give its text."""
        return self.texts.get(tender_id)

    async def keep_answers(self, tender_id: UUID, answers: dict[str, str]) -> None:
        """Keep raw answers."""
        self.answers[tender_id] = answers

    async def ping(self) -> None:
        """Answer."""


class MemoryCache(Cache):
    """A dict of finished tenders."""

    def __init__(self) -> None:
        """Start empty."""
        self.kept: dict[UUID, TenderOut] = {}

    async def get(self, tender_id: UUID) -> TenderOut | None:
        """Give a cached tender."""
        return self.kept.get(tender_id)

    async def put(self, tender: TenderOut) -> None:
        """Cache a tender."""
        if tender.status.final:
            self.kept[tender.id] = tender

    async def ping(self) -> None:
        """Answer."""


class MemoryProgress(Progress):
    """A list of events."""

    def __init__(self) -> None:
        """Start empty."""
        self.events: list[Event] = []

    async def announce(self, tender_id: UUID, status: Status, detail: str) -> None:  # noqa: ARG002 -- one tender a test
        """Append an event."""
        self.events.append(Event(id=f"{len(self.events) + 1}-0", status=status, detail=detail))

    async def follow(self, tender_id: UUID, after: str) -> AsyncIterator[Event | None]:  # noqa: ARG002 -- as above
        """Yield the later events, then silence."""
        for event in self.events[int(after.partition("-")[0]) :]:
            yield event
        while True:
            yield None


class MemoryBroker(Broker):
    """A list of queued tenders."""

    def __init__(self) -> None:
        """Start empty."""
        self.queued: list[UUID] = []

    async def enqueue_draft(self, tender_id: UUID) -> bool:
        """Queue a tender."""
        self.queued.append(tender_id)
        return True

    async def ping(self) -> None:
        """Answer."""


class ScriptedLlm(Llm):
    """A model that answers from a list."""

    def __init__(self) -> None:
        """Have nothing to say yet."""
        self.answers: list[str] = []
        self.asked: list[Messages] = []
        self.error: Exception | None = None

    async def ask(self, messages: Messages, max_tokens: int, answer_format: Any = None) -> Answer:  # noqa: ANN401, ARG002
        """Give the next answer, or fail as told."""
        if self.error:
            raise self.error
        self.asked.append(messages)
        return Answer(text=self.answers.pop(0), model="scripted")

    async def ping(self) -> None:
        """Answer, or fail as told."""
        if self.error:
            raise self.error


@dataclass(frozen=True)
class FakeServices(Services):
    """The backend's neighbours, all in memory."""

    tenders: MemoryTenders = field(default_factory=MemoryTenders)
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    cache: MemoryCache = field(default_factory=MemoryCache)
    progress: MemoryProgress = field(default_factory=MemoryProgress)
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    llm: ScriptedLlm = field(default_factory=ScriptedLlm)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Services]:
        """Stand for `open_services`."""
        yield self

    async def received(self, title: str = "Notebooks", text: str = "Buys 250 notebooks until 15/12/2026.") -> UUID:
        """Have a tender in the state in which the API leaves it."""
        tender_id = uuid4()
        await self.documents.add(tender_id, title, text)
        await self.tenders.add(tender_id, title)
        return tender_id
