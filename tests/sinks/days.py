"""Days of events in a real engine: stored as a sink stores them, and read as readers do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from core.settings import Settings
from sinks import migrate
from sinks.clickhouse import ClickHouse
from sinks.generations.record import live_generation
from sinks.generations.restatement import Restatement
from sinks.generations.staging import Stage
from sinks.plan import Plan, Source
from sinks.row import Row
from sinks.tables import events
from sinks.writer import Block, Writer
from tests.sinks.curated import DAY_MS, NOON_MS, row

DAYS = [f"2023-11-{14 + number}" for number in range(10)]
TOTALS = (
    "SELECT (SELECT count() FROM events), (SELECT sum(events) FROM events_daily), "
    "(SELECT sum(views) FROM page_views_daily), (SELECT sum(views) FROM pages_daily)"
)

# Views hang on tables.
_DEFINITIONS = (
    "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() "
    "ORDER BY engine LIKE '%View', engine = 'MaterializedView', name"
)
_TEMPLATES: set[str] = set()  # URLs of engines that have one


def prepare(settings: Settings) -> ClickHouse:
    """An empty database as migrations make it: the first one by them, every other copied from it, which is cheaper."""
    template = replace(settings, clickhouse_database="migrated")
    if template.clickhouse_url not in _TEMPLATES:
        migrate.apply(template)
        _TEMPLATES.add(template.clickhouse_url)
    server, made = ClickHouse(settings), settings.clickhouse_database
    ClickHouse(settings, database="").execute(f"CREATE DATABASE {made}")
    for statement in ClickHouse(template).rows(_DEFINITIONS):
        server.execute(statement[0].replace("migrated.", f"{made}."))
    for ledger in ("migrations", "view_migrations"):
        server.execute(f"INSERT INTO {ledger} SELECT * FROM migrated.{ledger}")
    assert migrate.apply(settings) == []
    return server


def view(offset: int, *, day: int = 0, raw: int | None = None, **changed: Any) -> Row:
    """A page view at a curated offset, ten times that the raw one, which arrived on `DAYS[day]`."""
    arrival_ms = NOON_MS + day * DAY_MS
    values: dict[str, Any] = {
        "occurred_at": arrival_ms,
        "tenant": "demo",
        "event": "page_view",
        "event_type": "page_view",
        "event_id": f"id-{offset}",
        "visitor_id": f"v-{offset % 7}",
        "session_id": f"s-{offset % 11}",
        "url": f"https://shop.example/p/{offset % 3}?utm_source=mail",
        "referrer": "https://news.example/",
    }
    return row(offset, raw=raw, arrival_ms=arrival_ms, **(values | changed))


def views(first: int, count: int, *, day: int = 0, **changed: Any) -> list[Row]:
    return [view(offset, day=day, **changed) for offset in range(first, first + count)]


def store(server: ClickHouse, rows: list[Row], *, partition: int = 0) -> None:
    """One block, in the generation that is live."""
    block = Block(partition, rows, Plan(rows[0].offset, rows[-1].offset, len(rows)), uncertain=False)
    block.plan = block.plan.in_generation(live_generation(server, block.arrival_day))
    writer = Writer(
        server,
        events(),
        Source("c", "t"),
        commit_plan=lambda _partition, _plan: None,
        after_doubt=lambda _day: None,
    )
    writer.write(block)


def begin(server: ClickHouse, run: str, days: Iterable[str]) -> list[Stage]:
    return Restatement(server, run).begin(days, plans=dict)


def restate(server: ClickHouse, run: str, days: Iterable[str], *, where: str = "1") -> Restatement:
    """A run that carries over what `where` keeps, verified and not published."""
    for stage in begin(server, run, days):
        if not stage.verified:
            stage.carry(where)
            stage.verify()
    return Restatement(server, run)


def totals(server: ClickHouse) -> tuple[int, ...]:
    """What readers see by one query: rows of the base, then the same number by three rollups."""
    return tuple(server.rows(TOTALS)[0])
