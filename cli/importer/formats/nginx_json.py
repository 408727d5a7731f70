"""nginx logs written as JSON lines (`log_format … escape=json`), with nginx's variables as keys.

| field | keys, the first that is there |
|---|---|
| address | remote_addr |
| time (one is needed) | time_iso8601, msec (seconds since 1970), time_local |
| request | request, or request_method, request_uri or uri, and server_protocol |
| status (needed) | status |
| size | body_bytes_sent, bytes_sent |
| referrer, user agent | http_referer, http_user_agent |
| site | host or server_name, with scheme |

Values may be strings or numbers: nginx writes whatever the format's quotes make of them. Other keys are ignored.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from cli.importer.formats.combined import parse_time
from cli.importer.formats.line import LogLine, MalformedLineError, site_of

_Value = str | int | float | None


class _Line(msgspec.Struct, gc=False):
    status: str | int
    remote_addr: str = ""
    remote_user: str = ""
    time_iso8601: str = ""
    msec: _Value = None
    time_local: str = ""
    request: str = ""
    request_method: str = ""
    request_uri: str = ""
    uri: str = ""
    server_protocol: str = ""
    body_bytes_sent: str | int = 0
    bytes_sent: str | int = 0
    http_referer: str = ""
    http_user_agent: str = ""
    host: str = ""
    server_name: str = ""
    scheme: str = ""


_DECODER = msgspec.json.Decoder(_Line)


def parse_line(line: bytes) -> LogLine:
    """
    Raises:
        MalformedLineError: with the reason.
    """
    fields = _decode(line)
    method, target, protocol = (
        _split(fields.request)
        if fields.request
        else (fields.request_method, fields.request_uri or fields.uri, fields.server_protocol)
    )
    return LogLine(
        fields.remote_addr,
        "",
        _known(fields.remote_user),
        _time(fields),
        method,
        target,
        protocol,
        _number(fields.status),
        _number(fields.body_bytes_sent or fields.bytes_sent),
        _known(fields.http_referer),
        _known(fields.http_user_agent),
        site_of(fields.host or fields.server_name, scheme=fields.scheme),
    )


def _decode(line: bytes) -> _Line:
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedLineError("format" if line else "empty") from None


def _split(request: str) -> tuple[str, str, str]:
    method, _, rest = request.partition(" ")
    target, space, protocol = rest.rpartition(" ")
    if not space or not protocol.startswith("HTTP/"):
        target, protocol = rest, ""
    return (method, target, protocol) if target else ("", "", "")


def _time(fields: _Line) -> datetime:
    try:
        if fields.time_iso8601:
            at = datetime.fromisoformat(fields.time_iso8601)
            if at.tzinfo is None:
                raise MalformedLineError("time")
            return at.astimezone(UTC)
        if fields.msec is not None:
            return datetime.fromtimestamp(float(fields.msec), UTC)
        if fields.time_local:
            return parse_time(fields.time_local.encode())
    except (ValueError, OverflowError, OSError, IndexError):
        raise MalformedLineError("time") from None
    raise MalformedLineError("format")


def _known(value: str) -> str:
    return "" if value == "-" else value


def _number(value: str | int) -> int:
    if value in {"", "-"}:
        return 0
    try:
        return int(value)
    except ValueError:
        raise MalformedLineError("format") from None
