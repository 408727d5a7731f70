"""One ClickHouse over HTTP, its answers as streams: what a terminal needs and the sink's client does not have."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from core.errors import ConfigError, RefusedError, SluiceError, UnavailableError
from core.settings import Settings

_CONNECT_TIMEOUT_S: Final = 5.0
_SMALL_TIMEOUT_S: Final = 10.0  # for what is asked beside a running statement
_PIECE_BYTES: Final = 64 << 10
_TAIL_BYTES: Final = 32 << 10  # an exception block at the end of an answer has at most 16 KiB
_CODE: Final = re.compile(r"Code: (\d+)")
_READ_ONLY: Final = frozenset({164, 497})
_AUTHENTICATION: Final = frozenset({192, 193, 194, 516})
# Characters with a meaning in the values of query parameters, which are read as in the format TabSeparated.
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


@dataclass(frozen=True, slots=True)
class Progress:
    """Of a running statement. `total_rows` is the engine's estimate, 0 if it has none."""

    read_rows: int
    total_rows: int
    seconds: float


class StatementError(RefusedError):
    """ClickHouse refused a statement, or failed in the middle of its answer. `number` is its code, 0 if unknown."""

    code = "clickhouse"

    def __init__(self, message: str, *, number: int) -> None:
        hint = "Set SLUICE_CLICKHOUSE_PASSWORD, or name another --user." if number in _AUTHENTICATION else ""
        super().__init__(message, hint=hint)
        self.number = number


class Answer:
    """The bytes of one answer, as they come. Closing it before its end makes the server stop."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self.summary: dict[str, int] = _summary(response.headers.get("X-ClickHouse-Summary", ""))

    def __iter__(self) -> Iterator[bytes]:
        """Raises StatementError for an error in the middle, UnavailableError if the connection ends."""
        tag = self._response.headers.get("X-ClickHouse-Exception-Tag", "").encode()
        tail = b""
        try:
            for piece in self._response.stream(_PIECE_BYTES):
                tail += piece
                if len(tail) > 2 * _TAIL_BYTES:
                    yield tail[:-_TAIL_BYTES]
                    tail = tail[-_TAIL_BYTES:]
        except HTTPError as error:
            yield tail
            raise UnavailableError(f"ClickHouse broke off its answer: {error}") from error
        rest, message = _without_exception(tail, tag)
        if rest:
            yield rest
        if message:
            raise _error(message)

    def lines(self) -> Iterator[bytes]:
        held = b""
        for piece in self:
            *whole, held = (held + piece).split(b"\n")
            yield from whole
        if held:
            yield held

    def close(self) -> None:
        self._response.close()


@dataclass(frozen=True, slots=True)
class Server:
    """`session` keeps settings, temporary tables and the current database from one statement to the next."""

    settings: Settings
    database: str
    session: str = ""

    def run(
        self,
        statement: bytes,
        *,
        form: str,
        mark: str = "",
        extra: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        body: Iterable[bytes] | None = None,
    ) -> Answer:
        """Send one statement, with the rows of an insert as `body`.

        Raises:
            StatementError: ClickHouse refused it.
            UnavailableError: it does not answer.
        """
        fields = {"default_format": form, **(extra or {})}
        fields |= {f"param_{name}": value.translate(_ESCAPES) for name, value in (parameters or {}).items()}
        if self.database:
            fields["database"] = self.database
        if mark:
            fields["log_comment"] = mark
        if self.session:
            fields |= {"session_id": self.session, "session_timeout": "3600"}
        if body is None:
            return self._send(fields, statement, seconds=None)
        return self._send(fields | {"query": statement.decode("utf-8", "surrogateescape")}, body, seconds=None)

    def rows(self, sql: str, **parameters: str) -> list[list[Any]]:
        """A small result at once, apart from any session."""
        fields = {f"param_{name}": value.translate(_ESCAPES) for name, value in parameters.items()}
        if self.database:
            fields["database"] = self.database
        answer = self._send(fields | {"default_format": "JSONCompactEachRow"}, sql.encode(), seconds=_SMALL_TIMEOUT_S)
        return [msgspec.json.decode(line) for line in answer.lines()]

    def progress(self, mark: str) -> Progress | None:
        """None where it does not run, or the user may not see what runs."""
        sql = (
            "SELECT toFloat64(read_rows), toFloat64(total_rows_approx), elapsed FROM system.processes "
            "WHERE Settings['log_comment'] = {mark:String} LIMIT 1"
        )
        with contextlib.suppress(SluiceError):
            for read, total, seconds in self._apart.rows(sql, mark=mark):
                return Progress(int(read), int(total), seconds)
        return None

    def kill(self, mark: str) -> None:
        """Ask for the statement's end. Who may not, still ends it by leaving the connection."""
        with contextlib.suppress(SluiceError):
            self._apart.rows("KILL QUERY WHERE Settings['log_comment'] = {mark:String} ASYNC", mark=mark)

    @property
    def _apart(self) -> Server:
        """Without a database: the one of a session may be gone."""
        return replace(self, database="", session="")

    def _send(self, fields: Mapping[str, str], body: bytes | Iterable[bytes], *, seconds: float | None) -> Answer:
        url = f"{self.settings.clickhouse_url.rstrip('/')}/?{urlencode(fields, errors='surrogateescape')}"
        headers = {
            "X-ClickHouse-User": self.settings.clickhouse_user,
            "X-ClickHouse-Key": self.settings.clickhouse_password,
        }
        try:
            response = self._pool().request(
                "POST",
                url,
                body=body,
                headers=headers,
                preload_content=False,
                retries=False,
                timeout=urllib3.Timeout(connect=_CONNECT_TIMEOUT_S, read=seconds),
            )
            if response.status == 200 and "X-ClickHouse-Exception-Code" not in response.headers:
                return Answer(response)
            raise _error(response.data)
        except HTTPError as error:
            raise UnavailableError(
                f"ClickHouse at {self.settings.clickhouse_url} does not answer: {error}",
                hint="`sluice status` says what runs.",
            ) from error

    def _pool(self) -> urllib3.PoolManager:
        if not self.settings.clickhouse_url.startswith("https:"):
            return urllib3.PoolManager()
        verify = "CERT_REQUIRED" if self.settings.clickhouse_verify_tls else "CERT_NONE"
        return urllib3.PoolManager(cert_reqs=verify, ca_certs=self.settings.clickhouse_ca_file or None)


def connect(settings: Settings, *, database: str) -> Server:
    """Of settings whose addresses are filled in.

    Raises:
        ConfigError: no address is known.
    """
    if not settings.clickhouse_url.startswith(("http://", "https://")):
        raise ConfigError(
            f"SLUICE_CLICKHOUSE_URL must be http(s)://host:port, not {settings.clickhouse_url!r}",
            hint="Set it, or start a stack with `sluice up`.",
        )
    return Server(settings, database)


def with_session(server: Server) -> Server:
    """`server` with a session whose database is `server`'s, and stays what a later USE makes it.

    Readers of the embedded engine have no sessions: they get `server` as it is.
    """
    kept = replace(server, database="", session=f"sluice-{uuid.uuid4()}")
    name = server.database.replace("\\", "\\\\").replace("`", "\\`")
    try:
        list(kept.run(f"USE `{name}`".encode(), form=""))
    except StatementError as error:
        if error.number in _READ_ONLY:
            return server
        raise
    return kept


def _error(text: bytes) -> StatementError:
    message = text.decode("utf-8", "replace").strip()
    found = _CODE.search(message)
    return StatementError(message, number=int(found[1]) if found else 0)


def _without_exception(tail: bytes, tag: bytes) -> tuple[bytes, bytes]:
    """What comes before the exception block at the end of an answer, and the words in it."""
    end = b" " + tag + b"\r\n__exception__\r\n"
    if not tag or not tail.endswith(end):
        return tail, b""
    begin = tail.rfind(b"\r\n__exception__\r\n" + tag + b"\r\n", 0, len(tail) - len(end))
    if begin < 0:
        return tail, b""
    words = tail[begin + len(tag) + 19 : -len(end)]
    return tail[:begin], words[: words.rfind(b"\n") + 1] or words


def _summary(text: str) -> dict[str, int]:
    try:
        return {name: int(value) for name, value in msgspec.json.decode(text, type=dict[str, str]).items()}
    except (msgspec.DecodeError, ValueError):
        return {}
