"""The model servers: who is there, what they serve, who is least busy."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, perf_counter

import httpx

from gateway import metrics
from gateway.logs import get_logger

log = get_logger(__name__)

_LOOK_EVERY_S = 5
_LOOK_PATIENCE_S = 3


@dataclass
class Server:
    """One model server, as it was when last looked at."""

    url: str
    healthy: bool = False
    models: frozenset[str] = frozenset()
    latency_ms: float = 0
    error: str | None = "not looked at yet"
    busy: int = field(default=0, compare=False)
    last_used: float = field(default=0, compare=False)

    def serves(self, model: str) -> bool:
        """Tell whether the server could answer with the model now."""
        return self.healthy and lists(self.models, model)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Count a request for as long as it runs."""
        self.busy += 1
        self.last_used = monotonic()
        metrics.BUSY.labels(self.url).set(self.busy)
        try:
            yield
        finally:
            self.busy -= 1
            metrics.BUSY.labels(self.url).set(self.busy)

    def down(self, error: str) -> None:
        """Take the server out until a look finds it well again."""
        if self.healthy:
            log.warning("model server down", server=self.url, error=error)
        self.healthy, self.error = False, error
        metrics.UP.labels(self.url).set(0)

    def up(self, models: frozenset[str], latency_ms: float) -> None:
        """Put the server to work."""
        if not self.healthy:
            log.info("model server up", server=self.url, models=sorted(models))
        self.healthy, self.models, self.latency_ms, self.error = True, models, latency_ms, None
        metrics.UP.labels(self.url).set(1)


class Fleet:
    """All model servers."""

    def __init__(self, urls: Sequence[str], http: httpx.AsyncClient) -> None:
        """Know the servers by their addresses; `look` finds out the rest."""
        self.servers = [Server(url) for url in urls]
        self._http = http

    def candidates(self, models: Sequence[str]) -> Iterator[tuple[Server, str]]:
        """Give who could answer: servers of the first model, least busy first, then those of the next model.

        Lazy, so that a server which fell over meanwhile is not named any more.
        """
        for model in models:
            for server in sorted(self.servers, key=lambda server: (server.busy, server.last_used)):
                if server.serves(model):
                    yield server, model

    async def look(self) -> None:
        """Ask every server for its list of models: the one question that all of them understand."""
        await asyncio.gather(*map(self._look_at, self.servers))

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look_at(self, server: Server) -> None:
        started = perf_counter()
        try:
            models = await list_models(self._http, server.url)
        except httpx.HTTPError as error:
            server.down(fault(error))
        else:
            server.up(models, round((perf_counter() - started) * 1000, 1))


def fault(error: httpx.HTTPError) -> str:
    """Tell an error in one line; some have none, some have a second with a link."""
    return str(error).partition("\n")[0] or type(error).__name__


def lists(models: frozenset[str], model: str) -> bool:
    """Tell whether a model is listed; `name` and `name:latest` are the same to Ollama."""
    return not models.isdisjoint({model, f"{model}:latest", model.removesuffix(":latest")})


async def list_models(http: httpx.AsyncClient, url: str) -> frozenset[str]:
    """Give the models that a server lists.

    Raises:
        httpx.HTTPError: when the server gives no list.

    """
    response = await http.get(f"{url}/v1/models", timeout=_LOOK_PATIENCE_S)
    response.raise_for_status()
    try:
        return frozenset(str(model["id"]) for model in response.json()["data"] or [])
    except (ValueError, LookupError, TypeError) as error:
        msg = "its /v1/models is not a list of models"
        raise httpx.DecodingError(msg) from error
