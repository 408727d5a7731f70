"""Lines of a file or of standard input, one at a time, however long one is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

# Far above what the collector takes as one event. Longer lines are skipped, so that memory stays bounded.
MAX_LINE_BYTES = 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """`number` counts from 1, blank lines too. `content` is None where the line is too long."""

    number: int
    content: bytes | None


def lines(stream: BinaryIO, on_bytes: Callable[[int], None]) -> Iterator[Line]:
    """All lines but blank ones. `on_bytes` is told how many bytes each took."""
    number = 0
    while content := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        read = len(content)
        if read > MAX_LINE_BYTES and not content.endswith(b"\n"):
            on_bytes(read + _skip_line(stream))
            yield Line(number, None)
            continue
        on_bytes(read)
        content = content.removeprefix(_BOM).strip() if number == 1 else content.strip()
        if content:
            yield Line(number, content)


def _skip_line(stream: BinaryIO) -> int:
    skipped = 0
    while part := stream.readline(MAX_LINE_BYTES):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped
