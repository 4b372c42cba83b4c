# ruff: noqa: INP001 - installed beside the commands that use it
"""What the archives of mongodb-dump are made of, and what is counted when collections are compared.

An archive is BSON documents in a row: one that says what it is; for each collection its `begin`, every document within
`d`, and its `end`; last the `facts`, as JSON text.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from mongodb_local import Document
    from pymongo import MongoClient
    from pymongo.collection import Collection
    from pymongo.database import Database

FORMAT = 1
SYSTEM = frozenset({"admin", "config", "local"})
"""Databases that are the server's own."""
PATIENCE = 600
"""Seconds for one command: an index of a large collection takes a while."""
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
BATCH = 8 * 2**20
"""Bytes of documents that are held at once."""

_LENGTH = struct.Struct("<i")
_WRAPPED = b"\x03d\0"
"""A document under the name `d`, as BSON writes it."""
_MODULUS = 2**256


class Content:
    """Counts documents, and adds up their SHA-256: the same for the same documents in any order."""

    def __init__(self) -> None:
        """Begin with none."""
        self.documents = 0
        self._sum = 0

    def add(self, raw: bytes) -> None:
        """Count one document."""
        self.documents += 1
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(raw).digest())) % _MODULUS

    def facts(self) -> dict[str, Any]:
        """Return what was counted."""
        return {"documents": self.documents, "content": f"{self._sum:064x}"}


def wrap(raw: bytes) -> bytes:
    """Put a document into the archive's own, under the name `d`."""
    return _LENGTH.pack(len(raw) + 8) + _WRAPPED + raw + b"\0"


def unwrap(element: bytes) -> bytes | None:
    """Return the document within; none where the element is something else."""
    return element[7:-1] if element[4:7] == _WRAPPED else None


def elements(file: BinaryIO) -> Iterator[bytes]:
    """Read an archive element by element; raise EOFError where one is cut off."""
    while head := file.read(_LENGTH.size):
        rest = _LENGTH.unpack(head)[0] - len(head) if len(head) == _LENGTH.size else -1
        body = file.read(rest) if rest > 0 else b""
        if len(body) != rest:
            raise EOFError
        yield head + body


def databases(client: MongoClient[Document]) -> list[Database[Document]]:
    """Return every database that is not the server's own."""
    return [client[name] for name in sorted(client.list_database_names()) if name not in SYSTEM]


def collections(database: Database[Document]) -> list[Document]:
    """Return what the server tells of each collection and view, its own left out."""
    found = (dict(one) for one in database.list_collections())
    return sorted((one for one in found if not one["name"].startswith("system.")), key=lambda one: str(one["name"]))


def indexes(collection: Collection[Document]) -> list[Document]:
    """Return the definitions of the indexes but that of `_id`."""
    return [one for raw in collection.list_indexes() if (one := dict(raw))["name"] != "_id_"]


def described(collection: Collection[Document], info: Document, content: Content) -> Document:
    """Return the facts of one collection."""
    return {"type": info["type"], "indexes": sorted(one["name"] for one in indexes(collection)), **content.facts()}
