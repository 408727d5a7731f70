"""The ASGI application: routes, authentication, admission, and one watcher a request for clients that leave.

    GET /ping, /replicas_status, / without a query      `Ok.`, no password asked
    GET or POST / with a statement                      admission, then `execute` in a worker thread

At most `max_concurrent` statements run; others wait `queue_seconds` for a place and then read 503 with `Retry-After`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from infra.clickhouse import request as requests
from infra.clickhouse.access.users import FILE_NAME as USERS_FILE
from infra.clickhouse.access.users import Identity, Role, UserFile
from infra.clickhouse.answer import encode_headers
from infra.clickhouse.auth import Gate
from infra.clickhouse.codings import too_large
from infra.clickhouse.config import FrontConfig
from infra.clickhouse.early_headers import EXTENSION
from infra.clickhouse.engine import new_tag
from infra.clickhouse.errors import SOCKET_TIMEOUT, ClickHouseError, ClientGoneError
from infra.clickhouse.exchange import Exchange, Receive, Send
from infra.clickhouse.execute import Executor
from infra.clickhouse.progress import report
from infra.clickhouse.request import Request

log = logging.getLogger(__name__)

_RETRY_AFTER_SECONDS: Final = 1
_OK: Final = b"Ok.\n"


class FrontApp:
    def __init__(self, executor: Executor, config: FrontConfig) -> None:
        self._executor = executor
        self._config = config
        file = UserFile(config.access / USERS_FILE) if config.access is not None else None
        self._gate = Gate(user=config.user, password=config.password, file=file)
        self._places = asyncio.Semaphore(config.max_concurrent)
        self._workers = ThreadPoolExecutor(config.max_concurrent, thread_name_prefix="statement")
        self._running: set[asyncio.Future[None]] = set()
        self._helpers = ThreadPoolExecutor(4, thread_name_prefix="helper")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = requests.read(scope["method"], scope["path"], scope["query_string"], scope["headers"])
        if (plain := _without_engine(request)) is not None:
            status, text = plain
            await _reply(send, status, text)
            return
        exchange = Exchange(
            receive,
            send,
            max_body_bytes=self._config.max_body_bytes,
            body_idle_seconds=self._config.body_idle_seconds,
            send_seconds=self._config.send_seconds,
            early=scope.get("extensions", {}).get(EXTENSION, {}).get("send"),
        )
        try:
            identity = self._gate.check(requests.credentials(request))
            self._check_length(request)
            progress_seconds = request.progress_seconds
            await exchange.prefetch()
            await self._admit()
        except ClickHouseError as error:
            await self._refuse(exchange, request, error)
            return
        except ClientGoneError:
            return
        try:
            await self._run(request, exchange, identity, progress_seconds=progress_seconds)
        finally:
            self._places.release()

    async def idle(self, *, seconds: float) -> bool:
        """Whether no statement runs, waiting up to `seconds` for that."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        return not self._running

    def close(self) -> None:
        """Let go of the threads without waiting; what still runs ends with the process."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._helpers.shutdown(wait=False, cancel_futures=True)

    def _check_length(self, request: Request) -> None:
        length = request.declared_length
        if length is not None and length > self._config.max_body_bytes:
            raise too_large(f"Request body of {length} bytes is larger than {self._config.max_body_bytes} bytes")

    async def _admit(self) -> None:
        try:
            await asyncio.wait_for(self._places.acquire(), self._config.queue_seconds)
        except TimeoutError:
            message = f"Too many simultaneous queries. Maximum: {self._config.max_concurrent}"
            raise ClickHouseError(202, "TOO_MANY_SIMULTANEOUS_QUERIES", message) from None

    async def _run(
        self, request: Request, exchange: Exchange, identity: Identity, *, progress_seconds: float | None
    ) -> None:
        tag = new_tag(request.query_id)
        loop = asyncio.get_running_loop()
        helpers = [asyncio.create_task(self._watch(exchange, tag))]
        if progress_seconds is not None and identity.role is Role.ADMIN:  # it counts rows before they are filtered
            look = partial(loop.run_in_executor, self._helpers, self._executor.progress, tag)
            helpers.append(asyncio.create_task(report(exchange, look, seconds=progress_seconds)))
        work = loop.run_in_executor(
            self._workers, lambda: self._executor.run(request, exchange, identity=identity, tag=tag)
        )
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            # The server's grace is over: the thread must not go on waiting for a loop that ends.
            exchange.abandon()
            raise
        finally:
            for helper in helpers:
                helper.cancel()

    async def _watch(self, exchange: Exchange, tag: str) -> None:
        if await exchange.watch():
            await asyncio.get_running_loop().run_in_executor(self._helpers, self._executor.cancel_reading, tag)

    async def _refuse(self, exchange: Exchange, request: Request, error: ClickHouseError) -> None:
        """Answer before any thread is taken."""
        answer = self._executor.answer(exchange)
        with contextlib.suppress(ClickHouseError):
            answer.describe(request)
        text = error.render(self._executor.version)
        if exchange.body_unread and error.code != SOCKET_TIMEOUT:
            await exchange.drain()
        retry_after = _RETRY_AFTER_SECONDS if error.status == 503 else None
        headers = answer.error_headers(error, length=len(text), close=exchange.body_unread, retry_after=retry_after)
        await exchange.send_start(error.status, headers)
        await exchange.send_body(text, more=False)
        answer.close()


def _without_engine(request: Request) -> tuple[int, bytes] | None:
    """Answers that need neither a password nor the engine; None for a statement."""
    if request.path in ("/ping", "/replicas_status"):
        return 200, _OK
    if request.path not in ("", "/"):
        return 404, f"There is no handle {request.path}\n".encode("utf-8", "replace")
    if request.method in ("GET", "HEAD") and "query" not in request.values:
        return 200, _OK
    if request.method not in ("GET", "POST"):
        return 501, f"Method {request.method} is not spoken here\n".encode("utf-8", "replace")
    return None


async def _reply(send: Send, status: int, text: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    own = encode_headers({"Content-Type": "text/html; charset=UTF-8" if status == 200 else "text/plain; charset=UTF-8",
                          "Content-Length": str(len(text))})  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": text, "more_body": False})
