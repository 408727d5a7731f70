"""HTTP content codings: gzip, deflate, zstd and lz4, in pieces and with a bound on what a body may inflate to.

Members behind each other (`cat a.gz b.gz`) are one body, as with a real server. Which coding an answer takes is decided
by `negotiate`, whether it is compressed at all by the request (`enable_http_compression=1`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.libraries import Decoder, Encoder, Lz4Encoder, lz4_decoder, zstd_decoder, zstd_encoder

_STEP_BYTES: Final = 1 << 20  # plain bytes taken at once, so memory does not follow the ratio of a hostile body


class ZlibDecoder:
    """gzip or zlib, whichever the first bytes say; and raw deflate, which some clients call `deflate`."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(47)
        self._fresh = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        data = self._inner.unconsumed_tail + data
        try:
            plain = self._inner.decompress(data, max(0, max_length))
        except zlib.error:
            if not self._fresh:
                raise
            self._inner = zlib.decompressobj(-15)
            plain = self._inner.decompress(data, max(0, max_length))
        self._fresh = False
        return plain


_DECODERS: Final[Mapping[str, Callable[[], Decoder]]] = {
    "gzip": ZlibDecoder,
    "x-gzip": ZlibDecoder,
    "deflate": ZlibDecoder,
    "zstd": zstd_decoder,
    "lz4": lz4_decoder,
}
_ENCODERS: Final[Mapping[str, Callable[[], Encoder]]] = {
    "zstd": zstd_encoder,
    "lz4": Lz4Encoder,
    "gzip": lambda: zlib.compressobj(1, zlib.DEFLATED, 31),
    "deflate": lambda: zlib.compressobj(1),
}


def named_codings(content_encoding: str) -> tuple[str, ...]:
    """Codings in the order they were applied; `identity` is none. Raises for one that is not spoken here."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    codings = tuple(name for name in names if name not in ("", "identity"))
    for name in codings:
        if name not in _DECODERS:
            raise ClickHouseError(
                89, "UNKNOWN_COMPRESSION_METHOD", f"Unknown compression method {name}. Only these are supported: "
                "gzip, deflate, zstd, lz4", status=400)  # fmt: skip
    return codings


def negotiate(accept_encoding: str) -> str | None:
    """The first of our preferences that the client takes with a weight above zero."""
    taken = set()
    for entry in accept_encoding.lower().split(","):
        name, _, weight = entry.partition(";")
        if weight.replace(" ", "") not in ("q=0", "q=0.0"):
            taken.add(name.strip())
    return next((name for name in _ENCODERS if name in taken), None)


def encoder(name: str) -> Encoder:
    return _ENCODERS[name]()


def decoded(pieces: Iterable[bytes], *, coding: str, max_bytes: int) -> Iterator[bytes]:
    """The plain bytes of a compressed body. Raises when it is torn, not what it says, or inflates past `max_bytes`."""
    make = _DECODERS[coding]
    decoder = make()
    total = 0
    started = False
    for piece in pieces:
        data = piece
        while data or not decoder.needs_input:
            if decoder.eof:
                decoder = make()
            plain = _step(decoder, data, coding)
            started = True
            data = decoder.unused_data if decoder.eof else b""
            total += len(plain)
            if total > max_bytes:
                raise too_large(f"Request body inflates to more than {max_bytes} bytes")
            if plain:
                yield plain
            if not data and (decoder.eof or decoder.needs_input):
                break
    if started and not decoder.eof:
        message = f"Cannot read all data: the {coding} body ends before its stream does"
        raise ClickHouseError(33, "CANNOT_READ_ALL_DATA", message, status=400)


def too_large(message: str) -> ClickHouseError:
    return ClickHouseError(307, "TOO_MANY_BYTES", message, status=413)


def _step(decoder: Decoder, data: bytes, coding: str) -> bytes:
    try:
        return decoder.decompress(data, _STEP_BYTES)
    except Exception as error:  # each library has its own class, some only RuntimeError
        message = f"Cannot decompress the request body as {coding}: {error}"
        raise ClickHouseError(354, "ZLIB_INFLATE_FAILED", message, status=400) from error
