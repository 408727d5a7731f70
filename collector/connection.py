"""One HTTP/1.1 connection under uvicorn: bytes in, exchanges out. Every phase has a deadline, everything a size.

uvicorn's own protocol classes bound neither. What a connection does:

1. It waits for a request (`head_s` for the first, `idle_s` for a later one), then for the end of its head (`head_s`).
2. It starts the application when the head is there, so that a bad key costs no body, and gathers the body, at most
   `body_bytes` within `body_s`. One exchange at a time: what is pipelined waits, unread beyond one buffer.
3. It writes the answer. A client that does not take it in within `write_s` is cut off.
4. Where the answer came before the end of its request, it reads on and throws away, for `linger_s`: closing with
   unread input would reset the connection, and the answer might be lost on its way.

What is no HTTP, or is read differently by different servers, is refused: the parser is strict (both lengths, bare line
feeds, folded headers), and so are the rules here about `Host` and `Transfer-Encoding`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.server import ServerState

from collector import problems
from collector.bounds import Bounds
from collector.deadlines import NEVER, deadlines
from collector.exchange import Exchange
from collector.heads import MAX_REMEMBERED_BYTES, Head, Heads
from collector.problems import (
    BodyTimeoutError,
    HeadTooLargeError,
    MalformedError,
    OverloadedError,
    RequestError,
    TooLargeError,
    UriTooLongError,
)
from core import metrics
from core.log import get_logger

log = get_logger(__name__)

# How much more than the body itself its chunks may take: many tiny ones cost more than they bring.
_CHUNK_OVERHEAD = 2
# `: ` and the line end.
_HEADER_FRAMING = 4
_END = b"\r\n\r\n"


class _Refused(Exception):  # noqa: N818 (leaves the parser; whoever fed it knows what to do)
    """The rest of the connection is not to be understood any more."""


class Waiting:
    """Bytes of unfinished bodies, of all connections of a process."""

    def __init__(self) -> None:
        self.bytes = 0


# Takes a request that is there whole and answers it by `Exchange.respond`, without a task; says whether it does.
Take = Callable[[Exchange], bool]


class Connection(asyncio.Protocol):
    """`state`, `waiting` and `heads` are shared by all connections of a server. What `take` does not take is the
    application's.
    """

    def __init__(
        self,
        app: Any,
        state: ServerState,
        *,
        loop: asyncio.AbstractEventLoop,
        bounds: Bounds,
        waiting: Waiting,
        heads: Heads,
        take: Take | None = None,
    ) -> None:
        self.due = NEVER
        self._app = app
        self._take = take
        self._heads = heads
        self._loop = loop
        self._state = state
        self._bounds = bounds
        self._waiting = waiting
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        # The exchange that is answered now, what waits behind it, and why nothing more is read after those.
        self._current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._refusal: RequestError | None = None
        # The request that is being read: its head as far as it is here, then its body.
        self._reading: Exchange | None = None
        # The current one, as long as it may still turn out to be there whole.
        self._unbegun: Exchange | None = None
        self._in_head = False
        self._head_bytes = 0  # as received, since the last request ended
        self._head_size = 0  # of what the parser has made of it
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._raw_body_size = 0
        self._body_after_upgrade = b""
        self._deaf = False
        self._paused = False
        self._lingering = False
        self._resumed: asyncio.Future[None] | None = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio's is wider
        self._transport = transport
        self.scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        self.server = _address(transport.get_extra_info("sockname"))
        self.client = _address(transport.get_extra_info("peername"))
        connections: set[Any] = self._state.connections
        connections.add(self)
        deadlines(self._loop).add(self)
        self.due = self._loop.time() + self._bounds.head_s
        if len(connections) > self._bounds.connections:
            self._deaf = True
            self._write_refusal(OverloadedError("too many connections"))
            self._close()  # lingering would hold what there is too much of

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio passes it)
        connections: set[Any] = self._state.connections
        connections.discard(self)
        deadlines(self._loop).remove(self)
        self._deaf = True
        for exchange in (self._current, self._reading, *self._queue):
            if exchange is not None:
                exchange.gone = True
                exchange.wake()
                self._release(exchange)
        self._queue.clear()
        self.resume_writing()
        self._parser = None

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        end = 0
        if self._reading is None:
            if not self._head_bytes and self._current is None:
                if not self._in_head and self._resumed is None:
                    end = data.find(_END, 0, MAX_REMEMBERED_BYTES)
                    head = self._heads.find(data[:end]) if end > 0 else None
                    if head is not None and len(data) == end + len(_END) + head.length:
                        self._take_whole(head, data[end + len(_END) :])
                        return
                self.due = self._loop.time() + self._bounds.head_s
            self._head_bytes += len(data)
        self._feed(data)
        self._check_sizes(data)
        exchange, self._unbegun = self._unbegun, None
        if exchange is not None:
            if end > 0 and self._is_all(exchange, data[end + len(_END) :]):
                self._heads.remember(data[:end], exchange.head)
            self._start(exchange)

    def _take_whole(self, head: Head, body: bytes) -> None:
        exchange = self._current = Exchange(self, head, keep_alive=True, expects_continue=False)
        exchange.body = body
        exchange.complete = True
        self.due = NEVER
        self._start(exchange)

    def _is_all(self, exchange: Exchange, body: bytes) -> bool:
        """Whether the parser has found one request in what was read, and `body` behind a plain head."""
        head = exchange.head
        return (
            exchange.complete
            and exchange.keep_alive
            and not (head.chunked or head.expects_continue or self._in_head or self._queue)
            and 0 < head.length == len(body)
            and exchange.body == body
        )

    def _check_sizes(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._reading is None:
            if self._head_bytes > self._bounds.head_bytes:
                self._refuse(self._head_too_large())
        else:
            self._raw_body_size += len(data)
            if self._raw_body_size > _CHUNK_OVERHEAD * self._bounds.body_bytes + self._bounds.head_bytes:
                self._refuse_body(_closing(TooLargeError("the chunks of the body take up more than the body")))

    def eof_received(self) -> bool:
        if self._lingering or (self._current is None and not self._queue):
            return False
        if self._reading is not None:
            self._reading.gone = True
            self._reading.wake()
            if self._reading is self._current:
                return False
        # It may have closed its sending half only; TLS knows no such thing.
        self._last_request()
        return self._transport.can_write_eof()

    def pause_writing(self) -> None:
        self._resumed = self._loop.create_future()
        self.due = self._loop.time() + self._bounds.write_s

    def resume_writing(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            if not resumed.done():
                resumed.set_result(None)
            if self._lingering or self._transport.is_closing():
                return
            if self._current is None:
                self._advance()
            else:
                self._expect()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._body_after_upgrade:
                self._parser = httptools.HttpRequestParser(_BodyOnly(self))
                self._feed(self._body_after_upgrade + data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._parser_failed(error)

    # What the parser calls

    def on_message_begin(self) -> None:
        self._in_head = True
        self._url = b""
        self._headers = []
        self._head_size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self._bounds.url_bytes:
            raise self._refused(UriTooLongError(f"the URL is longer than {self._bounds.url_bytes} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: nothing here wants one, and a late header would be a smuggled one
        self._headers.append((name.lower(), value))
        self._head_size += len(name) + len(value) + _HEADER_FRAMING

    def on_headers_complete(self) -> None:
        bounds = self._bounds
        headers = self._headers
        if self._head_size + len(self._url) > bounds.head_bytes or len(headers) > bounds.headers:
            raise self._refused(self._head_too_large())
        try:
            head = Head(
                self._parser.get_method().decode("ascii"),
                self._parser.get_http_version(),
                self._url,
                headers,
                keep_alive=self._parser.should_keep_alive(),
            )
        except RequestError as error:
            raise self._refused(error) from None
        length, chunked = head.length, head.chunked
        exchange = Exchange(self, head, keep_alive=head.keep_alive, expects_continue=head.expects_continue)
        if self._parser.should_upgrade():
            # Other protocols are not spoken: the request is answered as if it had not asked (RFC 9110 section 7.8).
            # The parser would take its body for the other protocol, so another one goes on with that.
            exchange.keep_alive = False
            framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % length if length else b""
            self._body_after_upgrade = b"POST / HTTP/1.1\r\n%s\r\n\r\n" % framing if framing else b""
        self._in_head = False
        self._head_bytes = self._raw_body_size = 0
        self._reading = exchange
        if length > bounds.body_bytes:
            exchange.refusal = self._body_too_large()
        if self._current is None and self._resumed is None:
            self._begin(exchange)
            self._unbegun = exchange
        else:
            self._queue.append(exchange)
            self._pause()

    def on_body(self, body: bytes) -> None:
        exchange = self._reading
        if exchange is None or exchange.refusal is not None:
            return
        size = len(body)
        if exchange.size + size > self._bounds.body_bytes:
            self._refuse_body(self._body_too_large())
        elif self._waiting.bytes + size > self._bounds.waiting_bytes:
            self._refuse_body(OverloadedError("too many unfinished requests"))
        else:
            exchange.size += size
            self._waiting.bytes += size
            exchange.add(body)

    def on_message_complete(self) -> None:
        exchange = self._reading
        if exchange is None:
            return
        if self._body_after_upgrade:
            if self._parser.should_upgrade():
                return
            self._body_after_upgrade = b""
        self._reading = None
        self._head_bytes = 0
        exchange.complete = exchange.refusal is None
        if not exchange.keep_alive:
            self._deaf = True
        if exchange is self._current:
            self.due = NEVER
            self._release(exchange)
            exchange.wake()

    # What an exchange calls

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        if self._resumed is not None:
            await self._resumed

    def answered(self, exchange: Exchange) -> None:
        if exchange is not self._current or self._transport.is_closing():
            return
        self._current = None
        if self._reading is exchange or exchange.refusal is not None:
            self._linger()
        elif not exchange.keep_alive:
            self._close()
        else:
            self._advance()

    # What the server and the deadlines call

    def shutdown(self) -> None:
        """Nothing new is taken; what is in progress is answered."""
        if self._current is None or self._lingering:
            self._transport.close()
        else:
            for exchange in (self._current, *self._queue):
                exchange.keep_alive = False

    def overdue(self) -> None:
        reading = self._reading
        if self._resumed is not None or self._lingering or self._transport.is_closing() or reading is None:
            # Silent, stuck in a head, or not reading its answer: there is nothing that it would hear.
            self.due = NEVER
            self._deaf = True
            self._transport.abort()
        else:
            self.due = NEVER
            self._refuse_body(BodyTimeoutError(f"the body was not complete after {self._bounds.body_s:g} seconds"))

    # The rest

    def _advance(self) -> None:
        """On to what is next, once the last answer is out."""
        if self._resumed is not None:
            self._pause()
        elif self._queue:
            exchange = self._queue.popleft()
            self._begin(exchange)
            self._begin_task(exchange)  # not more: many that are answered at once would call each other
        elif self._refusal is not None:
            self._refuse(self._refusal)
        else:
            self._expect()
            self._unpause()

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._expect()
        if exchange.complete:
            self._release(exchange)
        if not self._queue:
            self._unpause()

    def _start(self, exchange: Exchange) -> None:
        if self._take is None or not exchange.complete or not self._take(exchange):
            self._begin_task(exchange)

    def _begin_task(self, exchange: Exchange) -> None:
        tasks: set[Any] = self._state.tasks
        task = self._loop.create_task(self._run(exchange))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._app(exchange.scope(), exchange.receive, exchange.send)
        except Exception:
            log.exception("connection.failed")
        if not exchange.answered and not exchange.gone:
            if exchange.started:
                self._transport.abort()  # half an answer must not look like a whole one
            else:
                status, headers, body = problems.render_internal()
                await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
                await exchange.send({"type": "http.response.body", "body": body})

    def _expect(self) -> None:
        """Set the deadline of what is awaited now."""
        bounds = self._bounds
        if self._resumed is not None:
            return  # that one comes first
        if self._reading is not None and self._reading is self._current:
            self.due = self._loop.time() + bounds.body_s
        elif self._current is not None:
            self.due = NEVER  # the application has deadlines of its own
        else:
            self.due = self._loop.time() + (bounds.head_s if self._in_head else bounds.idle_s)

    def _refused(self, error: RequestError) -> _Refused:
        self._refusal = error
        return _Refused()

    def _parser_failed(self, error: httptools.HttpParserError) -> None:
        if self._deaf:
            return  # what follows a last request
        cause = error.__context__
        if cause is not None and not isinstance(cause, _Refused):
            log.error("connection.parsing_failed", error=repr(cause))
        refusal = self._refusal or MalformedError(f"this is not HTTP/1.1: {error}")
        if self._reading is not None:
            self._deaf = True
            self._refuse_body(refusal)
        else:
            self._refuse(refusal)

    def _refuse_body(self, error: RequestError) -> None:
        """The request that is being read gets `error`, through the application, and nothing more of it is kept."""
        exchange = self._reading
        if exchange is None or exchange.refusal is not None:
            return
        self._release(exchange)
        exchange.refusal = error
        exchange.body = b""
        exchange.wake()

    def _refuse(self, error: RequestError) -> None:
        """`error` is the last answer of this connection, after those that are due before it."""
        self._deaf = True
        self._refusal = error
        if self._current is None and not self._transport.is_closing():
            self._write_refusal(error)
            self._linger()

    def _write_refusal(self, error: RequestError) -> None:
        metrics.counter("sluice_collector_refused_total").labels(error.code).inc()
        status, headers, body = problems.render(error)
        lines = [b"HTTP/1.1 %d %s" % (status, error.title.encode("ascii")), *(b"%s: %s" % header for header in headers)]
        self._transport.write(b"\r\n".join((*lines, b"", body)))

    def _last_request(self) -> None:
        self._deaf = True
        for exchange in (self._current, *self._queue):
            if exchange is not None:
                exchange.keep_alive = False

    def _linger(self) -> None:
        self._deaf = self._lingering = True
        self.due = self._loop.time() + self._bounds.linger_s
        self._unpause()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _close(self) -> None:
        self.due = self._loop.time() + self._bounds.write_s
        self._transport.close()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _unpause(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _release(self, exchange: Exchange) -> None:
        """Its body is the application's now, or nobody's."""
        self._waiting.bytes -= exchange.size
        exchange.size = 0

    def _head_too_large(self) -> HeadTooLargeError:
        most = self._bounds
        return HeadTooLargeError(
            f"request line and headers may have {most.head_bytes} bytes and {most.headers} headers"
        )

    def _body_too_large(self) -> TooLargeError:
        return _closing(TooLargeError(f"the body is larger than {self._bounds.body_bytes} bytes"))


class _BodyOnly:
    """What a parser calls that reads a body behind a head of ours."""

    def __init__(self, connection: Connection) -> None:
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete


def _closing(error: TooLargeError) -> TooLargeError:
    error.close = True
    return error


def _address(name: object) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
