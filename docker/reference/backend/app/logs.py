"""Structured logs: one JSON object per line on standard output, whoever wrote it."""

import logging
import sys
from re import fullmatch
from typing import Any
from uuid import uuid4

import structlog

REQUEST_ID = "request_id"
REQUEST_ID_HEADER = "X-Request-ID"

# These attach handlers of their own, or repeat at INFO what our access log says.
_THIRD_PARTY = ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "gunicorn.access", "celery")
_NOISY = ("uvicorn.access", "httpx", "httpcore", "pymongo")


def configure(level: str) -> None:
    """Send the logs of structlog and of the standard library through one JSON renderer."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(default=str),
            ],
        ),
    )
    logging.basicConfig(handlers=[handler], level=level.upper() or "INFO", force=True)
    for name in _THIRD_PARTY:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Give a logger that carries the request id of whatever is being served."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def current_request_id() -> str:
    """Request id of the work in hand, or a new one where the work did not come from a request."""
    return str(structlog.contextvars.get_contextvars().get(REQUEST_ID) or uuid4().hex)


def bind_request_id(offered: str | None) -> str:
    """Start a context of logs with the caller's request id, or with a new one if it is missing or unfit for a log."""
    request_id = offered if offered and fullmatch(r"[\w.:-]{1,64}", offered) else uuid4().hex
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**{REQUEST_ID: request_id})
    return request_id
