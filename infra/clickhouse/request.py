"""Reads a request's URL and headers into one frozen value: what is a setting, what a parameter, what is for the front.

It looks at no body and asks no engine; a setting's name is checked for its shape only, because it is put into SQL
unquoted. What the engine does not know, the engine refuses.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl

from infra.clickhouse import codings
from infra.clickhouse.errors import ClickHouseError

# Parameters that are for the HTTP interface, so never settings.
_OWN: Final = frozenset({
    "add_http_cors_header", "buffer_size", "cancel_http_readonly_queries_on_client_close",
    "client_protocol_version", "close_session", "compress", "database", "decompress", "default_format",
    "enable_http_compression", "http_headers_progress_interval_ms", "http_write_exception_in_output_format",
    "http_zlib_compression_level", "network_compression_method", "password", "query", "query_id", "quota_key",
    "role", "send_progress_in_http_headers", "session_check", "session_id", "session_timeout", "stacktrace",
    "user", "wait_end_of_query",
})  # fmt: skip
_PARAM_PREFIX: Final = "param_"
_EXTERNAL_SUFFIXES: Final = ("_structure", "_types", "_format")
_SETTING_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MAX_SESSION_SECONDS: Final = 3600.0
_MIN_PROGRESS_SECONDS: Final = 0.05  # each report is a query of its own on the engine


@dataclass(frozen=True, slots=True)
class SessionRequest:
    id: str
    seconds: float
    must_exist: bool
    close: bool


@dataclass(frozen=True, slots=True)
class Credentials:
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """`values` holds every parameter as sent; `external` parameters are sorted out once the body's parts are known."""

    method: str
    path: str
    values: Mapping[str, str]
    headers: Mapping[str, str]
    query_id: str

    @property
    def query(self) -> bytes:
        return self.values.get("query", "").encode("utf-8", "surrogateescape")

    @property
    def database(self) -> str:
        return self.values.get("database") or self.headers.get("x-clickhouse-database", "")

    @property
    def default_format(self) -> str:
        return self.values.get("default_format") or self.headers.get("x-clickhouse-format", "")

    @property
    def parameters(self) -> dict[str, str]:
        """Query parameters, without their prefix."""
        return {
            name.removeprefix(_PARAM_PREFIX): value
            for name, value in self.values.items()
            if name.startswith(_PARAM_PREFIX)
        }

    def settings(self, *, external: Iterable[str] = ()) -> dict[str, str]:
        apart = {name + suffix for name in external for suffix in _EXTERNAL_SUFFIXES} | _OWN
        return {
            _checked(name): value
            for name, value in self.values.items()
            if name not in apart and not name.startswith(_PARAM_PREFIX)
        }

    def flag(self, name: str) -> bool:
        return self.values.get(name, "") in ("1", "true")

    @property
    def session(self) -> SessionRequest | None:
        identity = self.values.get("session_id")
        if not identity:
            return None
        return SessionRequest(
            identity, _session_seconds(self.values), self.flag("session_check"), self.flag("close_session")
        )

    @property
    def progress_seconds(self) -> float | None:
        """Pause between progress headers; None for a client that wants none."""
        if not self.flag("send_progress_in_http_headers"):
            return None
        text = self.values.get("http_headers_progress_interval_ms", "100")
        if not text.isdigit():
            raise ClickHouseError(27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", f"Not a number of milliseconds: '{text}'")
        return max(_MIN_PROGRESS_SECONDS, int(text) / 1000)

    @property
    def content_codings(self) -> tuple[str, ...]:
        return codings.named_codings(self.headers.get("content-encoding", ""))

    @property
    def answer_coding(self) -> str | None:
        if not self.flag("enable_http_compression"):
            return None
        return codings.negotiate(self.headers.get("accept-encoding", ""))

    @property
    def declared_length(self) -> int | None:
        text = self.headers.get("content-length", "")
        return int(text) if text.isdigit() else None

    def with_values(self, more: Mapping[str, str]) -> Request:
        """Fields of a form add to the URL's parameters; the URL wins."""
        return replace(self, values={**more, **self.values})


def read(method: str, path: str, query_string: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Request:
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    values = dict(pairs)
    plain = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
    return Request(method, path, values, plain, values.get("query_id") or str(uuid.uuid4()))


def is_own(name: str) -> bool:
    return name in _OWN or name.startswith(_PARAM_PREFIX)


def credentials(request: Request) -> Credentials:
    """From headers, basic authentication or parameters, in a real server's order; one way at a time."""
    headers = request.headers
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return Credentials(headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", ""))
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(encoded, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ClickHouseError(516, "AUTHENTICATION_FAILED", "Invalid authentication header") from error
        user, _, password = text.partition(":")
        return Credentials(user or "default", password)
    return Credentials(request.values.get("user") or "default", request.values.get("password", ""))


def _checked(name: str) -> str:
    if not _SETTING_NAME.match(name):
        raise ClickHouseError(115, "UNKNOWN_SETTING", f"Setting {name} is neither a builtin setting nor started with "
                              "a prefix for user-defined settings")  # fmt: skip
    return name


def _session_seconds(values: Mapping[str, str]) -> float:
    text = values.get("session_timeout", "60")
    if not text.isdigit():
        raise ClickHouseError(374, "INVALID_SESSION_TIMEOUT", f"Invalid session timeout: '{text}'", status=400)
    if float(text) > _MAX_SESSION_SECONDS:
        message = f"Session timeout '{text}' is larger than max_session_timeout: {_MAX_SESSION_SECONDS:.0f}"
        raise ClickHouseError(374, "INVALID_SESSION_TIMEOUT", message, status=400)
    return float(text)
