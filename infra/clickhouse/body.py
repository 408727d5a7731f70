"""A request body with its wrappers taken off, piece by piece: HTTP codings first, then ClickHouse's own frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from infra.clickhouse.codings import decoded, too_large
from infra.clickhouse.native_frames import FrameReader
from infra.clickhouse.request import Request


def plain_body(pieces: Iterator[bytes], *, request: Request, max_bytes: int) -> Iterator[bytes]:
    """Never more than `max_bytes` in all, whatever the wrappers promise."""
    for coding in reversed(request.content_codings):
        pieces = decoded(pieces, coding=coding, max_bytes=max_bytes)
    if request.flag("decompress"):
        pieces = _unframed(pieces, max_bytes=max_bytes)
    return pieces


class Peekable:
    """A body whose beginning can be looked at before it is consumed."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = bytearray()
        self.ended = False

    def peek(self, size: int) -> bytes:
        """At least `size` bytes unless the body is shorter; they stay unread."""
        while len(self._held) < size and not self.ended:
            self._pull()
        return bytes(self._held)

    def read_all(self) -> bytes:
        while not self.ended:
            self._pull()
        data = bytes(self._held)
        self._held.clear()
        return data

    def rest(self, *, skip: int = 0) -> Iterator[bytes]:
        """What is left, without the first `skip` bytes (all of which must have been peeked at)."""
        held = bytes(memoryview(self._held)[skip:])
        self._held.clear()
        if held:
            yield held
        if not self.ended:
            yield from self._pieces
            self.ended = True

    def _pull(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            self.ended = True
        else:
            self._held += piece


def _unframed(pieces: Iterable[bytes], *, max_bytes: int) -> Iterator[bytes]:
    reader = FrameReader()
    total = 0
    for piece in pieces:
        plain = reader.feed(piece)
        total += len(plain)
        if total > max_bytes:
            raise too_large(f"Request body inflates to more than {max_bytes} bytes")
        if plain:
            yield plain
    reader.finish()
