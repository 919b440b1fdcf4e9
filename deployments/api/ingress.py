"""Everything that an edge answers over HTTP: the predict route in front, FastAPI for the rest.

Serve's own per-request headers are taken away before Serve reads them (`middlewares`): with them any client
could switch the server's time limit off. The edge has its own deadlines.
"""

from __future__ import annotations

from typing import Any, ClassVar

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from deployments.api import headers as header
from deployments.api.document import openapi
from deployments.api.endpoints import Endpoints
from deployments.api.predict import Predict, Receive, Scope, Send, respond
from deployments.api.problems import problem
from deployments.api.v1 import health
from deployments.errors import Internal, NotFound, PenstockError

_PREFIX = "/api/v1/endpoints/"
_SUFFIX = "/predict"


class MethodNotAllowed(PenstockError):
    """The address is right, the method is not."""

    status, code = 405, "method_not_allowed"


class Ingress:
    """The edge's ASGI application.

    Args:
        endpoints: What is served now.
        title: What the API document calls the service.
    """

    def __init__(self, endpoints: Endpoints, *, title: str = "Penstock") -> None:
        self._predict = Predict(endpoints)
        self._rest = _application(endpoints, title)

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, *, own_id: bool = False
    ) -> None:
        """Answer a request; with `own_id` name its id in the answer's headers, which Serve does otherwise."""
        if not is_prediction(scope):
            await self._rest(scope, receive, send)
        elif scope["method"] == "POST":
            name = scope["path"][len(_PREFIX) : -len(_SUFFIX)]
            await self._predict(name, scope, receive, send, own_id=own_id)
        else:
            await _only_post(scope, send)


def is_prediction(scope: Scope) -> bool:
    """Whether a request is for the predict route, whatever its method."""
    if scope["type"] != "http":
        return False
    path: str = scope["path"]
    return path.startswith(_PREFIX) and path.endswith(_SUFFIX)


async def _only_post(scope: Scope, send: Send) -> None:
    request_id = header.request_id(header.collect(scope["headers"]))
    error = MethodNotAllowed("predictions are asked for with POST")
    status, headers, body = problem(error, request_id)
    await respond(send, status, [*headers, (b"allow", b"POST")], body)


def _application(endpoints: Endpoints, title: str) -> FastAPI:
    # The page's scripts come from this process: a service on a closed network has documentation too.
    app: FastAPI = FastAPIOffline(title=title, version="1", docs_url="/docs", redoc_url=None)
    app.include_router(health.router(endpoints), prefix="/api/v1")
    app.openapi = lambda: openapi(app, endpoints.table)  # type: ignore[method-assign]
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(PenstockError, _problem)
    app.add_exception_handler(Exception, _internal)
    return app


async def _http_problem(request: Request, exc: Exception) -> Response:
    """Starlette's own errors (no such path, wrong method) in our shape."""
    assert isinstance(exc, HTTPException)
    if exc.status_code == MethodNotAllowed.status:
        return _answer(request, MethodNotAllowed("this address does not take this method"))
    return _answer(request, NotFound("there is nothing at this address; /docs lists what there is"))


async def _problem(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, PenstockError)
    return _answer(request, exc)


async def _internal(request: Request, exc: Exception) -> Response:
    return _answer(request, Internal("something failed on our side"))


def _answer(request: Request, error: PenstockError) -> Response:
    status, headers, body = problem(
        error, header.request_id(header.collect(request.scope["headers"]))
    )
    response = Response(body, status)
    response.raw_headers = headers
    return response


class OwnHeaders:
    """Takes Serve's per-request controls out of a request, and a malformed id, before Serve reads them."""

    _TAKEN = frozenset(
        (
            b"x-request-timeout-seconds",
            b"x-request-disconnect-disabled",
            b"serve_multiplexed_model_id",
        )
    )

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on without them."""
        if scope["type"] == "http":
            kept = [pair for pair in scope["headers"] if pair[0] not in self._TAKEN]
            given = header.collect(kept).get(b"x-request-id")
            if given is not None and header.request_id({b"x-request-id": given}) != given.decode(
                "latin-1"
            ):
                kept = [pair for pair in kept if pair[0] != b"x-request-id"]
            scope["headers"] = kept
        await self._app(scope, receive, send)


class Front:
    """Answers predictions before Serve's own bookkeeping of a request, which a profile showed to outweigh the edge's work.

    What that would do is done elsewhere: deadlines, disconnects and bounds by the edge, counts by HAProxy, and
    an edge that goes finishes what it has because uvicorn does. Everything but predictions takes Serve's way.
    Serve makes the middlewares itself, so the ingress of this process is found by way of the class.
    """

    ingress: ClassVar[Ingress | None] = None

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a prediction, or pass the request on."""
        if self.ingress is not None and is_prediction(scope):
            await self.ingress(scope, receive, send, own_id=True)
        else:
            await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """What Serve wraps around each HTTP server, the last outermost.

    Serve finds it by `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`, which `penstock env` sets.
    """
    return [Middleware(OwnHeaders), Middleware(Front)]
