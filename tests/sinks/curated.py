"""Curated records as the streams write them, for tests of the sink."""

from __future__ import annotations

from typing import Any

from schemas.codegen.encoder import compile_encoder
from schemas.registry import bundled
from sinks.row import Row

DAY_MS = 86_400_000
NOON_MS = 19_675 * DAY_MS + DAY_MS // 2  # 2023-11-14
NEWEST = bundled().latest("event").version
_SCHEMAS = {version: bundled().get("event", version) for version in bundled().versions("event")}
_FIELDS = {version: [field["name"] for field in schema.source["fields"]] for version, schema in _SCHEMAS.items()}
_ENCODE = {version: compile_encoder(schema).encode for version, schema in _SCHEMAS.items()}
_NUMBERS = {
    "received_at": 1,
    "occurred_at": 2,
    "version": 1,
    "stable_version": 0,
    "is_bot": False,
    "session_derived": False,
}


def fields(
    *, raw_offset: int, partition: int = 0, arrival_ms: int = NOON_MS, written_as: int = NEWEST, **changed: Any
) -> dict[str, Any]:
    blank: dict[str, Any] = {name: _NUMBERS.get(name, "") for name in _FIELDS[written_as]}
    return blank | {"raw_partition": partition, "raw_offset": raw_offset, "arrival_at": arrival_ms} | changed


def row(
    offset: int, *, raw: int | None = None, arrival_ms: int = NOON_MS, written_as: int = NEWEST, **changed: Any
) -> Row:
    """The curated record at `offset`, made from raw offset `raw` (ten times its own, unless told)."""
    values = fields(
        raw_offset=offset * 10 if raw is None else raw, arrival_ms=arrival_ms, written_as=written_as, **changed
    )
    return Row(offset, arrival_ms, _ENCODE[written_as](*values.values()))


def rows(first: int, count: int) -> list[Row]:
    return [row(offset) for offset in range(first, first + count)]
