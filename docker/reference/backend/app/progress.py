"""A tender's progress as a Redis stream: unlike a pub/sub message, an event waits for a client that reconnects."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.logs import get_logger
from app.schemas import Event, Status

log = get_logger(__name__)

_KEPT_S = 86_400
QUIET_S = 15


class Progress:
    """The event streams, one per tender."""

    def __init__(self, redis: Redis) -> None:
        """Use the client's pool; nothing is opened yet."""
        self._redis = redis

    async def announce(self, tender_id: UUID, status: Status, detail: str) -> None:
        """Announce a step to whoever watches; the work goes on even when nobody can be told."""
        try:
            async with self._redis.pipeline() as pipeline:
                pipeline.xadd(_key(tender_id), {"status": status.value, "detail": detail})
                pipeline.expire(_key(tender_id), _KEPT_S)
                await pipeline.execute()
        except RedisError as error:
            log.warning("progress not announced", error=str(error))

    async def follow(self, tender_id: UUID, after: str) -> AsyncIterator[Event | None]:
        """Yield the events after the one named, as they come, and None whenever it has been quiet for a while.

        Never ends by itself: an evicted stream has no last event, so the caller decides from the tender's own state.
        """
        last_seen = after
        while True:
            # Pairs of a stream and its entries; here one pair, or none.
            answer: Any = await self._redis.xread({_key(tender_id): last_seen}, block=QUIET_S * 1000)
            if not answer:
                yield None
            for _, entries in answer:
                for last_seen, values in entries:
                    yield Event(id=last_seen, status=Status(values["status"]), detail=values["detail"])


def _key(tender_id: UUID) -> str:
    return f"progress:{tender_id}"
