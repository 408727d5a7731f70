"""The one place that touches the untyped compression libraries: loaded on first use, typed, wrapped thin."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from typing import Any, Protocol


class Decoder(Protocol):
    """One compressed stream. `max_length` bounds what one call returns; the rest waits inside."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Encoder(Protocol):
    def compress(self, data: bytes) -> bytes: ...
    def flush(self) -> bytes: ...


@cache
def _module(name: str) -> Any:
    return importlib.import_module(name)


def _zstd() -> Any:
    return _module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def zstd_decoder() -> Decoder:
    decoder: Decoder = _zstd().ZstdDecompressor()
    return decoder


def zstd_encoder() -> Encoder:
    encoder: Encoder = _zstd().ZstdCompressor(1)  # level 1: loopback is faster than any higher level
    return encoder


def zstd_decompress(packed: bytes, plain_size: int) -> bytes:
    # One byte more than promised, so that a lying header is seen instead of obeyed.
    plain: bytes = _zstd().ZstdDecompressor().decompress(packed, plain_size + 1)
    return plain


def lz4_decoder() -> Decoder:
    decoder: Decoder = _module("lz4.frame").LZ4FrameDecompressor()
    return decoder


class Lz4Encoder:
    def __init__(self) -> None:
        self._context = _module("lz4.frame").LZ4FrameCompressor()
        self._head: bytes = self._context.begin()

    def compress(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        packed: bytes = self._context.compress(data)
        return head + packed

    def flush(self) -> bytes:
        head, self._head = self._head, b""
        packed: bytes = self._context.flush()
        return head + packed


def lz4_block_compress(plain: bytes) -> bytes:
    packed: bytes = _module("lz4.block").compress(plain, store_size=False)
    return packed


def lz4_block_decompress(packed: bytes, plain_size: int) -> bytes:
    plain: bytes = _module("lz4.block").decompress(packed, uncompressed_size=plain_size)
    return plain


def city_hash_128(data: bytes) -> int:
    """CityHash 1.0.2, the version ClickHouse froze; later versions hash differently."""
    value: int = _module("clickhouse_cityhash.cityhash").CityHash128(data)
    return value
