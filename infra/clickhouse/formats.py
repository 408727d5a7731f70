"""Which output formats can be sent in pieces, and where a repeated heading ends in them.

The engine formats each piece of a streamed result on its own, heading included: the second and later pieces lose
theirs here, and of ArrowStream all but the last piece its end mark. Every other format (JSON, Parquet, Pretty, Arrow …)
has a frame around the whole and is buffered.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final


class Heading(Enum):
    NONE = 0
    ONE_LINE = 1
    TWO_LINES = 2
    CSV_ONE = 3
    CSV_TWO = 4
    BINARY_NAMES = 5
    BINARY_NAMES_AND_TYPES = 6
    ARROW_SCHEMA = 7


_LINES: Final = {
    "": Heading.NONE,
    "withnames": Heading.ONE_LINE,
    "withnamesandtypes": Heading.TWO_LINES,
}
_STREAMING: Final[dict[str, Heading]] = {
    "native": Heading.NONE,
    "rowbinary": Heading.NONE,
    "rowbinarywithnames": Heading.BINARY_NAMES,
    "rowbinarywithnamesandtypes": Heading.BINARY_NAMES_AND_TYPES,
    "jsoneachrow": Heading.NONE,
    "jsonlines": Heading.NONE,
    "ndjson": Heading.NONE,
    "jsonstringseachrow": Heading.NONE,
    "msgpack": Heading.NONE,
    "arrowstream": Heading.ARROW_SCHEMA,
    "lineasstring": Heading.NONE,
    "csv": Heading.NONE,
    "csvwithnames": Heading.CSV_ONE,
    "csvwithnamesandtypes": Heading.CSV_TWO,
    **{
        stem + tail: heading
        for stem in ("tsv", "tabseparated", "tsvraw", "tabseparatedraw", "jsoncompacteachrow",
                     "jsoncompactstringseachrow")
        for tail, heading in _LINES.items()
    },
}  # fmt: skip

# A result with one of these has something before the first or after the last row that pieces would lose or repeat.
WHOLE_ONLY_WORDS: Final = frozenset({
    b"TOTALS", b"EXTREMES", b"OUTPUT_FORMAT_JSON_ARRAY_OF_ROWS", b"OUTPUT_FORMAT_ARROW_LOW_CARDINALITY_AS_DICTIONARY",
})  # fmt: skip

_ARROW_END_BYTES: Final = 8  # a message without metadata

_TEXT_TYPES: Final = {
    "json": "application/json; charset=UTF-8",
    "jsoncompact": "application/json; charset=UTF-8",
    "jsonstrings": "application/json; charset=UTF-8",
    "jsoncolumns": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "jsonlines": "application/x-ndjson; charset=UTF-8",
    "ndjson": "application/x-ndjson; charset=UTF-8",
    "xml": "application/xml; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "csvwithnamesandtypes": "text/csv; charset=UTF-8; header=present",
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "tabseparatedwithnames": "text/tab-separated-values; charset=UTF-8",
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
    "rowbinarywithnamesandtypes": "application/octet-stream",
    "parquet": "application/octet-stream",
    "arrow": "application/octet-stream",
    "arrowstream": "application/octet-stream",
    "avro": "application/octet-stream",
    "msgpack": "application/octet-stream",
}


def heading_of(name: str) -> Heading | None:
    """None for a format that cannot be sent in pieces."""
    return _STREAMING.get(name.lower())


def content_type(name: str) -> str:
    return _TEXT_TYPES.get(name.lower(), "text/plain; charset=UTF-8")


def ending_length(heading: Heading) -> int:
    """How many bytes at the end of each piece belong to the last one only."""
    return _ARROW_END_BYTES if heading is Heading.ARROW_SCHEMA else 0


def heading_length(heading: Heading, piece: bytes) -> int:
    """How many bytes of `piece` are its heading."""
    if heading is Heading.NONE:
        return 0
    measure, count = _MEASURES[heading]
    return measure(piece, count)


def _lines(piece: bytes, count: int) -> int:
    position = 0
    for _ in range(count):
        position = piece.index(b"\n", position) + 1
    return position


def _csv_lines(piece: bytes, count: int) -> int:
    """Names are quoted and may hold line ends; a quote inside is doubled, so parity is enough."""
    position = 0
    for _ in range(count):
        end = piece.index(b"\n", position)
        while piece.count(b'"', position, end) % 2:
            end = piece.index(b"\n", end + 1)
        position = end + 1
    return position


def _binary(piece: bytes, strings_per_column: int) -> int:
    columns, position = _varint(piece, 0)
    for _ in range(columns * strings_per_column):
        length, position = _varint(piece, position)
        position += length
    return position


def _arrow_schema(piece: bytes, _: int) -> int:
    """The first message of a stream: a mark of four bytes, the length of its metadata, the metadata; it has no body."""
    return 8 + int.from_bytes(piece[4:8], "little")


def _varint(piece: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = piece[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


_MEASURES: Final[dict[Heading, tuple[Callable[[bytes, int], int], int]]] = {
    Heading.ONE_LINE: (_lines, 1),
    Heading.TWO_LINES: (_lines, 2),
    Heading.CSV_ONE: (_csv_lines, 1),
    Heading.CSV_TWO: (_csv_lines, 2),
    Heading.BINARY_NAMES: (_binary, 1),
    Heading.BINARY_NAMES_AND_TYPES: (_binary, 2),
    Heading.ARROW_SCHEMA: (_arrow_schema, 1),
}
