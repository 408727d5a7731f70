"""What retention deleted on purpose, so that nobody takes it for a loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sinks.clickhouse import ClickHouse

_GONE = """
SELECT tenant, toString(greatest(max(before), if(argMax(days, at) = 0, toDate(0), today() - argMax(days, at)))) AS day
FROM retention_marks WHERE layer = {layer:String} GROUP BY tenant
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """Rows of `layer` (of `tenant`, or all if empty) that arrived before `before` may be gone."""

    layer: str
    tenant: str
    before: str
    days: int


def add(server: ClickHouse, marks: Sequence[Mark]) -> None:
    """Written down before anything is deleted."""
    for each in marks:
        server.execute(
            "INSERT INTO retention_marks (layer, tenant, before, days) SETTINGS async_insert = 0 "
            "VALUES ({layer:String}, {tenant:String}, {before:Date}, {days:UInt32})",
            layer=each.layer,
            tenant=each.tenant,
            before=each.before,
            days=each.days,
        )


def gone_before(server: ClickHouse, layer: str) -> dict[str, str]:
    """Day before which rows may be gone, by tenant; the empty one is all."""
    return dict(server.rows(_GONE, layer=layer))
