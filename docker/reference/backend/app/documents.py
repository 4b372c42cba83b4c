"""Tender documents in MongoDB: the text as it came, and what the model answered about it, word for word."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pymongo import AsyncMongoClient

Document = dict[str, Any]


class Documents:
    """The collection `documents` of the database that the URL names."""

    def __init__(self, client: AsyncMongoClient[Document]) -> None:
        """Use the client's pool; nothing is opened yet."""
        self._client = client
        self._documents = client.get_default_database("cotai")["documents"]

    async def add(self, tender_id: UUID, title: str, text: str) -> None:
        """Store a document under its tender's id."""
        document = {"_id": str(tender_id), "title": title, "text": text, "received_at": datetime.now(UTC)}
        await self._documents.insert_one(document)

    async def text(self, tender_id: UUID) -> str | None:
        """Give the text of a tender's document, or None when there is no such document."""
        document = await self._documents.find_one({"_id": str(tender_id)}, {"text": True})
        return str(document["text"]) if document else None

    async def keep_answers(self, tender_id: UUID, answers: dict[str, str]) -> None:
        """Keep the model's raw answers beside the text that they are about."""
        await self._documents.update_one({"_id": str(tender_id)}, {"$set": {"answers": answers}})

    async def ping(self) -> None:
        """Ask the server for an answer."""
        await self._client.admin.command("ping")
