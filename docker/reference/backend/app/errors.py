"""Which errors pass by themselves, and how an error is told to a person."""

import httpx
import pymongo.errors
import redis.exceptions
import sqlalchemy.exc

from app.llm import LlmUnavailableError

DATABASE_DOWN: tuple[type[Exception], ...] = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
    pymongo.errors.ConnectionFailure,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
)
TRANSIENT: tuple[type[Exception], ...] = (*DATABASE_DOWN, LlmUnavailableError, httpx.TransportError, OSError)

_LONGEST = 500


def reason(error: Exception) -> str:
    """Tell an error in a line; of a database error only what the driver said, not the statement with its values."""
    cause = getattr(error, "orig", None) or error
    said = " ".join(str(cause).split())
    return (said or type(cause).__name__)[:_LONGEST]
