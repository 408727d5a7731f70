"""Raw records → the body of one insert into the archive: one block of ClickHouse's format Native.

https://clickhouse.com/docs/interfaces/formats/Native: number of columns, number of rows, then each column with its
name, its type and its values side by side. Numbers of a column are packed at once, and keys and values pass through
as they are: the engine parses no row.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from sinks.row import Row

COLUMNS = ("generation", "lane", "raw_partition", "raw_offset", "arrival_at", "key", "value")


class Archive:
    """Makes blocks of the records of the raw topic of `lane`."""

    def __init__(self, lane: str) -> None:
        self._lane = _text(lane.encode())

    def __call__(self, partition: int, rows: Sequence[Row], generation: int) -> bytes:
        count = len(rows)
        columns = (
            ("generation", "UInt32", generation.to_bytes(4, "little") * count),
            ("lane", "String", self._lane * count),
            ("raw_partition", "UInt32", partition.to_bytes(4, "little") * count),
            ("raw_offset", "UInt64", _numbers([row.offset for row in rows])),
            ("arrival_at", "DateTime64(3, 'UTC')", _numbers([row.arrival_ms for row in rows])),
            ("key", "Nullable(String)", _texts([row.key for row in rows])),
            ("value", "Nullable(String)", _texts([row.value for row in rows])),
        )
        parts = [_length(len(columns)), _length(count)]
        for name, type_, data in columns:
            parts += [_text(name.encode()), _text(type_.encode()), data]
        return b"".join(parts)


def _numbers(values: list[int]) -> bytes:
    """64-bit numbers, the lowest byte first (what this program runs on writes them so)."""
    return array("q", values).tobytes()


def _texts(values: list[bytes | None]) -> bytes:
    """Which are NULL, a byte each; then each with its length before it, a NULL as an empty one."""
    nulls = bytes([value is None for value in values])
    return nulls + b"".join([_text(value) if value else b"\0" for value in values])


def _text(value: bytes) -> bytes:
    return _length(len(value)) + value


def _length(value: int) -> bytes:
    """Variable-length integer: seven bits a byte, the lowest first."""
    if value < 128:
        return bytes((value,))
    if value < 16_384:
        return bytes((value & 127 | 128, value >> 7))
    return bytes((value & 127 | 128,)) + _length(value >> 7)
