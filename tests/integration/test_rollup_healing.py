"""A view target whose token is logged while its part is missing: the state that a kill inside the engine leaves."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from core.settings import Settings
from schemas.codegen.encoder import compile_encoder
from schemas.registry import bundled
from sinks import migrate
from sinks.clickhouse import ClickHouse
from sinks.generations.record import Phase, Record
from sinks.generations.restatement import Restatement
from sinks.healing import DayHealer, heal, suspicious
from sinks.plan import Plan, Source
from sinks.rollups import discover
from sinks.row import Row
from sinks.tables import events
from sinks.writer import _TABLE_ALONE, Block, Writer
from tests.oracle.judge import ROLLUPS

pytestmark = pytest.mark.stack

_NOW_MS = 1_780_000_000_000
_encode = compile_encoder(bundled().get("event", 1)).encode


@pytest.fixture
def settings(client: Any) -> Settings:
    of_stack: Settings = client.stack.settings
    return replace(of_stack, clickhouse_database=f"healing_{uuid.uuid4().hex[:8]}")


@pytest.fixture
def server(settings: Settings) -> Iterator[ClickHouse]:
    migrate.apply(settings)
    yield ClickHouse(settings)
    ClickHouse(settings).execute(f"DROP DATABASE {settings.clickhouse_database}")


def _rows(first: int, count: int, *, partition: int = 0) -> list[Row]:
    def value(offset: int) -> bytes:
        url = f"https://shop.example/p/{offset % 3}?utm_source=mail"
        identity = (f"id-{partition}-{offset}", f"visitor-{offset % 5}", "session", "")
        times = (_NOW_MS, _NOW_MS, _NOW_MS)
        names = ("demo", "page_view", 1, "page_view", "")
        return _encode(
            partition, offset, *times, *names, *identity, url, "https://r.example/", "granted", "t", "{}", "{}"
        )

    return [Row(offset, _NOW_MS, value(offset)) for offset in range(first, first + count)]


def _block(rows: list[Row], *, uncertain: bool, partition: int = 0) -> Block:
    return Block(partition, rows, Plan(rows[0].offset, rows[-1].offset, len(rows)), uncertain=uncertain)


def _writer(server: ClickHouse, *, after_doubt: Callable[[str], None] = lambda _day: None) -> Writer:
    return Writer(
        server,
        events(),
        Source("cluster", "topic"),
        commit_plan=lambda _partition, _plan: None,
        after_doubt=after_doubt,
    )


def _lose(server: ClickHouse, table: str) -> None:
    """Remove all rows of a rollup and keep its deduplication log: a mutation drops no token."""
    server.execute(f"ALTER TABLE {table} DELETE WHERE 1 SETTINGS mutations_sync = 2")


def _unequal(server: ClickHouse) -> list[str]:
    return [name for name, (rollup, recount) in ROLLUPS.items() if server.rows(rollup) != server.rows(recount)]


def test_every_rollup_of_the_migrations_is_discovered(server: ClickHouse) -> None:
    found = {r.target.split(".")[-1].strip("`") for r in discover(server)}
    views = server.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView'"
    )
    assert found == {name.replace("_fill", "_log") for (name,) in views}
    assert found == {f"{name}_log" for name in ROLLUPS}


@pytest.mark.parametrize(
    "table",
    [
        "events_daily_log",
        "sessions_log",
        *(
            pytest.param(name, marks=pytest.mark.long)
            for name in ("page_views_daily_log", "pages_daily_log", "referrers_daily_log")
        ),
    ],
)
def test_a_rollup_short_by_a_block_in_doubt_is_made_whole_once(server: ClickHouse, table: str) -> None:
    rows = _rows(0, 40)
    told: list[str] = []
    writer = _writer(server, after_doubt=told.append)
    writer.write(_block(rows, uncertain=False))
    assert (_unequal(server), told) == ([], [])
    _lose(server, table)
    assert _unequal(server) != []
    for turn in range(3):  # restarted again and again
        writer.write(_block(rows, uncertain=True))
        day = told.pop()
        assert bool(suspicious(server, day, plans=dict, sleep=lambda _: None)) == (turn == 0)
        assert heal(server, day, plans=dict) == (turn == 0)
        assert server.scalar("SELECT count() FROM events") == 40
        assert _unequal(server) == []


def test_rows_that_another_sink_is_about_to_push_to_views_are_no_reason(server: ClickHouse) -> None:
    """Its block is as large as the one in doubt here, in the base, and in no view yet."""
    writer, other = _writer(server), _writer(server)
    writer.write(_block(_rows(0, 10), uncertain=False))
    block = _block(_rows(0, 10, partition=1), uncertain=True, partition=1)
    other._insert(block, block.rows, **_TABLE_ALONE)
    looks = 0

    def later(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            other.write(block)

    day = block.arrival_day
    assert suspicious(server, day, plans=dict, sleep=later) == []
    assert looks == 3
    assert _unequal(server) == []


def test_a_block_in_doubt_that_is_whole_changes_nothing(server: ClickHouse) -> None:
    writer = _writer(server)
    writer.write(_block(_rows(0, 10), uncertain=False))
    writer.write(_block(_rows(0, 20, partition=1), uncertain=False, partition=1))
    for _ in range(2):
        writer.write(_block(_rows(0, 10), uncertain=True))
    assert server.scalar("SELECT count() FROM events_log") == 30
    assert _unequal(server) == []


def _short_by_two_blocks(server: ClickHouse, after_doubt: Callable[[str], None]) -> str:
    """What is missing is not only the block in doubt: completing it with this block's rows would invent numbers."""
    writer = _writer(server, after_doubt=after_doubt)
    writer.write(_block(_rows(0, 30), uncertain=False))
    writer.write(_block(_rows(100, 5), uncertain=False))
    _lose(server, "pages_daily_log")
    later = _rows(200, 10)
    writer.write(_block(later, uncertain=False))
    writer.write(_block(later, uncertain=True))
    assert server.scalar("SELECT sum(views) FROM pages_daily") == 10
    return str(server.scalar("SELECT toString(max(arrival_day)) FROM events"))


def test_a_difference_of_another_size_is_told_and_healed_by_a_rebuild(server: ClickHouse) -> None:
    told: list[str] = []
    day = _short_by_two_blocks(server, told.append)
    assert told == [day]
    assert heal(server, day, plans=dict)
    assert _unequal(server) == []
    assert server.scalar("SELECT count() FROM events") == 45
    assert not heal(server, day, plans=dict), "nothing differs any more"
    _lose(server, "utm_daily_log")
    assert heal(server, day, plans=dict)
    assert _unequal(server) == []
    runs = {claim.run: claim.phase for claim in Record(server).runs() if claim.run.startswith("heal-")}
    assert runs == {f"heal-{day}-1": Phase.PUBLISHED, f"heal-{day}-2": Phase.PUBLISHED}


def test_a_sink_heals_days_beside_its_work(server: ClickHouse, settings: Settings) -> None:
    healer = DayHealer(settings)
    _short_by_two_blocks(server, healer.request)
    _wait_until_equal(server)


def test_a_day_that_a_killed_sink_was_healing_is_gone_on_with(server: ClickHouse, settings: Settings) -> None:
    day = _short_by_two_blocks(server, lambda _day: None)
    Restatement(server, f"heal-{day}-1").begin([day], plans=dict)
    DayHealer(settings).resume()
    _wait_until_equal(server)


def _wait_until_equal(server: ClickHouse) -> None:
    deadline = time.monotonic() + 60
    while _unequal(server):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert server.scalar("SELECT count() FROM events") == 45
