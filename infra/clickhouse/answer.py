"""Writes one answer: ClickHouse's headers, a bounded hold so that early errors get their own status, compression, and
the exception block for an error that comes when part of the result is already out.

`end` and `fail` complete the answer; the session must be released before either, because a client's next request may
arrive before the last byte's call returns. What the answer says is decided by `execute`.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.clickhouse import codings, native_frames
from infra.clickhouse.engine import Counts
from infra.clickhouse.errors import SOCKET_TIMEOUT, ClickHouseError
from infra.clickhouse.exchange import Exchange
from infra.clickhouse.formats import content_type
from infra.clickhouse.held import Held
from infra.clickhouse.libraries import Encoder
from infra.clickhouse.request import Request

# Held back before the status line goes out, whichever comes first. Larger: more errors get a status of their own;
# smaller: the first byte is sooner.
_HOLD_BYTES: Final = 256 << 10
_HOLD_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Server:
    """What every answer of this front says about it, and where long ones wait."""

    version: str
    timezone: str
    display_name: str
    folder: Path
    max_held_bytes: int


class Answer:
    def __init__(self, exchange: Exchange, server: Server) -> None:
        self._exchange = exchange
        self._server = server
        self._began = time.perf_counter()
        self._tag = uuid.uuid4().hex[:16]
        self._headers: dict[str, str] = {
            "X-ClickHouse-Timezone": server.timezone,
            "X-ClickHouse-Server-Display-Name": server.display_name,
            "X-ClickHouse-Exception-Tag": self._tag,
        }
        self._held = Held(server.folder)
        self._result_bytes = 0
        self._hold_all = False
        self._frames = False
        self._coding: str | None = None
        self._encoder: Encoder | None = None
        self._counts = Counts()
        self._hides_reads = False

    def describe(self, request: Request, *, form: str | None = None) -> None:
        """Take over what the request says about its answer; `form` is the format of the result, if there is one."""
        self._headers["X-ClickHouse-Query-Id"] = request.query_id
        self._hold_all = request.flag("wait_end_of_query")
        self._frames = request.flag("compress")
        self._coding = request.answer_coding
        if form is not None:
            self._headers["X-ClickHouse-Format"] = form
            self._headers["Content-Type"] = content_type(form)

    def count(self, counts: Counts) -> None:
        self._counts = counts

    def hide_reads(self) -> None:
        """Rows read are counted before they are filtered: a reader is told only of rows it got."""
        self._hides_reads = True

    def write(self, data: bytes) -> None:
        self._result_bytes += len(data)
        if self._exchange.started:
            self._send(data)
            return
        self._held.write(data)
        if self._hold_all:
            if len(self._held) > self._server.max_held_bytes:
                message = f"Limit for result exceeded, more than {self._server.max_held_bytes} bytes to buffer"
                raise ClickHouseError(396, "TOO_MANY_ROWS_OR_BYTES", message)
        elif len(self._held) > _HOLD_BYTES or time.perf_counter() - self._began > _HOLD_SECONDS:
            self._send_held()

    def end(self) -> None:
        if not self._exchange.started and len(self._held) <= _HOLD_BYTES:
            packed = self._pack(b"".join(self._held.take())) + self._pack_end()
            self._start(200, length=len(packed))
            self._exchange.write(packed, more=False)
            return
        if not self._exchange.started:
            self._send_held()
        self._exchange.write(self._pack_end(), more=False)

    def close(self) -> None:
        """Whatever became of it."""
        self._held.close()

    def fail(self, error: ClickHouseError) -> None:
        """An error with its own status while nothing is out yet, else the exception block at the end of the stream."""
        text = error.render(self._server.version)
        if self._exchange.started:
            self._send(self._exception_block(text))
            self._exchange.write(self._pack_end(), more=False)
            return
        if self._exchange.body_unread and error.code != SOCKET_TIMEOUT:
            self._exchange.discard_body()
        headers = self.error_headers(error, length=len(text), close=self._exchange.body_unread)
        self._exchange.start(error.status, headers)
        self._exchange.write(text, more=False)

    def error_headers(
        self, error: ClickHouseError, *, length: int, close: bool, retry_after: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        headers = {name: value for name, value in self._headers.items() if name != "X-ClickHouse-Format"}
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        headers["Content-Type"] = "text/plain; charset=UTF-8"
        headers["Content-Length"] = str(length)
        if close:
            headers["Connection"] = "close"
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        return encode_headers(headers)

    def _start(self, status: int, *, length: int | None) -> None:
        self._headers["X-ClickHouse-Summary"] = self._summary()
        self._headers.setdefault("Content-Type", "text/plain; charset=UTF-8")
        if self._coding is not None:
            self._encoder = self._encoder or codings.encoder(self._coding)
            self._headers["Content-Encoding"] = self._coding
        if length is not None:
            self._headers["Content-Length"] = str(length)
        self._exchange.start(status, encode_headers(self._headers))

    def _pack(self, data: bytes) -> bytes:
        if self._frames:
            data = native_frames.compress(data)
        if self._coding is not None:
            self._encoder = self._encoder or codings.encoder(self._coding)
            data = self._encoder.compress(data)
        return data

    def _send(self, data: bytes) -> None:
        if packed := self._pack(data):
            self._exchange.write(packed, more=True)

    def _send_held(self) -> None:
        self._start(200, length=None)
        for piece in self._held.take():
            self._send(piece)

    def _pack_end(self) -> bytes:
        return self._encoder.flush() if self._encoder is not None else b""

    def _summary(self) -> str:
        counts = self._counts
        values = {
            "read_rows": 0 if self._hides_reads else counts.read_rows,
            "read_bytes": 0 if self._hides_reads else counts.read_bytes,
            "written_rows": counts.written_rows,
            "written_bytes": counts.written_bytes,
            "total_rows_to_read": 0,
            "result_rows": counts.result_rows or counts.written_rows,
            "result_bytes": self._result_bytes,
            "elapsed_ns": int((time.perf_counter() - self._began) * 1e9),
        }
        return json.dumps({name: str(value) for name, value in values.items()}, separators=(",", ":"))

    def _exception_block(self, text: bytes) -> bytes:
        """Found by its tag from the end: the length lets a client read it backwards."""
        tag = self._tag.encode()
        mark = b"__exception__\r\n"
        return b"\r\n" + mark + tag + b"\r\n" + text + str(len(text)).encode() + b" " + tag + b"\r\n" + mark


def encode_headers(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), _one_line(value)) for name, value in headers.items()]


def _one_line(value: str) -> bytes:
    # Some values come from the client (query id, format); a line end in one would forge a header.
    return "".join(c if c.isprintable() else "?" for c in value).encode("latin-1", "replace")
