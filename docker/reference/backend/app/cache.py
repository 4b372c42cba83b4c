"""Finished tenders in Redis. The cache may vanish at any time: without it everything works, only slower."""

from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.logs import get_logger
from app.schemas import TenderOut

log = get_logger(__name__)

_TTL_S = 3600


class Cache:
    """Tenders in a final state: they never change again, so nothing has to be invalidated."""

    def __init__(self, redis: Redis) -> None:
        """Use the client's pool; nothing is opened yet."""
        self._redis = redis

    async def get(self, tender_id: UUID) -> TenderOut | None:
        """Give a cached tender; None when it is not cached or the cache is down."""
        try:
            cached = await self._redis.get(_key(tender_id))
        except RedisError as error:
            log.warning("cache not readable", error=str(error))
            return None
        return TenderOut.model_validate_json(cached) if cached else None

    async def put(self, tender: TenderOut) -> None:
        """Cache a tender if nothing more will happen to it."""
        if not tender.status.final:
            return
        try:
            await self._redis.set(_key(tender.id), tender.model_dump_json(), ex=_TTL_S)
        except RedisError as error:
            log.warning("cache not writable", error=str(error))

    async def ping(self) -> None:
        """Ask the server for an answer."""
        await self._redis.ping()


def _key(tender_id: UUID) -> str:
    return f"tender:{tender_id}"
