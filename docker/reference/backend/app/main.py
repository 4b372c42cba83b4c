"""The API. Run with `uvicorn app.main:app`, or under Gunicorn with `uvicorn_worker.UvicornWorker`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from app import health, live, logs, metrics, routes
from app.errors import DATABASE_DOWN, reason
from app.middleware import RequestContext
from app.services import Services, open_services
from app.settings import variable

log = logs.get_logger(__name__)

State = dict[str, Services]


def create_app(open_services: Callable[[], AbstractAsyncContextManager[Services]] = open_services) -> FastAPI:
    """Make the application; tests give it services of their own."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with open_services() as services:
            yield {"services": services}

    api = FastAPI(title="CotAi", version=variable("COTAI_VERSION") or "dev", lifespan=lifespan)
    api.add_middleware(RequestContext)
    for module in (routes, live, health, metrics):
        api.include_router(module.router)
    for error in DATABASE_DOWN:
        api.add_exception_handler(error, _database_down)
    api.add_exception_handler(RequestValidationError, _invalid)
    if variable("OTEL_EXPORTER_OTLP_ENDPOINT"):
        import_module("app.tracing").instrument(api)  # only on demand: importing it costs every process memory
    return api


async def _database_down(_: Request, error: Exception) -> JSONResponse:
    log.error("database down", error=reason(error))
    detail = {"detail": "A database cannot be reached; please try again."}
    return JSONResponse(detail, status_code=503, headers={"Retry-After": "5"})


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Answer 422 without repeating the input, which may be large, secret, or not even text."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    plain = [{name: fault[name] for name in ("type", "loc", "msg")} for fault in faults]
    return JSONResponse({"detail": jsonable_encoder(plain)}, status_code=422)


logs.configure(variable("LOG_LEVEL"))
app = create_app()
