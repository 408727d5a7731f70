"""ClickHouse's own compression frames, as used by `compress=1` and `decompress=1`.

A frame is CityHash128 (16 bytes) of the rest, a method byte (0x82 LZ4, 0x90 ZSTD, 0x02 none), the compressed size with
this 9-byte header, the plain size, and the data. Frames are independent, so a body can be read as it arrives.
"""

from __future__ import annotations

import struct
from typing import Final

from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.libraries import city_hash_128, lz4_block_compress, lz4_block_decompress, zstd_decompress

LZ4: Final = 0x82
ZSTD: Final = 0x90
NONE: Final = 0x02

_CHECKSUM_BYTES: Final = 16
_HEADER: Final = struct.Struct("<BII")
_CHECKSUM: Final = struct.Struct("<QQ")
# Larger than any frame a client writes (1 MiB by default); smaller, and one frame could ask for 4 GiB of memory.
MAX_FRAME_BYTES: Final = 64 << 20
PLAIN_BYTES_PER_FRAME: Final = 1 << 20


def compress(plain: bytes) -> bytes:
    """`plain` as one or more LZ4 frames; nothing becomes nothing."""
    return b"".join(
        _frame(plain[at : at + PLAIN_BYTES_PER_FRAME]) for at in range(0, len(plain), PLAIN_BYTES_PER_FRAME)
    )


class FrameReader:
    """Feed pieces of any size, take plain bytes. `finish` complains about a torn last frame."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: bytes) -> bytes:
        self._held += piece
        plain: list[bytes] = []
        while (frame := self._next_frame()) is not None:
            plain.append(_unframe(frame))
        return b"".join(plain)

    def finish(self) -> None:
        if self._held:
            message = f"Cannot read all data: the last compressed frame is torn after {len(self._held)} bytes"
            raise ClickHouseError(33, "CANNOT_READ_ALL_DATA", message)

    def _next_frame(self) -> bytes | None:
        if len(self._held) < _CHECKSUM_BYTES + _HEADER.size:
            return None
        method, size, plain_size = _HEADER.unpack_from(self._held, _CHECKSUM_BYTES)
        if method not in (LZ4, ZSTD, NONE):
            raise ClickHouseError(89, "UNKNOWN_COMPRESSION_METHOD", f"Unknown compression method: {method:#04x}")
        if size < _HEADER.size or max(size, plain_size) > MAX_FRAME_BYTES:
            message = f"Too large size of a compressed frame: {size} bytes, {plain_size} plain"
            raise ClickHouseError(39, "TOO_LARGE_SIZE_COMPRESSED", message)
        end = _CHECKSUM_BYTES + size
        if len(self._held) < end:
            return None
        frame = bytes(self._held[:end])
        del self._held[:end]
        return frame


def _frame(plain: bytes) -> bytes:
    packed = lz4_block_compress(plain)
    body = _HEADER.pack(LZ4, _HEADER.size + len(packed), len(plain)) + packed
    return _checksum(body) + body


def _unframe(frame: bytes) -> bytes:
    body = frame[_CHECKSUM_BYTES:]
    if frame[:_CHECKSUM_BYTES] != _checksum(body):
        raise ClickHouseError(40, "CHECKSUM_DOESNT_MATCH", "Checksum doesn't match: corrupted data")
    method, _, plain_size = _HEADER.unpack_from(body)
    packed = body[_HEADER.size :]
    try:
        plain = _unpack(method, packed, plain_size)
    except Exception as error:
        raise ClickHouseError(271, "CANNOT_DECOMPRESS", f"Cannot decompress a frame: {error}") from error
    if len(plain) != plain_size:
        message = f"Cannot decompress a frame: {len(plain)} bytes instead of {plain_size}"
        raise ClickHouseError(271, "CANNOT_DECOMPRESS", message)
    return plain


def _unpack(method: int, packed: bytes, plain_size: int) -> bytes:
    if method == LZ4:
        return lz4_block_decompress(packed, plain_size)
    if method == ZSTD:
        return zstd_decompress(packed, plain_size)
    return packed


def _checksum(body: bytes) -> bytes:
    value = city_hash_128(body)
    return _CHECKSUM.pack(value >> 64, value & 0xFFFF_FFFF_FFFF_FFFF)
