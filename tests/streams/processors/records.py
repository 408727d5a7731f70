"""Curated records as a processor consumes them, for tests."""

from __future__ import annotations

import json
from typing import Any

from schemas.codegen.encoder import compile_encoder
from schemas.registry import bundled
from streams.processor.step import SourceRecord

ARRIVAL_MS = 1_700_000_000_123
_SCHEMA = bundled().latest("event")
_ENCODE = compile_encoder(_SCHEMA).encode
_NUMBERS = {"int": 0, "long": 0, "boolean": False}


def blank(type_: Any) -> Any:
    """A value of any type that the record has."""
    if isinstance(type_, list):
        return blank(type_[0])
    if isinstance(type_, dict):
        return blank(type_["type"])
    return None if type_ == "null" else _NUMBERS.get(type_, "")


def value(**changed: Any) -> bytes:
    """The value of a curated record; a dict of `properties` becomes its JSON text."""
    row = {each["name"]: blank(each["type"]) for each in _SCHEMA.source["fields"]} | {
        "arrival_at": ARRIVAL_MS,
        "tenant": "demo",
        "event": "order_completed",
        "version": 1,
        "stable_version": 1,
        "event_id": "e-1",
        "properties": {},
        "context": "{}",
    }
    row |= changed
    row["properties"] = json.dumps(row["properties"]) if isinstance(row["properties"], dict) else row["properties"]
    return _ENCODE(*row.values())


def record(offset: int, data: bytes | None = None, *, partition: int = 0, **changed: Any) -> SourceRecord:
    if data is None:
        data = value(raw_partition=partition, raw_offset=offset * 2, event_id=f"e-{offset}", **changed)
    return SourceRecord(partition, offset, ARRIVAL_MS, b"demo|v", data)
