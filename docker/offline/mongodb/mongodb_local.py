# ruff: noqa: INP001 - installed beside the commands that use it
"""The MongoDB of this container and the credentials that its environment carries."""

import os
from pathlib import Path
from typing import Any

from pymongo import MongoClient

Document = dict[str, Any]


def credential(name: str) -> str | None:
    """Return NAME from the environment, else the content of the file that NAME_FILE names."""
    if value := os.environ.get(name):
        return value
    if file := os.environ.get(f"{name}_FILE"):
        return Path(file).read_text(encoding="utf-8").rstrip("\n")
    return None


def connect(*, timeout: float = 5) -> MongoClient[Document]:
    """Connect to this container's server as the root user; ``timeout`` is in seconds.

    MONGODB_URL comes first: it is how an initialisation script reaches the server that only it can see.
    """
    milliseconds = int(timeout * 1000)
    if url := os.environ.get("MONGODB_URL"):
        return MongoClient(url, serverSelectionTimeoutMS=milliseconds)
    return MongoClient(
        "127.0.0.1",
        int(os.environ.get("MONGODB_PORT", "27017")),
        username=credential("MONGO_INITDB_ROOT_USERNAME"),
        password=credential("MONGO_INITDB_ROOT_PASSWORD"),
        directConnection=True,
        serverSelectionTimeoutMS=milliseconds,
        socketTimeoutMS=milliseconds,
    )
