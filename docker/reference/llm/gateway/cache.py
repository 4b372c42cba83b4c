"""Answers given before. Only deterministic questions are kept: the same question may only ever get that answer."""

import hashlib
import json
from collections import OrderedDict
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError

from gateway.logs import get_logger

log = get_logger(__name__)

_MEMORY_ENTRIES = 512
# What does not change the answer.
_IRRELEVANT = {"model", "stream", "stream_options", "user", "metadata"}

Question = dict[str, Any]


def key(question: Question, model: str) -> str | None:
    """Name the question put to a model; None when the same question could get another answer next time."""
    deterministic = question.get("temperature") == 0 and question.get("n", 1) == 1
    if not deterministic or question.get("stream"):
        return None
    relevant = {name: value for name, value in question.items() if name not in _IRRELEVANT}
    asked = json.dumps([model, relevant], sort_keys=True)
    return "llm:" + hashlib.sha256(asked.encode()).hexdigest()


class Cache(Protocol):
    """Where answers are kept."""

    async def get(self, key: str) -> bytes | None:
        """Give an answer, or None."""

    async def put(self, key: str, answer: bytes) -> None:
        """Keep an answer."""


class MemoryCache:
    """The last few hundred answers, in this process."""

    def __init__(self) -> None:
        """Start empty."""
        self._answers: OrderedDict[str, bytes] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        """Give an answer, or None."""
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    async def put(self, key: str, answer: bytes) -> None:
        """Keep an answer, and forget the one that nobody asked for the longest."""
        self._answers[key] = answer
        self._answers.move_to_end(key)
        if len(self._answers) > _MEMORY_ENTRIES:
            self._answers.popitem(last=False)


class RedisCache:
    """Answers that all gateways share. A Redis that is down makes the gateway slower, never wrong."""

    def __init__(self, url: str, ttl_s: int) -> None:
        """Use a Redis; nothing is opened yet."""
        # Tried again once: the connections in the pool do not survive a restart of the server.
        retry = Retry(ConstantBackoff(0.05), 1)
        self._redis = Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1, retry=retry)
        self._ttl_s = ttl_s

    async def get(self, key: str) -> bytes | None:
        """Give an answer, or None."""
        try:
            answer: bytes | None = await self._redis.execute_command("GET", key)
        except RedisError as error:
            log.warning("cache not readable", error=str(error))
            return None
        return answer

    async def put(self, key: str, answer: bytes) -> None:
        """Keep an answer for a while."""
        try:
            await self._redis.set(key, answer, ex=self._ttl_s)
        except RedisError as error:
            log.warning("cache not writable", error=str(error))
