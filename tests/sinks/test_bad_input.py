"""What no sensible client sends, in rows that reached the sink all the same, and a table that somebody changed.

A row is stored or refused for itself alone; its neighbours land, once, and rollups equal a recount.
"""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import StateError
from core.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.drift import drift
from sinks.plan import Plan, Source
from sinks.recount import differences
from sinks.row import Row
from sinks.tables import events
from sinks.writer import Block, Writer
from tests.sinks.curated import DAY_MS, NOON_MS
from tests.sinks.days import DAYS, prepare, store, view, views

_YEAR_MS = 365 * DAY_MS


@pytest.fixture
def server(database: Settings) -> ClickHouse:
    return prepare(database)


def with_neighbours(odd: Row) -> list[Row]:
    return [view(0), odd, view(2)]


def require_whole(server: ClickHouse, rows: int) -> None:
    assert server.rows("SELECT count(), uniqExact(kafka_offset) FROM events")[0] == [rows, rows]
    assert differences(server, DAYS[0], 0) == []


@pytest.mark.parametrize(
    "occurred_at",
    [-(2**62), -(10**15), -1, 0, 1, NOON_MS + 1_000 * _YEAR_MS, 253_402_300_799_999, 2**53, 2**62, 2**63 - 1],
)
def test_absurd_dates(server: ClickHouse, occurred_at: int) -> None:
    rows = with_neighbours(view(1, occurred_at=occurred_at))
    store(server, rows)
    require_whole(server, 3)
    assert server.rows("SELECT DISTINCT toString(arrival_day) FROM events_log") == [[DAYS[0]]], "days are of arrival"


@pytest.mark.parametrize("field", ["url", "visitor_id", "properties", "referrer", "event_id"])
def test_strings_of_a_megabyte(server: ClickHouse, field: str) -> None:
    value = "x" * 1_048_576
    changed: dict[str, Any] = {field: value}
    store(server, with_neighbours(view(1, **changed)))
    require_whole(server, 3)
    assert server.scalar(f"SELECT max(length({field})) FROM events") == len(value)


def test_ten_thousand_property_keys(server: ClickHouse) -> None:
    text = "{" + ",".join(f'"key_{number}":{number}' for number in range(10_000)) + "}"
    store(server, with_neighbours(view(1, properties=text)))
    require_whole(server, 3)
    assert server.scalar("SELECT max(length(JSONExtractKeys(properties))) FROM events") == 10_000
    assert server.scalar("SELECT max(JSONExtractInt(properties, 'key_9999')) FROM events") == 9_999


@pytest.mark.parametrize("broken", [b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\x00\x01", b"\xf5\x80\x80\x80"])
def test_bytes_that_are_no_utf8(server: ClickHouse, broken: bytes) -> None:
    """They pass through: neither the sink nor the engine decodes text."""
    mark = b"~" * len(broken)
    whole = view(1, url=f"https://shop.example/{mark.decode()}", visitor_id=f"v{mark.decode()}")
    odd = whole._replace(value=(whole.value or b"").replace(mark, broken))
    assert odd.value != whole.value
    store(server, with_neighbours(odd))
    require_whole(server, 3)
    assert server.scalar("SELECT hex(visitor_id) FROM events WHERE kafka_offset = 1") == (b"v" + broken).hex().upper()


def test_clocks_that_jump(server: ClickHouse) -> None:
    """The broker's clock goes a day ahead and comes back: each day has its rows, once, and both equal a recount."""
    for first, day in ((0, 0), (10, 1), (20, 0), (30, 1), (40, 0)):
        store(server, views(first, 5, day=day))
        store(server, views(first, 5, day=day))  # and what is sent twice is there once
    assert server.rows("SELECT toString(arrival_day), count() FROM events GROUP BY 1 ORDER BY 1") == [
        [DAYS[0], 15],
        [DAYS[1], 10],
    ]
    assert [*differences(server, DAYS[0], 0), *differences(server, DAYS[1], 0)] == []


@pytest.mark.parametrize(
    "column", ["user_id", *(pytest.param(name, marks=pytest.mark.long) for name in ("kafka_offset", "geo_country"))]
)
def test_a_column_that_somebody_dropped_stops_the_sink_and_costs_no_row(database: Settings, column: str) -> None:
    server = prepare(database)
    store(server, views(0, 3))
    views_of_it = server.rows(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() "
        "AND engine = 'MaterializedView' AND position(as_select, {column:String}) > 0",
        column=column,
    )
    for name, _ in views_of_it:  # the engine does not let a column go that a view reads
        server.execute(f"DROP VIEW {name}")
    server.execute(f"ALTER TABLE events_log DROP COLUMN {column} SETTINGS alter_sync = 2")
    rows = views(10, 4)
    held = Block(0, rows, Plan(10, 13, 4), uncertain=False)
    writer = Writer(
        server, events(), Source("c", "t"), commit_plan=lambda _p, _plan: None, after_doubt=lambda _day: None
    )
    with pytest.raises(StateError, match="not as the migrations made it") as caught:
        writer.write(held)
    assert "sluice migrate status" in caught.value.hint
    assert server.scalar("SELECT count() FROM events_log") == 3
    found = drift(database)
    assert f"events_log: the column {column} is missing" in map(str, found)
    for each in found:
        server.execute(each.remedy)
    writer.write(held)
    assert server.scalar("SELECT count() FROM events_log") == 7
    assert drift(database) == []
