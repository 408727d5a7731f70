"""`/test/…`: what was received, reset, and assertions. Everything else is the collector's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli.test_server import assertion, selection
from cli.test_server.item import Kind
from cli.test_server.store import Store
from core.errors import SluiceError, UsageError

PREFIX = "/test/"
_KINDS: dict[str, Kind] = {"good": "good", "bad": "bad", "duplicates": "duplicate"}
_NO_STORE = {"cache-control": "no-store"}


def test_routes(store: Store, *, reset: Callable[[], None]) -> Starlette:
    """The application under `PREFIX`. `reset` forgets everything."""

    async def everything(_: Request) -> Response:
        return _json(store.counts())

    def listing(path: str, kind: Kind) -> Route:
        async def listed(request: Request) -> Response:
            return _json(_parsed(request).of(store.items(kind)))

        return Route(PREFIX + path, listed)

    async def forget(_: Request) -> Response:
        reset()
        return _json(store.counts())

    async def check(request: Request) -> Response:
        asked = assertion.parse(await request.body())
        deadline = time.monotonic() + asked.within_ms / 1000
        while failed := assertion.failures(asked, store):
            left = deadline - time.monotonic()
            if left <= 0 or not await store.wait_for_more(timeout_s=left):
                break
        return _failed(failed, store) if failed else _json({"passed": True})

    return Starlette(
        routes=[
            Route(f"{PREFIX}all", everything),
            *(listing(path, kind) for path, kind in _KINDS.items()),
            Route(f"{PREFIX}reset", forget, methods=["POST"]),
            Route(f"{PREFIX}assert", check, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _http_error, SluiceError: _usage_error},
    )


def _parsed(request: Request) -> selection.Selection:
    pairs = request.query_params.multi_items()
    query = dict(pairs)
    if len(query) != len(pairs):
        raise UsageError("a filter is given twice")
    return selection.parse(query)


def _failed(failed: Sequence[dict[str, Any]], store: Store) -> Response:
    detail = "; ".join(failure["message"] for failure in failed)
    more = {"passed": False, "failures": failed, "counts": store.counts()}
    return _problem(HTTPStatus.EXPECTATION_FAILED, "assertion_failed", "The assertion does not hold", detail, **more)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (Starlette dispatches by class)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response = _problem(
            error.status_code, "method_not_allowed", "Method not allowed", f"{request.method} is not understood here"
        )
        response.headers["allow"] = (error.headers or {}).get("Allow", "")
        return response
    served = ", ".join(PREFIX + name for name in ("all", *_KINDS, "reset", "assert"))
    return _problem(HTTPStatus.NOT_FOUND, "not_found", "Not found", f"there are {served}")


async def _usage_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, SluiceError)  # noqa: S101 (as above)
    return _problem(error.http_status, error.code, "Bad request", error.message)


def _problem(status: int, code: str, title: str, detail: str, **more: Any) -> Response:
    problem = {"code": code, "title": title, "status": int(status), "detail": detail} | more
    return _json(problem, status=status, media_type="application/problem+json")


def _json(value: Any, *, status: int = 200, media_type: str = "application/json") -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type=media_type, headers=_NO_STORE)
