"""What the backend works with, opened together and closed together: once per API process, once per task."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pymongo import AsyncMongoClient
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from app.broker import Broker
from app.cache import Cache
from app.db import make_engine
from app.documents import Documents
from app.llm import Llm
from app.progress import QUIET_S, Progress
from app.settings import Settings, settings
from app.tenders import Tenders


@dataclass(frozen=True)
class Services:
    """The backend's neighbours."""

    tenders: Tenders
    documents: Documents
    cache: Cache
    progress: Progress
    broker: Broker
    llm: Llm

    @property
    def required(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """How to ask each dependency without which no tender can be served."""
        return {
            "postgres": self.tenders.ping,
            "mongodb": self.documents.ping,
            "redis": self.broker.ping,
            "redis-cache": self.cache.ping,
        }


@asynccontextmanager
async def open_services(configured: Settings | None = None) -> AsyncIterator[Services]:
    """Open the connection pools, which connect at first use, and close them at the end."""
    chosen = configured or settings()
    async with AsyncExitStack() as stack:
        engine = make_engine(chosen)
        stack.push_async_callback(engine.dispose)
        mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            chosen.mongodb_url,
            serverSelectionTimeoutMS=3000,
            connectTimeoutMS=3000,
        )
        stack.push_async_callback(mongo.close)
        broker = await stack.enter_async_context(_redis(chosen.celery_broker_url))
        cache = await stack.enter_async_context(_redis(chosen.cache_url))
        # Followers wait on the server for new events, each on a connection of its own.
        events = await stack.enter_async_context(_redis(chosen.cache_url, patience_s=QUIET_S + 5))
        timeout = httpx.Timeout(chosen.llm_timeout_s, connect=3)
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=chosen.llm_url, timeout=timeout))
        yield Services(
            tenders=Tenders(engine),
            documents=Documents(mongo),
            cache=Cache(cache),
            progress=Progress(events),
            broker=Broker(broker),
            llm=Llm(http, chosen.llm_model),
        )


def _redis(url: str, patience_s: float = 5) -> Redis:
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=2,
        socket_timeout=patience_s,
        retry=Retry(ConstantBackoff(0.05), 2),  # the connections in the pool do not survive a restart of the server
    )
