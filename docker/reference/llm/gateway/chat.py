"""Chat completions: from the cache, else from the least busy server, else from the next model, else an honest 503."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter

import httpx

from gateway import cache, metrics
from gateway.cache import Cache, Question
from gateway.fleet import Fleet, Server, fault
from gateway.logs import REQUEST_ID_HEADER, current_request_id, get_logger

log = get_logger(__name__)


class NoModelError(Exception):
    """No server could answer now; the message says what was tried."""


@dataclass(frozen=True)
class Answer:
    """A model server's answer, whole or as a stream of server-sent events, and where it comes from."""

    status: int
    body: bytes | AsyncIterator[bytes]
    headers: dict[str, str]


class Chat:
    """Answers questions with a fleet of model servers and a cache."""

    def __init__(self, fleet: Fleet, answers: Cache, http: httpx.AsyncClient, models: Sequence[str]) -> None:
        """Answer with `models`, best first; a question may name another first choice."""
        self._fleet = fleet
        self._answers = answers
        self._http = http
        self._models = models

    async def answer(self, question: Question) -> Answer:
        """Answer a question, streaming if it asks for a stream.

        Raises:
            NoModelError: when nobody can answer now.

        """
        wanted = str(question.get("model") or self._models[0])
        kept_as = cache.key(question, wanted)
        if kept_as and (kept := await self._answers.get(kept_as)):
            self._count(wanted, "cache")
            return Answer(HTTPStatus.OK, kept, {"X-LLM-Model": wanted, "X-LLM-Cache": "hit"})
        failures = []
        for server, model in self._fleet.candidates(list(dict.fromkeys([wanted, *self._models]))):
            try:
                answer = await self._ask(server, question | {"model": model})
            except httpx.HTTPError as error:
                log.warning("model server failed", server=server.url, model=model, error=fault(error))
                failures.append(f"{model} at {server.url}: {fault(error)}")
                # A slow answer, or a fault with this one question, does not mean that the server is down.
                if isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ReadTimeout):
                    server.down(fault(error))
                continue
            if answer.status >= HTTPStatus.BAD_REQUEST:
                self._count(model, "refused")
                return answer
            self._count(model, "model" if model == wanted else "fallback")
            kept_as = cache.key(question, model)
            if kept_as and isinstance(answer.body, bytes):
                await self._answers.put(kept_as, answer.body)
            return answer
        self._count(wanted, "unavailable")
        raise NoModelError("; ".join(failures) or self._nobody(wanted))

    async def _ask(self, server: Server, question: Question) -> Answer:
        """Put the question to one server; an error of the server, unlike one of the question, raises."""
        model, started = str(question["model"]), perf_counter()
        async with AsyncExitStack() as stack:
            stack.enter_context(server.at_work())
            request = self._http.build_request(
                "POST",
                f"{server.url}/v1/chat/completions",
                json=question,
                headers={REQUEST_ID_HEADER: current_request_id()},
            )
            response = await self._http.send(request, stream=True)
            stack.push_async_callback(response.aclose)
            if response.is_server_error or response.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS}:
                await response.aread()
                msg = f"answered {response.status_code}: {response.text[:200]}"
                raise httpx.HTTPStatusError(msg, request=request, response=response)
            headers = {"X-LLM-Model": model, "X-LLM-Server": server.url, "X-LLM-Cache": "miss"}
            if question.get("stream") and response.is_success:
                # From here on the stream owns what was opened: the server is at work until its last byte. It is begun
                # here, because closing a stream that was never begun would close nothing.
                relayed = _relay(response, stack.pop_all(), model, started)
                await anext(relayed)
                return Answer(response.status_code, relayed, headers)
            body = await response.aread()
        metrics.SECONDS.labels(model).observe(perf_counter() - started)
        _count_tokens(model, body)
        return Answer(response.status_code, body, headers)

    def _nobody(self, wanted: str) -> str:
        healthy = [server for server in self._fleet.servers if server.healthy]
        if not healthy:
            return "no model server answers"
        listed = sorted({model for server in healthy for model in server.models})
        return f"no server has the model {wanted}; they have: {', '.join(listed) or 'none yet'}"

    def _count(self, model: str, outcome: str) -> None:
        # The caller chooses the name, so only names that somebody serves become a label.
        known = model in self._models or any(model in server.models for server in self._fleet.servers)
        metrics.ANSWERS.labels(model if known else "other", outcome).inc()
        log.info("answered", model=model, outcome=outcome)


async def _relay(response: httpx.Response, stack: AsyncExitStack, model: str, started: float) -> AsyncIterator[bytes]:
    async with stack:
        yield b""
        try:
            async for chunk in response.aiter_bytes():
                yield chunk
        except httpx.HTTPError as error:
            log.warning("stream broke", model=model, error=fault(error))
            broken = {"message": "the model server stopped in the middle of its answer", "type": "server_error"}
            yield f"data: {json.dumps({'error': broken})}\n\n".encode()
        metrics.SECONDS.labels(model).observe(perf_counter() - started)


def _count_tokens(model: str, body: bytes) -> None:
    try:
        usage = json.loads(body)["usage"]
        for kind in ("prompt", "completion"):
            metrics.TOKENS.labels(model, kind).inc(usage[f"{kind}_tokens"])
    except (ValueError, LookupError, TypeError):
        log.debug("no token counts", model=model)
