"""Whether this process should get traffic, as HTTP: live (it answers), ready (events sent now will be stored)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from collector.scrape import Scrape
from core.lifecycle import Lifecycle

NO_STORE = {"cache-control": "no-store"}


def routes(
    *,
    troubles: Sequence[Callable[[], str]],
    detail: Callable[[], Mapping[str, object]],
    lifecycle: Lifecycle,
    scrape: Scrape,
) -> list[Route]:
    """`troubles` each say why events sent now will not be stored, "" if they know no reason. `detail` is told too."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"}, headers=NO_STORE)

    async def ready(_: Request) -> Response:
        reason = "draining" if lifecycle.draining else next(filter(None, (each() for each in troubles)), "")
        status = {"status": "not_ready", "reason": reason} if reason else {"status": "ready"}
        return JSONResponse({**status, **detail()}, status_code=503 if reason else 200, headers=NO_STORE)

    async def metrics(_: Request) -> Response:
        return Response(scrape.text(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)]
