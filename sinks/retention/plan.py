"""What there is to delete, said before it is done. Planning changes nothing; a plan that was done plans to nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from core.log import get_logger
from schemas.registry import Registry
from sinks.clickhouse import ClickHouse
from sinks.retention import marks, personal
from sinks.retention.marks import Mark
from sinks.retention.policy import OF_TENANTS, Policy
from sinks.retention.tables import of_layer
from sinks.retention.tenants import statement, ttl, wanted_ttl

log = get_logger(__name__)

_PARTITION = re.compile(r"\('(?P<day>[0-9-]{10})',(?P<generation>[0-9]+)\)")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: `what` in words, the statement, the marks that are left before, and what it frees."""

    what: str
    statement: str
    marks: tuple[Mark, ...]
    rows: int = 0
    bytes: int = 0


def plan(server: ClickHouse, wanted: Policy, registry: Registry, *, today: date) -> list[Step]:
    """Steps in the order in which they are to be done."""
    return [
        *_partitions(server, wanted, today),
        *_tenants(server, wanted, today),
        *_personal(server, wanted, registry, today),
    ]


def apply(server: ClickHouse, steps: list[Step], *, progress: Callable[[str, int, int], None]) -> None:
    """Do `steps`. Killed in between, what is left is planned again."""
    for done, step in enumerate(steps):
        progress(step.what, done, len(steps))
        marks.add(server, step.marks)
        server.execute(step.statement)
        log.info("retention.applied", step=step.what, rows=step.rows, bytes=step.bytes)


def _partitions(server: ClickHouse, wanted: Policy, today: date) -> Iterator[Step]:
    for layer, days in wanted.layers.items():
        if not days:
            continue
        before = (today - timedelta(days=days)).isoformat()
        for table in of_layer(server, layer):
            for name, rows, size in server.rows(
                "SELECT partition, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active "
                "AND database = currentDatabase() AND table = {table:String} GROUP BY partition ORDER BY partition",
                table=table,
            ):
                found = _PARTITION.fullmatch(name)
                if found is not None and found["day"] < before:
                    yield Step(
                        f"{layer}: {table} of {found['day']}, generation {found['generation']}, is dropped",
                        f"ALTER TABLE {table} DROP PARTITION tuple('{found['day']}', {found['generation']})",
                        (Mark(layer, "", before, 0),),
                        rows,
                        size,
                    )


def _tenants(server: ClickHouse, wanted: Policy, today: date) -> Iterator[Step]:
    """A TTL a table, of all tenants that have a period of their own."""
    tenants = sorted(wanted.tenants.items())
    for layer in OF_TENANTS:
        past = marks.gone_before(server, layer)
        left = [
            *(Mark(layer, tenant, (today - timedelta(days=days)).isoformat(), days) for tenant, days in tenants),
            *(Mark(layer, each, day, 0) for each, day in past.items() if each and each not in wanted.tenants),
        ]
        for table in of_layer(server, layer):
            asked = wanted_ttl(table, wanted.tenants)
            if asked != ttl(server, table):
                said = ", ".join(f"{tenant} for {days} days" for tenant, days in tenants)
                yield Step(
                    f"{layer}: {table} keeps {said or 'no tenant for a period of its own'}",
                    statement(table, asked),
                    tuple(left),
                )


def _personal(server: ClickHouse, wanted: Policy, registry: Registry, today: date) -> Iterator[Step]:
    if not wanted.personal:
        return
    before = (today - timedelta(days=wanted.personal)).isoformat()
    keep = personal.open_properties(registry)
    changes = ", ".join(f"{column} = {expression}" for column, expression in personal.emptied(keep).items())
    condition = personal.holds_personal(keep)
    found = server.rows(
        "SELECT arrival_day, generation, count() FROM events_log WHERE arrival_day < {before:Date} "  # noqa: S608
        f"AND ({condition}) GROUP BY arrival_day, generation ORDER BY arrival_day, generation",
        before=before,
    )
    for day, generation, rows in found:
        yield Step(
            f"personal: events of {day}, generation {generation}, lose what names a person",
            f"ALTER TABLE events_log UPDATE {changes} IN PARTITION tuple('{day}', {generation}) WHERE {condition} "
            "SETTINGS mutations_sync = 1",
            (Mark("personal", "", before, 0),),
            rows,
        )
    letters = server.rows(
        "SELECT arrival_day, generation, count() FROM dead_letters_log WHERE arrival_day < {before:Date} "
        "AND raw != '' GROUP BY arrival_day, generation ORDER BY arrival_day, generation",
        before=before,
    )
    for day, generation, rows in letters:
        yield Step(
            f"personal: dead letters of {day}, generation {generation}, lose their bytes",
            f"ALTER TABLE dead_letters_log UPDATE raw = '' IN PARTITION tuple('{day}', {generation}) WHERE raw != '' "
            "SETTINGS mutations_sync = 1",
            (Mark("personal", "", before, 0),),
            rows,
        )
