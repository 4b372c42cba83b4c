"""A model server as an ASGI application: what Ollama and llama-server answer, and how they fail."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse


@dataclass
class Stub:
    """One model server; change its fields to change its behaviour."""

    models: list[str]
    status: int = 200
    unreachable: bool = False
    pull: list[dict[str, Any]] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)

    @property
    def app(self) -> FastAPI:
        """The server's API; without `/api/pull` unless the stub is an Ollama."""
        api = FastAPI()
        api.add_api_route("/v1/models", self._list)
        api.add_api_route("/v1/chat/completions", self._chat, methods=["POST"], response_model=None)
        if self.pull is not None:
            api.add_api_route("/api/pull", self._pull, methods=["POST"], response_model=None)
        return api

    async def _list(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": model} for model in self.models]}

    async def _chat(self, request: Request) -> Response:
        question = await request.json()
        self.asked.append(question)
        self.request_ids.append(request.headers.get("X-Request-ID", ""))
        if self.status != 200:
            return JSONResponse({"error": {"message": "no"}}, status_code=self.status)
        if question.get("stream"):
            return StreamingResponse(self._chunks(), media_type="text/event-stream")
        message = {"role": "assistant", "content": f"answer {len(self.asked)}"}
        usage = {"prompt_tokens": 7, "completion_tokens": 2}
        return JSONResponse({"model": question["model"], "choices": [{"message": message}], "usage": usage})

    async def _chunks(self) -> AsyncIterator[str]:
        for word in ("an", "swer"):
            yield f"data: {json.dumps({'choices': [{'delta': {'content': word}}]})}\n\n"
        yield "data: [DONE]\n\n"

    async def _pull(self) -> Response:
        async def lines() -> AsyncIterator[str]:
            for step in self.pull or []:
                yield json.dumps(step) + "\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")


class Network(httpx.AsyncBaseTransport):
    """Reaches each stub under its own host name."""

    def __init__(self, **stubs: Stub) -> None:
        """Name the stubs."""
        self._stubs = stubs
        self._transports = {name: httpx.ASGITransport(stub.app) for name, stub in stubs.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request to the stub that it names."""
        if self._stubs[request.url.host].unreachable:
            msg = "connection refused"
            raise httpx.ConnectError(msg)
        return await self._transports[request.url.host].handle_async_request(request)
