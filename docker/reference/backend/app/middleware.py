"""Around every request: its id, one line of access log, its metrics."""

from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import REQUEST_ID_HEADER, bind_request_id, get_logger
from app.metrics import REQUESTS, SECONDS

log = get_logger("app.access")

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_ASKED_BY_MACHINES = ("/health/", "/metrics")


class RequestContext:
    """ASGI middleware; plain, because the base class of Starlette breaks context variables and streaming."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = bind_request_id(Headers(scope=scope).get(REQUEST_ID_HEADER))
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            _account(scope, status, perf_counter() - started)


def _account(scope: Scope, status: int, seconds: float) -> None:
    # The route's pattern, not the path: a label with an id in it would make a time series per tender.
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(method, route).observe(seconds)
    write = log.debug if scope["path"].startswith(_ASKED_BY_MACHINES) else log.info
    write("request", method=method, path=scope["path"], status=status, ms=round(seconds * 1000, 1))
