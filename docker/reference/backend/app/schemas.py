"""What crosses the API: its requests, its answers and the events of a tender's progress."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# PostgreSQL cannot store the NUL character, so it is refused where it would come in.
_NO_NUL = r"^[^\x00]*$"

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=_NO_NUL)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200_000, pattern=_NO_NUL)]
SearchWords = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_NO_NUL)]


class Status(StrEnum):
    """Where a tender is on its way from document to quotation."""

    RECEIVED = "received"
    PROCESSING = "processing"
    RETRYING = "retrying"
    DRAFTED = "drafted"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Tell whether nothing more will happen to the tender."""
        return self in {Status.DRAFTED, Status.FAILED}


class Fields(BaseModel):
    """The tender's data as far as it could be found; what was not found is None."""

    agency: str | None = None
    subject: str | None = None
    quantity: str | None = None
    estimated_value: str | None = None
    deadline: str | None = None


class TenderIn(BaseModel):
    """A tender document as it is posted."""

    title: Title
    text: Text


class QuotationOut(BaseModel):
    """A quotation as the model drafted it, for a person to review."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    tender_id: UUID
    title: str
    fields: Fields
    draft: str
    model: str
    created_at: datetime


class TenderOut(BaseModel):
    """A tender, how far it has come, why it failed if it did, and its quotation once there is one."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    status: Status
    reason: str | None
    attempts: int
    created_at: datetime
    updated_at: datetime
    quotation: QuotationOut | None = None


class QuotationPage(BaseModel):
    """One page of quotations, newest first."""

    items: list[QuotationOut]
    page: int = Field(ge=1)
    size: int = Field(ge=1)
    total: int = Field(ge=0, description="Quotations that match, on all pages.")


class Event(BaseModel):
    """One step of a tender's progress. `id` orders the events; a client that reconnects names the last that it saw."""

    id: str
    status: Status
    detail: str
