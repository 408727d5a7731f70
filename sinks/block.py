"""Curated records → the body of one insert: an Avro object container (Avro 1.12, "Object Container Files").

The records' Avro bytes are passed through; only the framing is cut off. What little the sink must know of a record,
its raw offset, is read from its first bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from core.errors import InputError
from schemas import framing
from schemas.codegen.encoder import varint
from schemas.registry import bundled

_SCHEMA = bundled().get("event", 1)
# Columns of the table that a record fills; the others have defaults made from these.
COLUMNS = tuple(field["name"] for field in _SCHEMA.source["fields"])
_FRAME = framing.prefix(_SCHEMA.id)
# A constant is as good as a random one here: the reader only checks that blocks end with it.
_SYNC = b"sluice-block-end"
# Records in one container block; the reader holds a container block in memory at once.
_BLOCK_RECORDS = 10_000


class Row(NamedTuple):
    """One curated record. `arrival_ms` is the raw record's append time, which the curated record carries."""

    offset: int
    arrival_ms: int
    value: bytes


def _header() -> bytes:
    schema = msgspec.json.encode(_SCHEMA.source)
    entries = ((b"avro.schema", schema), (b"avro.codec", b"null"))
    body = b"".join(varint(len(k)) + k + varint(len(v)) + v for k, v in entries)
    return b"Obj\x01" + varint(len(entries)) + body + varint(0) + _SYNC


_HEADER = _header()


def container(rows: Sequence[Row]) -> bytes:
    """Avro object container of `rows`.

    Raises:
        InputError: a record was written with another schema.
    """
    parts = [_HEADER]
    for start in range(0, len(rows), _BLOCK_RECORDS):
        bodies = [row.value[framing.ID_PREFIX_BYTES :] for row in rows[start : start + _BLOCK_RECORDS]]
        parts += [varint(len(bodies)), varint(sum(map(len, bodies))), *bodies, _SYNC]
    for row in rows:
        if not row.value.startswith(_FRAME):
            raise InputError(f"curated offset {row.offset} was not written with schema {_SCHEMA.id}")
    return b"".join(parts)


def raw_offset(row: Row) -> int:
    """Raw offset of a curated record: the second field of its Avro body."""
    at = framing.ID_PREFIX_BYTES
    while row.value[at] & 128:  # the partition
        at += 1
    at += 1
    shift = value = 0
    while True:
        byte = row.value[at]
        value |= (byte & 127) << shift
        if not byte & 128:
            return (value >> 1) ^ -(value & 1)
        at += 1
        shift += 7
