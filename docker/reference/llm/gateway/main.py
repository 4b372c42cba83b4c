"""The gateway's API. Run with `uvicorn gateway.main:app`: one process, because it counts who is busy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypedDict

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway import logs
from gateway.cache import MemoryCache, RedisCache
from gateway.chat import Chat, NoModelError
from gateway.fleet import Fleet
from gateway.middleware import RequestContext
from gateway.settings import Settings, read_settings, variable

RETRY_AFTER_S = 5


class State(TypedDict):
    """What a request finds on `request.state`."""

    fleet: Fleet
    chat: Chat


def create_app(settings: Settings | None = None, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """Make the application; tests give it settings, and model servers of their own behind `transport`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        chosen = settings or read_settings()
        answers = RedisCache(chosen.cache_url, chosen.cache_ttl_s) if chosen.cache_url else MemoryCache()
        timeout = httpx.Timeout(chosen.timeout_s, connect=2)
        async with httpx.AsyncClient(timeout=timeout, transport=transport) as http:
            fleet = Fleet(chosen.servers, http)
            await fleet.look()
            watch = asyncio.create_task(fleet.watch())
            yield {"fleet": fleet, "chat": Chat(fleet, answers, http, chosen.models)}
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    api = FastAPI(title="CotAi LLM gateway", version=variable("COTAI_VERSION", "dev"), lifespan=lifespan)
    api.add_middleware(RequestContext)
    api.add_api_route("/v1/chat/completions", chat_completions, methods=["POST"], response_model=None)
    api.add_api_route("/v1/models", models)
    api.add_api_route("/health/live", live)
    api.add_api_route("/health/ready", ready)
    api.add_api_route("/metrics", metrics)
    api.add_api_route("/version", version)
    return api


async def chat_completions(question: dict[str, Any], request: Request) -> Response:
    """Answer a chat completion of the OpenAI API, as JSON or as server-sent events."""
    chat: Chat = request.state.chat
    try:
        answer = await chat.answer(question)
    except NoModelError as error:
        body = {"error": {"message": str(error), "type": "service_unavailable", "code": "no_model"}}
        return JSONResponse(body, status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})
    if isinstance(answer.body, bytes):
        return Response(answer.body, answer.status, answer.headers, media_type="application/json")
    unbuffered = answer.headers | {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(answer.body, answer.status, unbuffered, media_type="text/event-stream")


async def models(request: Request) -> dict[str, Any]:
    """List the models that a healthy server has."""
    fleet: Fleet = request.state.fleet
    names = sorted({name for server in fleet.servers if server.healthy for name in server.models})
    return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "cotai"} for name in names]}


async def live() -> dict[str, str]:
    """Answer as long as the process does."""
    return {"status": "alive"}


async def ready(request: Request) -> dict[str, Any]:
    """Tell that the gateway works, and each model server's state: nobody's health waits for a model."""
    fleet: Fleet = request.state.fleet
    servers = [
        {
            "url": server.url,
            "ok": server.healthy,
            "models": sorted(server.models),
            "busy": server.busy,
            "latency_ms": server.latency_ms,
            "error": server.error,
        }
        for server in fleet.servers
    ]
    return {"status": "ready", "servers": servers}


async def metrics() -> Response:
    """Give the metrics to Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def version() -> dict[str, str]:
    """Tell which release answers."""
    return {"version": variable("COTAI_VERSION", "dev")}


logs.configure(variable("LOG_LEVEL", "INFO"))
app = create_app()
