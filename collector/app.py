"""The collector as one ASGI application: the hot path first, Starlette for everything cold."""

from __future__ import annotations

from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from collector import health, openapi, problems
from collector.controls import Controls
from collector.ingest import PATHS, Collect
from collector.key_table import KeyTable
from collector.problems import MethodError, NotFoundError, RequestError
from collector.publisher import Publisher
from collector.scrape import Scrape
from core.clock import Clock, SystemClock
from core.ids import IdSource, RandomIds
from core.lifecycle import Lifecycle
from core.settings import Settings


class Collector:
    """`collect` for the collect paths, `cold` for all others (and for scopes that are not HTTP). `take` is for a Server
    of ours.
    """

    def __init__(self, *, collect: Collect, cold: ASGIApp) -> None:
        self._collect = collect
        self._cold = cold
        self.take = collect.take

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in PATHS:
            await self._collect(scope, receive, send)
        else:
            await self._cold(scope, receive, send)


def create_app(
    settings: Settings,
    *,
    publisher: Publisher,
    lifecycle: Lifecycle | None = None,
    controls: Controls | None = None,
    clock: Clock | None = None,
    random_ids: IdSource | None = None,
) -> Collector:
    """The collector over `publisher`.

    What is left out is the real thing: system clock, random ids; but of keys the bootstrap key alone.
    """
    controls = controls or Controls(keys=KeyTable.alone(settings))
    collect = Collect(
        settings,
        publisher=publisher,
        controls=controls,
        clock=clock or SystemClock(),
        random_ids=random_ids or RandomIds(),
    )
    lifecycle = lifecycle or Lifecycle("collector")
    cold = Starlette(
        routes=[
            Route("/", _about),
            Route(openapi.PATH, _openapi),
            *health.routes(
                troubles=(publisher.trouble, controls.trouble),
                detail=publisher.detail,
                lifecycle=lifecycle,
                scrape=Scrape(settings),
            ),
            *controls.routes,
        ],
        exception_handlers={
            HTTPException: _http_error,
            RequestError: _request_error,
            Exception: _internal_error,
        },
    )
    # Paths are exact; the collect path alone is known in two spellings.
    cold.router.redirect_slashes = False
    return Collector(collect=collect, cold=cold)


async def _about(_: Request) -> Response:
    return JSONResponse(
        {
            "service": "sluice-collector",
            "collect": "/api/v1/tracking/collect/",
            "health": ["/health/live", "/health/ready"],
            "metrics": "/metrics",
            "openapi": openapi.PATH,
        }
    )


async def _openapi(_: Request) -> Response:
    return Response(openapi.document(), media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (Starlette dispatches by class)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allow = (error.headers or {}).get("Allow", "")
        return _problem(MethodError(f"{request.method} is not understood here", allow=allow))
    return _problem(NotFoundError("nothing is served under this path"))


async def _request_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101 (Starlette dispatches by class)
    return _problem(error)


async def _internal_error(_: Request, __: Exception) -> Response:
    return _response(problems.render_internal())


def _problem(error: RequestError) -> Response:
    return _response(problems.render(error))


def _response(reply: tuple[int, problems.Headers, bytes]) -> Response:
    status, headers, body = reply
    response = Response(body, status_code=status)
    response.raw_headers[:] = headers
    return response
