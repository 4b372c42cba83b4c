"""PostgreSQL: the two tables and the engine that reaches them."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Computed, DateTime, ForeignKey, Index, func
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from app.schemas import Status
from app.settings import Settings

SEARCH_DOCUMENT = "to_tsvector('portuguese', title || ' ' || draft)"


class Base(DeclarativeBase):
    """The tables that the migrations know about."""


class Tender(Base):
    """A tender and its state; its document is in MongoDB under the same id."""

    __tablename__ = "tenders"
    __table_args__ = (
        CheckConstraint(f"status IN ({', '.join(repr(status.value) for status in Status)})", name="tenders_status"),
        Index("tenders_status_updated_at", "status", "updated_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    quotation: Mapped["Quotation | None"] = relationship(lazy="joined")


class Quotation(Base):
    """The quotation drafted for a tender: one per tender, however often its task runs."""

    __tablename__ = "quotations"
    __table_args__ = (
        Index("quotations_created_at", "created_at"),
        Index("quotations_search", "search", postgresql_using="gin"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tender_id: Mapped[UUID] = mapped_column(ForeignKey("tenders.id", ondelete="CASCADE"), unique=True)
    title: Mapped[str]
    fields: Mapped[dict[str, Any]] = mapped_column(JSONB)
    draft: Mapped[str]
    model: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    search: Mapped[str] = mapped_column(TSVECTOR, Computed(SEARCH_DOCUMENT, persisted=True), deferred=True)


def make_engine(settings: Settings) -> AsyncEngine:
    """Make the connection pool of this process; each connection is checked before use, so a restart is no error."""
    return create_async_engine(
        settings.sqlalchemy_url,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # an error ends up in logs, a tender's text should not
        # TCP notices within 10 s that the server's machine is gone; by itself it would wait for a quarter of an hour.
        connect_args={"connect_timeout": 3, "tcp_user_timeout": 10_000, "application_name": "cotai-backend"},
    )
