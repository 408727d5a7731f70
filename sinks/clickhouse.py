"""ClickHouse over HTTP: one request at a time, and what its failure proves.

A client library that retries by itself would hide whether an insert was sent twice; here every insert and statement is
sent once and an error says whether the server refused it (`RefusedError`: nothing was stored) or might have done it
(`UncertainError`). A query whose connection breaks is asked once more: a kept connection may end as it is used again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3

from core.errors import ConfigError, RefusedError, UnavailableError
from core.settings import Settings

_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 120.0
_CODE = re.compile(r"Code: (\d+)")
# Names and numbers of errors: ClickHouse's src/Common/ErrorCodes.cpp.
# Of the server's state, not of the request: sending it again later may work.
_RETRYABLE = frozenset(
    {
        74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR: a full disk, too
        76,  # CANNOT_OPEN_FILE
        77,  # CANNOT_CLOSE_FILE
        159,  # TIMEOUT_EXCEEDED
        164,  # READONLY
        173,  # CANNOT_ALLOCATE_MEMORY
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT
        373,  # SESSION_IS_LOCKED
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        473,  # DEADLOCK_AVOIDED
        733,  # TABLE_IS_BEING_RESTARTED
        745,  # SERVER_OVERLOADED
        774,  # TABLE_IS_PERMANENTLY_READ_ONLY: until somebody turns `table_readonly` off
        999,  # KEEPER_EXCEPTION
    }
)
# Of what is in the rows. Only these say that a row will never be taken.
_OF_ROWS = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        26,  # CANNOT_PARSE_QUOTED_STRING
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        33,  # CANNOT_READ_ALL_DATA
        38,  # CANNOT_PARSE_DATE
        41,  # CANNOT_PARSE_DATETIME
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        72,  # CANNOT_PARSE_NUMBER
        117,  # INCORRECT_DATA
        128,  # TOO_LARGE_ARRAY_SIZE
        131,  # TOO_LARGE_STRING_SIZE
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        407,  # DECIMAL_OVERFLOW
        469,  # VIOLATED_CONSTRAINT
    }
)
# Of the tables: they are not as the migrations made them.
_OF_TABLES = frozenset(
    {
        8,  # THERE_IS_NO_COLUMN
        10,  # NOT_FOUND_COLUMN_IN_BLOCK
        16,  # NO_SUCH_COLUMN_IN_TABLE
        47,  # UNKNOWN_IDENTIFIER
        60,  # UNKNOWN_TABLE
        81,  # UNKNOWN_DATABASE
    }
)
_STD_EXCEPTION = 1001  # of a library inside the engine: of its Avro reader about the rows, else about the disk
_OF_ACCESS = frozenset({192, 193, 194, 497, 516})  # UNKNOWN_USER, WRONG_PASSWORD, …, ACCESS_DENIED

# A bound value is written as in ClickHouse's format TabSeparated: https://clickhouse.com/docs/interfaces/formats
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"})
_ESCAPES_IN_QUOTES = _ESCAPES | {ord("'"): "\\'"}

Parameter = str | int | Sequence["Parameter"]


class UncertainError(UnavailableError):
    """No answer, or one that does not say whether the request was carried out."""

    code = "uncertain"


class BrokenOffError(UncertainError):
    """The connection ended before the answer did."""


class ServerError(RefusedError):
    """ClickHouse answered with an error. `number` is its code, `about` what it blames."""

    code = "clickhouse"

    def __init__(self, message: str, *, number: int) -> None:
        super().__init__(message)
        self.number = number
        self.about = _about(number, message)
        self.retryable = self.about == "server"


def _about(number: int, message: str) -> Literal["server", "rows", "tables", "access", "request"]:
    if number == _STD_EXCEPTION:
        return "rows" if "avro::Exception" in message else "server"
    if number in _RETRYABLE:
        return "server"
    if number in _OF_ROWS:
        return "rows"
    if number in _OF_TABLES:
        return "tables"
    return "access" if number in _OF_ACCESS else "request"


class ClickHouse:
    """A connection pool to one server, with `database` as the current database."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: str | None = None,
        read_timeout_s: float = _READ_TIMEOUT_S,
        query_settings: Mapping[str, str] | None = None,
    ) -> None:
        """`query_settings` go with every request.

        Raises:
            ConfigError: no usable URL is configured.
        """
        self._query_settings = dict(query_settings or {})
        url = urlsplit(settings.clickhouse_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ConfigError(
                f"SLUICE_CLICKHOUSE_URL must be http(s)://host:port, not {settings.clickhouse_url!r}",
                hint="Set it, or run inside a stack that `sluice up` started.",
            )
        self.database = settings.clickhouse_database if database is None else database
        self._url = settings.clickhouse_url.rstrip("/") + "/"
        self._headers = {
            "X-ClickHouse-User": settings.clickhouse_user,
            "X-ClickHouse-Key": settings.clickhouse_password,
        }
        tls: dict[str, Any] = {}
        if url.scheme == "https":
            tls = {"cert_reqs": "CERT_REQUIRED" if settings.clickhouse_verify_tls else "CERT_NONE"}
            if settings.clickhouse_ca_file:
                tls["ca_certs"] = settings.clickhouse_ca_file
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=_CONNECT_TIMEOUT_S, read=read_timeout_s), retries=False, maxsize=4, **tls
        )

    def execute(self, sql: str, **parameters: Parameter) -> str:
        """Run a statement; `{name:Type}` in it is bound to `parameters`. Returns the answer's text."""
        return self._send(sql.encode(), _bound(parameters)).decode()

    def rows(self, sql: str, **parameters: Parameter) -> list[list[Any]]:
        """Rows of a query, each a list of JSON values; 64-bit integers stay integers."""
        text = self._ask(
            f"{sql}\nFORMAT JSONCompactEachRow",
            _bound(parameters) | {"output_format_json_quote_64bit_integers": "0"},
        )
        return [msgspec.json.decode(line) for line in text.splitlines()]

    def scalar(self, sql: str, **parameters: Parameter) -> Any:
        return self.rows(sql, **parameters)[0][0]

    def fetch(self, sql: str, *, form: str, **parameters: Parameter) -> bytes:
        """The answer's bytes in a ClickHouse output format."""
        return self._ask(sql, _bound(parameters) | {"default_format": form})

    def insert(self, statement: str, body: bytes, *, settings: dict[str, str]) -> None:
        """Send `INSERT … FORMAT …` with its data, once."""
        self._send(body, settings | {"query": statement})

    def _ask(self, sql: str, fields: dict[str, str]) -> bytes:
        """A statement that only reads."""
        try:
            return self._send(sql.encode(), fields)
        except BrokenOffError:
            return self._send(sql.encode(), fields)

    def _send(self, body: bytes, fields: dict[str, str]) -> bytes:
        query = self._query_settings | ({"database": self.database} if self.database else {}) | fields
        try:
            answer = self._pool.request("POST", f"{self._url}?{urlencode(query)}", body=body, headers=self._headers)
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise UnavailableError(f"ClickHouse does not answer at {self._url}") from error
        except urllib3.exceptions.ProtocolError as error:
            raise BrokenOffError(f"ClickHouse broke off: {error}") from error
        except urllib3.exceptions.HTTPError as error:
            raise UncertainError(f"ClickHouse broke off: {error}") from error
        data: bytes = answer.data
        if answer.status == 200 and "X-ClickHouse-Exception-Code" not in answer.headers:
            return data
        raise _error(
            answer.status, answer.headers.get("X-ClickHouse-Exception-Code", ""), data.decode(errors="replace")
        )


def parameter(value: Parameter) -> str:
    """A bound value as it travels: text and numbers escaped, a sequence as an array literal."""
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    return str(value) if isinstance(value, int) else _literal(value)


def text(value: str) -> str:
    """`value` as a literal, for statements that take no bound values: definitions and mutations."""
    return _literal(value)


def _literal(value: Parameter) -> str:
    if isinstance(value, str):
        return f"'{value.translate(_ESCAPES_IN_QUOTES)}'"
    return str(value) if isinstance(value, int) else f"[{','.join(map(_literal, value))}]"


def _bound(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    return {f"param_{name}": parameter(value) for name, value in parameters.items()}


def _error(status: int, number: str, text: str) -> UnavailableError | ServerError:
    """A code in the text alone is believed at the start of it only: proxies write pages of their own."""
    found = _CODE.match(text)
    message = text.strip()[:2_000] or f"HTTP {status}"
    if not number.isdecimal() and found is None:
        return UncertainError(f"ClickHouse answered HTTP {status}: {message}")
    return ServerError(message, number=int(number) if number.isdecimal() else int(found[1] if found else 0))
