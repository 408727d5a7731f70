"""Bounded decoding of Content-Encoding. Never holds more than the limit plus one zlib window.

One encoding at a time: a bomb may be nested, an honest client never needs it.
"""

from __future__ import annotations

import zlib

from collector.problems import EncodingError, RequestError, TooLargeError

_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
# Each member costs a copy of what follows it, so unbounded members are quadratic. Log shippers concatenate a few.
MAX_GZIP_MEMBERS = 32


def inflate(body: bytes, *, encoding: str, limit: int) -> bytes:
    """`body` without its encoding, at most `limit` bytes.

    gzip may have several members (RFC 1952 section 2.2); anything else behind the end is an error. `deflate` is zlib's
    format (RFC 9110 section 8.4.1.2), and the raw stream that some clients send instead.

    Raises:
        EncodingError: unknown or nested encoding.
        TooLargeError: more than `limit` bytes come out.
        RequestError: `invalid_encoding`, the compressed data is corrupt or cut off.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding in {"gzip", "x-gzip"}:
        return _gzip(body, limit)
    if encoding == "deflate":
        out, rest = _member(body, zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS, limit)
        if rest:
            raise _corrupt("bytes follow the end of the compressed data")
        return out
    raise EncodingError(f"Content-Encoding {encoding[:64]!r} is not understood; send gzip, deflate or none")


def _gzip(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    for _ in range(MAX_GZIP_MEMBERS):
        out, body = _member(body, _GZIP, room)
        parts.append(out)
        room -= len(out)
        if not body:
            return b"".join(parts)
        if not body.startswith(_GZIP_MAGIC):
            raise _corrupt("bytes follow the end of the compressed data")
    raise _corrupt(f"more than {MAX_GZIP_MEMBERS} gzip members")


def _member(data: bytes, wbits: int, limit: int) -> tuple[bytes, bytes]:
    """One compressed stream and what follows it."""
    stream = zlib.decompressobj(wbits)
    out = b""
    try:
        # One byte of room more than allowed tells "exactly at the limit" from "above it". zlib may hand out less than
        # it could, hence the loop.
        while not stream.eof and len(out) <= limit:
            piece = stream.decompress(data, limit + 1 - len(out))
            data = stream.unconsumed_tail
            out = out + piece if out else piece
            if not piece and not data:
                break
    except zlib.error as error:
        raise _corrupt(str(error)) from None
    if len(out) > limit:
        raise TooLargeError("the body is larger than allowed after decompression")
    if not stream.eof:
        raise _corrupt("the compressed data is cut off")
    return out, stream.unused_data


def _has_zlib_header(body: bytes) -> bool:
    """RFC 1950 section 2.2: method 8 and a check value."""
    return len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0


def _corrupt(why: str) -> RequestError:
    return RequestError(f"the body cannot be decompressed: {why}", code="invalid_encoding")
