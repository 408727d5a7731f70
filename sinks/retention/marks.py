"""What retention deleted on purpose, so that nobody takes it for a loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sinks.clickhouse import ClickHouse

_GONE = """
SELECT tenant, toString(greatest(max(before), if(argMax(days, at) = 0, toDate(0), today() - argMax(days, at)))) AS day
FROM retention_marks WHERE layer = {layer:String} GROUP BY tenant
"""
_PERIODS = """
SELECT tenant, argMax(days, at) AS kept FROM retention_marks WHERE layer = {layer:String} AND tenant != ''
GROUP BY tenant HAVING kept > 0
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


def periods(server: ClickHouse, layer: str) -> dict[str, int]:
    """Days for which rows of each tenant are kept, as it was asked for last; tenants without a period are left out."""
    return dict(server.rows(_PERIODS, layer=layer))


def gone_before(server: ClickHouse, layer: str) -> dict[str, str]:
    """Day before which rows may be gone, by tenant; the empty one is all."""
    return dict(server.rows(_GONE, layer=layer))
