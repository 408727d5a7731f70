"""Curated records as the streams write them, for tests of the sink."""

from __future__ import annotations

from typing import Any

from schemas.codegen.encoder import compile_encoder
from schemas.registry import bundled
from sinks.block import Row

DAY_MS = 86_400_000
NOON_MS = 19_675 * DAY_MS + DAY_MS // 2  # 2023-11-14
_SCHEMA = bundled().get("event", 1)
_FIELDS = [field["name"] for field in _SCHEMA.source["fields"]]
_encode = compile_encoder(_SCHEMA).encode


def fields(*, raw_offset: int, partition: int = 0, arrival_ms: int = NOON_MS, **changed: Any) -> dict[str, Any]:
    blank: dict[str, Any] = dict.fromkeys(_FIELDS, "") | {"received_at": 1, "occurred_at": 2, "version": 1}
    return blank | {"raw_partition": partition, "raw_offset": raw_offset, "arrival_at": arrival_ms} | changed


def row(offset: int, *, raw: int | None = None, arrival_ms: int = NOON_MS, **changed: Any) -> Row:
    """The curated record at `offset`, made from raw offset `raw` (ten times its own, unless told)."""
    values = fields(raw_offset=offset * 10 if raw is None else raw, arrival_ms=arrival_ms, **changed)
    return Row(offset, arrival_ms, _encode(*values.values()))


def rows(first: int, count: int) -> list[Row]:
    return [row(offset) for offset in range(first, first + count)]
