"""Caddy's access log: one JSON object a request.

| field | key |
|---|---|
| address | request.client_ip, or request.remote_ip (before Caddy 2.7) |
| time | ts: seconds since 1970 (Caddy's default), or a string in RFC 3339 |
| request | request.method, request.uri, request.proto |
| status, size | status, size |
| referrer, user agent | request.headers.Referer, request.headers.User-Agent (the first of each) |
| site | request.host; https if request.tls is there |

Other messages of Caddy in the same file have no `request` and are malformed lines.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from cli.importer.formats.line import LogLine, MalformedLineError, site_of


class _Request(msgspec.Struct, gc=False):
    method: str
    uri: str
    proto: str = ""
    host: str = ""
    client_ip: str = ""
    remote_ip: str = ""
    headers: dict[str, list[str]] = msgspec.field(default_factory=dict)
    tls: dict[str, Any] | None = None


class _Line(msgspec.Struct, gc=False):
    request: _Request
    ts: float | str
    status: int
    size: int = 0
    user_id: str = ""


_DECODER = msgspec.json.Decoder(_Line)


def parse_line(line: bytes) -> LogLine:
    """
    Raises:
        MalformedLineError: with the reason.
    """
    try:
        fields = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedLineError("format" if line else "empty") from None
    request = fields.request
    return LogLine(
        request.client_ip or request.remote_ip,
        "",
        fields.user_id,
        _time(fields.ts),
        request.method,
        request.uri,
        request.proto,
        fields.status,
        fields.size,
        _first(request.headers, "Referer"),
        _first(request.headers, "User-Agent"),
        site_of(request.host, scheme="https" if request.tls is not None else "http"),
    )


def _time(ts: float | str) -> datetime:
    try:
        if isinstance(ts, str):
            at = datetime.fromisoformat(ts)
            if at.tzinfo is None:
                raise MalformedLineError("time")
            return at.astimezone(UTC)
        return datetime.fromtimestamp(ts, UTC)
    except (ValueError, OverflowError, OSError):
        raise MalformedLineError("time") from None


def _first(headers: dict[str, list[str]], name: str) -> str:
    values = headers.get(name)
    return values[0] if values else ""
