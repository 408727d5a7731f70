"""Curated records → the body of one insert: an Avro object container (Avro 1.12, "Object Container Files").

The records' Avro bytes are passed through; only the framing is cut off. A record of an older version of `event` (on the
topic already when this release came) gets the defaults of the fields it lacks behind it: newer versions only append
fields, so that is a record of the newest. What little the sink must know of a record, its raw offset, is read from its
first bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import fastavro
import msgspec

from core.errors import ConfigError, InputError
from schemas import framing
from schemas.codegen.encoder import varint
from schemas.registry import Schema, bundled

_VERSIONS = [bundled().get("event", version) for version in bundled().versions("event")]
_NEWEST = _VERSIONS[-1]
# Columns of the table that a record fills; the others have defaults made from these.
COLUMNS = tuple(field["name"] for field in _NEWEST.source["fields"])
# Behind them, where a block is not of the live generation 0.
GENERATION_COLUMNS = ("generation", "run")
_OF_A_GENERATION = ({"name": "generation", "type": "long"}, {"name": "run", "type": "string"})
# A constant is as good as a random one here: the reader only checks that blocks end with it.
_SYNC = b"sluice-block-end"
# Records in one container block; the reader holds a container block in memory at once.
_BLOCK_RECORDS = 10_000


class Row(NamedTuple):
    """One curated record. `arrival_ms` is the raw record's append time, which the curated record carries."""

    offset: int
    arrival_ms: int
    value: bytes


def suffix(old: Schema, new: Schema) -> bytes:
    """What makes the Avro body of a record of `old` one of `new`: the defaults of the fields that `new` appends.

    Raises:
        ConfigError: `new` does more than append fields with defaults.
    """
    before, after = old.source["fields"], new.source["fields"]
    appended = after[len(before) :]
    kept = [_form(field) for field in before] == [_form(field) for field in after[: len(before)]]
    if not kept or not all("default" in field for field in appended):
        raise ConfigError(f"{new.path}: {new.label} must be {old.label} with fields appended that have defaults")
    parsed = fastavro.parse_schema({"type": "record", "name": "Appended", "fields": appended}, named_schemas={})
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed, {})
    return out.getvalue()


def _form(field: dict[str, Any]) -> tuple[str, Any]:
    return field["name"], field["type"]


_SUFFIX_OF = {schema.version: suffix(schema, _NEWEST) for schema in _VERSIONS}


@cache
def _suffixes() -> dict[bytes, bytes]:
    # Not before the process knows what an external registry calls the schemas.
    return {frame: _SUFFIX_OF[schema.version] for frame, schema in framing.frames("event").items()}


def _header(*, restated: bool) -> bytes:
    source = dict(_NEWEST.source)
    if restated:
        source["fields"] = [*source["fields"], *_OF_A_GENERATION]
    schema = msgspec.json.encode(source)
    entries = ((b"avro.schema", schema), (b"avro.codec", b"null"))
    body = b"".join(varint(len(k)) + k + varint(len(v)) + v for k, v in entries)
    return b"Obj\x01" + varint(len(entries)) + body + varint(0) + _SYNC


_HEADER = _header(restated=False)
_HEADER_OF_A_GENERATION = _header(restated=True)


def container(rows: Sequence[Row], *, generation: int = 0, run: str = "") -> bytes:
    """Avro object container of `rows`, with columns `generation` and `run` unless both are at their defaults.

    Raises:
        InputError: a record was written with a schema that is no version of `event` in this release.
    """
    suffixes = _suffixes()
    if in_generation := bool(generation or run):
        name = run.encode()
        more = varint(generation) + varint(len(name)) + name
        suffixes = {frame: suffix + more for frame, suffix in suffixes.items()}
    parts = [_HEADER_OF_A_GENERATION if in_generation else _HEADER]
    for start in range(0, len(rows), _BLOCK_RECORDS):
        block = rows[start : start + _BLOCK_RECORDS]
        try:
            body = b"".join([_body(row.value, suffixes) for row in block])
        except KeyError:
            strange = next(row for row in block if row.value[: framing.body_at(row.value)] not in suffixes)
            raise InputError(f"curated offset {strange.offset} is of no version of `event` in this release") from None
        parts += [varint(len(block)), varint(len(body)), body, _SYNC]
    return b"".join(parts)


def _body(value: bytes, suffixes: dict[bytes, bytes]) -> bytes:
    at = framing.body_at(value)
    return value[at:] + suffixes[value[:at]]


def raw_offset(row: Row) -> int:
    """Raw offset of a curated record: the second field of its Avro body."""
    at = framing.body_at(row.value)
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
