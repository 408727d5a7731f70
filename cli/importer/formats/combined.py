r"""One line of an access log in the common or combined format, as Apache httpd and nginx write it.

    host ident user [17/May/2015:10:05:03 +0000] "GET /path HTTP/1.1" 200 1234 "referrer" "user agent"

The common format ends after the size. Both servers escape what would break a quoted field: Apache writes `\"`, `\\`,
`\n` and `\xHH`, nginx writes `\xHH` for all of them. Fields after the user agent (times, forwarded addresses) are
ignored. What a line means as an event is decided in `mapping`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from cli.importer.formats.line import LogLine, MalformedLineError

# Possessive quantifiers keep matching linear in the length of the line, whatever a client put into its headers.
_QUOTED = rb'"((?:[^"\\]++|\\.)*+)"'
_LINE = re.compile(
    rb"(\S++) (\S++) (\"\"|[^\"]+?) "
    rb"\[(\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    + _QUOTED
    + rb" (\d{3}) (\d{1,18}|-)"
    + rb"(?:(?: "
    + _QUOTED
    + rb" "
    + _QUOTED
    + rb")(?: .*)?| *)",
    re.DOTALL,
)
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++) (.*?)(?: (HTTP/[0-9.]+))?", re.DOTALL)
_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|([\\"bfnrtv]))')
_CONTROL = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"),
        start=1,
    )
}


def parse_line(line: bytes) -> LogLine:
    """Parse `line`, given without its line end. Bytes that are no UTF-8 become U+FFFD.

    Raises:
        MalformedLineError: with the reason.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise MalformedLineError("format" if line else "empty")
    host, ident, user, time, request, status, size, referrer, user_agent = match.groups()
    if user.startswith(b"- "):
        # A virtual host before the address would otherwise pass as the visitor's address.
        raise MalformedLineError("extra_field")
    return LogLine(
        host.decode("utf-8", "replace"),
        _text(ident),
        _text(user),
        parse_time(time),
        *_split_request(request),
        int(status),
        0 if size == b"-" else int(size),
        _text(referrer),
        _text(user_agent),
    )


def _text(field: bytes | None) -> str:
    if field is None or field == b"-":
        return ""
    if b"\\" in field:
        field = _ESCAPE.sub(_unescape, field)
    return field.decode("utf-8", "replace")


def _unescape(match: re.Match[bytes]) -> bytes:
    hexadecimal, character = match.groups()
    return bytes.fromhex(hexadecimal.decode()) if hexadecimal else _CONTROL.get(character, character)


def _split_request(request: bytes) -> tuple[str, str, str]:
    match = _REQUEST.fullmatch(request)
    if match is None:
        return "", "", ""
    method, target, protocol = match.groups()
    return method.decode(), _text(target), (protocol or b"").decode()


@lru_cache(maxsize=256)  # neighbouring lines share their second
def parse_time(text: bytes) -> datetime:
    sign = -1 if text[21:22] == b"-" else 1
    try:
        offset = timezone(sign * timedelta(hours=int(text[22:24]), minutes=int(text[24:26])))
        return datetime(
            int(text[7:11]),
            _MONTHS[text[3:6]],
            int(text[0:2]),
            int(text[12:14]),
            int(text[15:17]),
            int(text[18:20]),
            tzinfo=offset,
        ).astimezone(UTC)
    except (ValueError, KeyError, OverflowError):
        raise MalformedLineError("time") from None
