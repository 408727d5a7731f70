"""One spooled record as bytes, and how records are found again in bytes that may be damaged.

    marker 8 | crc 4 | length 4 | spooled_at_ms 8 | key length 4 | note length 4 | lane 1 | key | note | value

Integers are little-endian; `length` counts what follows it; `crc` is the CRC32C of everything behind it. The marker is
random, one for each file, and stands in the file's name: a client that knew it could hide a record inside an event's
text, which a scan that looks for the next record after damage would take for one of ours.

`lane` is 1 where the record is historic, else 0. `note` is empty but for records that were set aside: it says why.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

import google_crc32c

from collector.publisher import Record

MARKER_BYTES = 8
_CRC = Struct("<I")
_HEAD = Struct("<IQII?")  # length, spooled_at_ms, key length, note length, historic
_CRC_AT = MARKER_BYTES
_HEAD_AT = _CRC_AT + _CRC.size
_BODY_AT = _HEAD_AT + _HEAD.size
_LENGTH_AT_END = _HEAD_AT + 4  # where the bytes that `length` counts begin
# Of a frame without key, note and value.
OVERHEAD_BYTES = _BODY_AT


class Entry(NamedTuple):
    """A record found at `start`; the next one begins at `end`."""

    record: Record
    spooled_at_ms: int
    note: str
    start: int
    end: int


class Scan(NamedTuple):
    """What a piece of a file holds.

    `damaged` counts places that were skipped, `end` is where the last thing understood ends. What lies behind `end` is
    the beginning of a record, or of nothing.
    """

    entries: list[Entry]
    damaged: int
    end: int


def checksum(data: bytes) -> int:
    """CRC32C (Castagnoli), as in RFC 3720, appendix B.4."""
    return int(google_crc32c.value(data))


def encode(record: Record, *, marker: bytes, spooled_at_ms: int, note: str = "") -> bytes:
    noted = note.encode()
    key, value, historic = record
    length = _BODY_AT - _LENGTH_AT_END + len(key) + len(noted) + len(value)
    rest = b"".join((_HEAD.pack(length, spooled_at_ms, len(key), len(noted), historic), key, noted, value))
    return b"".join((marker, _CRC.pack(checksum(rest)), rest))


def size(record: Record) -> int:
    """Bytes that the record takes in a file, without a note."""
    return OVERHEAD_BYTES + len(record.key) + len(record.value)


def scan(data: bytes, *, marker: bytes, at: int = 0, most: int = 1 << 62, whole: bool = True) -> Scan:
    """The records of `data`, which begins at offset `at` of its file; at most `most` of them.

    Damage costs the record it hit: the scan goes on at the next marker behind which a record is sound. If `data` is
    not the `whole` rest of the file, damage at its end is left to a scan that sees more.
    """
    entries: list[Entry] = []
    damaged = position = 0
    while position < len(data) and len(entries) < most:
        found = _decode(data, position, marker, at)
        if found is not None:
            entries.append(found)
            position = found.end - at
            continue
        further = _next_sound(data, position, marker, at)
        if further is not None:
            position, places = further
            damaged += places
            continue
        if whole:
            places, position = _damage_at_end(data, position, marker)
            damaged += places
        break
    return Scan(entries, damaged, at + position)


def _decode(data: bytes, position: int, marker: bytes, at: int) -> Entry | None:
    """The sound record at `position`, or None."""
    body = position + _BODY_AT
    if body > len(data) or not data.startswith(marker, position):
        return None
    length, spooled_at_ms, key_length, note_length, historic = _HEAD.unpack_from(data, position + _HEAD_AT)
    end = position + _LENGTH_AT_END + length
    if not body + key_length + note_length <= end <= len(data):
        return None
    if _CRC.unpack_from(data, position + _CRC_AT)[0] != checksum(data[position + _HEAD_AT : end]):
        return None
    note_at = body + key_length
    value_at = note_at + note_length
    record = Record(data[body:note_at], data[value_at:end], historic)
    return Entry(record, spooled_at_ms, data[note_at:value_at].decode("utf-8", "replace"), at + position, at + end)


def _next_sound(data: bytes, position: int, marker: bytes, at: int) -> tuple[int, int] | None:
    """Where the first sound record behind the damage at `position` begins, and how many places are damaged."""
    places = 1
    candidate = data.find(marker, position + 1)
    while candidate >= 0:
        if _decode(data, candidate, marker, at) is not None:
            return candidate, places
        places += 1
        candidate = data.find(marker, candidate + 1)
    return None


def _damage_at_end(data: bytes, position: int, marker: bytes) -> tuple[int, int]:
    """Damaged places from `position` on, behind which nothing is sound, and where the torn rest begins.

    A record that is there in its whole length was damaged; one that is not was never written to its end.
    """
    places = 0
    while position + _BODY_AT <= len(data) and data.startswith(marker, position):
        end = position + _LENGTH_AT_END + _HEAD.unpack_from(data, position + _HEAD_AT)[0]
        if end > len(data):
            break
        places += 1
        position = end
    return places, position
