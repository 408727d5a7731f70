"""Tenants with a period of their own: a TTL of each table that holds rows of them.

What was applied last stands in `retention_marks`. A migration that puts another table in the place of one loses its
TTL, and a new rollup has none, so that is put right after migrations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.log import get_logger
from sinks.clickhouse import ClickHouse, text
from sinks.retention import marks
from sinks.retention.policy import OF_TENANTS
from sinks.retention.tables import of_layer

log = get_logger(__name__)

_TTL = re.compile(r" TTL (?P<ttl>.+?)(?= SETTINGS | COMMENT |$)", re.DOTALL)


def ttl(server: ClickHouse, table: str) -> str:
    """The TTL of a table; empty for none."""
    definition = server.scalar(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        table=table,
    )
    found = _TTL.search(definition)
    return found["ttl"] if found else ""


def wanted_ttl(table: str, tenants: Mapping[str, int]) -> str:
    """The TTL that keeps rows of each of `tenants` for so many days, in the form in which the server gives it back."""
    return ", ".join(
        f"arrival_day + toIntervalDay({days}) WHERE {_rows_of(table, tenant)}"
        for tenant, days in sorted(tenants.items())
    )


def statement(table: str, asked: str) -> str:
    """What gives `table` the TTL `asked`, or takes it away."""
    if not asked:
        return f"ALTER TABLE {table} REMOVE TTL"
    return f"ALTER TABLE {table} MODIFY TTL {asked} SETTINGS materialize_ttl_after_modify = 1"


def restore(server: ClickHouse) -> list[str]:
    """Give tables that have no TTL the one that was applied last; returns which."""
    restored: list[str] = []
    if server.rows("EXISTS TABLE retention_marks") != [[1]]:
        return restored
    for layer in OF_TENANTS:
        tenants = marks.periods(server, layer)
        for table in of_layer(server, layer) if tenants else ():
            if not ttl(server, table):
                server.execute(statement(table, wanted_ttl(table, tenants)))
                log.info("retention.restored", table=table, tenants=len(tenants))
                restored.append(table)
    return restored


def _rows_of(table: str, tenant: str) -> str:
    if table == "raw_archive_log":  # of a raw record only the key is known: tenant|visitor
        return f"startsWith(ifNull(key, ''), {text(f'{tenant}|')})"
    return f"tenant = {text(tenant)}"
