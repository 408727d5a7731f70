"""Bounded decoding of Content-Encoding. Never holds much more than the limit and one window of the codec.

One encoding at a time: a bomb may be nested, an honest client never needs it.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable

import brotli

from collector.problems import EncodingError, RequestError, TooLargeError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# 8 MiB, all that RFC 9659 asks for: a frame may name a window of 2 GiB, which would be allocated.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
# Each member costs a copy of what follows it, so unbounded members are quadratic. Log shippers concatenate a few.
MAX_MEMBERS = 32


def inflate(body: bytes, *, encoding: str, limit: int) -> bytes:
    """`body` without its encoding, at most `limit` bytes.

    gzip and zstd may have several members (RFC 1952 section 2.2, RFC 8878 section 3); anything else behind the end is
    an error. `deflate` is zlib's format (RFC 9110 section 8.4.1.2), and the raw stream that some clients send instead.

    Raises:
        EncodingError: unknown or nested encoding.
        TooLargeError: more than `limit` bytes come out.
        RequestError: `invalid_encoding`, the compressed data is corrupt or cut off.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding in {"gzip", "x-gzip"}:
        return _members(body, _gzip, _GZIP_MAGIC, limit)
    if encoding == "deflate":
        out, rest = _zlib(body, zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS, limit)
        if rest:
            raise _trailing()
        return out
    if encoding == "br":
        return _brotli(body, limit)
    if encoding == "zstd":
        return _members(body, _zstd, _ZSTD_MAGIC, limit)
    raise EncodingError(f"Content-Encoding {encoding[:64]!r} is not understood; send gzip, deflate, br, zstd or none")


def _members(body: bytes, read: Callable[[bytes, int], tuple[bytes, bytes]], magic: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    for _ in range(MAX_MEMBERS):
        out, body = read(body, room)
        parts.append(out)
        room -= len(out)
        if not body:
            return b"".join(parts)
        if not body.startswith(magic):
            raise _trailing()
    raise _corrupt(f"more than {MAX_MEMBERS} compressed members")


def _gzip(data: bytes, limit: int) -> tuple[bytes, bytes]:
    return _zlib(data, _GZIP, limit)


def _zlib(data: bytes, wbits: int, limit: int) -> tuple[bytes, bytes]:
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
    _check(len(out), limit, ended=stream.eof)
    return out, stream.unused_data


def _zstd(data: bytes, limit: int) -> tuple[bytes, bytes]:
    stream = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
    out = b""
    try:
        while not stream.eof and len(out) <= limit:
            piece = stream.decompress(data, limit + 1 - len(out))
            data = b""
            out = out + piece if out else piece
            if stream.needs_input or not piece:
                break
    except zstd.ZstdError as error:
        raise _corrupt(str(error)) from None
    _check(len(out), limit, ended=stream.eof)
    return out, stream.unused_data if stream.eof else b""


def _brotli(data: bytes, limit: int) -> bytes:
    stream = brotli.Decompressor()
    out = b""
    try:
        while not stream.is_finished() and len(out) <= limit:
            piece = stream.process(data, output_buffer_limit=limit + 1 - len(out))
            data = b""
            out = out + piece if out else piece
            if stream.can_accept_more_data():
                break
    except brotli.error as error:
        raise _corrupt(str(error)) from None
    _check(len(out), limit, ended=stream.is_finished())
    return out


def _check(size: int, limit: int, *, ended: bool) -> None:
    if size > limit:
        raise TooLargeError("the body is larger than allowed after decompression")
    if not ended:
        raise _corrupt("the compressed data is cut off")


def _has_zlib_header(body: bytes) -> bool:
    """RFC 1950 section 2.2: method 8 and a check value."""
    return len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0


def _trailing() -> RequestError:
    return _corrupt("bytes follow the end of the compressed data")


def _corrupt(why: str) -> RequestError:
    return RequestError(f"the body cannot be decompressed: {why}", code="invalid_encoding")
