"""Databases from before the pages had another order and sessions other views: migrated with what they hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from core.settings import Settings
from schemas.registry import bundled
from sinks import healing, migrate, recount
from sinks.clickhouse import ClickHouse
from sinks.generations.record import Record
from sinks.rebuild import rebuild
from sinks.retention import marks, plan, tenants
from sinks.retention.marks import Mark
from sinks.retention.policy import policy
from tests.sinks.days import DAYS, restate, store, views

NUMBER = 14
TODAY = date.fromisoformat(DAYS[-1])
(MIGRATION,) = [each for each in migrate.load() if each.number == NUMBER]
READ = (
    "SELECT * FROM pages_daily ORDER BY ALL",
    "SELECT * FROM sessions ORDER BY ALL",
    f"SELECT * FROM sessions_between(first = '{DAYS[0]}', last = '{DAYS[1]}') ORDER BY ALL",
    "SELECT arrival_day, generation, sum(views) FROM pages_daily_log GROUP BY ALL ORDER BY ALL",
)


@pytest.fixture
def server(database: Settings) -> ClickHouse:
    """Three days, two of them in several blocks, one made anew beside the old."""
    migrate.apply_numbered(database, [each for each in migrate.load() if each.number != NUMBER])
    found = ClickHouse(database)
    store(found, views(0, 30))
    store(found, views(30, 10))
    store(found, views(100, 5, event_type="custom_event", event="signup", name="signup", session_id="no pages"))
    store(found, views(1_000, 20, day=1))
    store(found, views(2_000, 20, day=2))
    restate(found, "mend", [DAYS[1]]).publish()
    restate(found, "hidden", [DAYS[2]])
    return found


def read(server: ClickHouse) -> list[list[list[Any]]]:
    return [server.rows(sql) for sql in READ]


def differences(server: ClickHouse) -> list[recount.Difference]:
    every = server.rows("SELECT DISTINCT toString(arrival_day), generation FROM events_log ORDER BY ALL")
    return [
        each for day, generation in every for each in recount.differences(server, day, generation, sleep=lambda _: None)
    ]


def order(server: ClickHouse) -> str:
    return str(server.scalar("SELECT sorting_key FROM system.tables WHERE database = currentDatabase() "
                             "AND name = 'pages_daily_log'"))  # fmt: skip


def test_what_an_old_database_holds_is_there_afterwards(server: ClickHouse, database: Settings) -> None:
    before = read(server)
    assert all(before)
    assert order(server) == "tenant, day, path"
    assert [each for each in migrate.apply_numbered(database, migrate.load()) if each.number == NUMBER] == [MIGRATION]
    assert order(server) == "tenant, path, day"
    assert read(server) == before
    assert differences(server) == []
    assert not server.scalar("EXISTS TABLE pages_daily_moved")


@pytest.mark.long
def test_rows_that_come_and_days_that_are_restated_fill_the_new_table(server: ClickHouse, database: Settings) -> None:
    migrate.apply_numbered(database, migrate.load())
    store(server, views(40, 10))
    store(server, views(2_020, 10, day=2))
    rebuild(server, [DAYS[0]], run="again", plans=dict)
    assert differences(server) == []
    assert server.scalar(f"SELECT sum(views) FROM pages_daily WHERE day = '{DAYS[0]}'") == 50


@pytest.mark.long
def test_the_periods_of_tenants_hold_for_the_new_table(server: ClickHouse, database: Settings) -> None:
    marks.add(server, [Mark("rollups", "it's", DAYS[0], 90)])  # as it was asked for at first
    wanted = policy(replace(Settings(), retention_tenants="it's=30, demo=9000"))
    steps = [each for each in plan.plan(server, wanted, bundled(), today=TODAY) if each.what.startswith("rollups")]
    plan.apply(server, steps, progress=lambda *_: None)
    before = tenants.ttl(server, "pages_daily_log")
    assert "toIntervalDay(30) WHERE tenant = 'it\\'s'" in before
    migrate.apply_numbered(database, migrate.load())
    assert tenants.ttl(server, "pages_daily_log") == "", "killed here"
    migrate.apply(database)
    assert tenants.ttl(server, "pages_daily_log") == before
    assert tenants.restore(server) == []


# After the copy was emptied, filled and put in place; before and behind, nothing moves.
@pytest.mark.parametrize("done", [pytest.param(2, marks=pytest.mark.long), 3, pytest.param(4, marks=pytest.mark.long)])
def test_killed_on_its_way_it_goes_on(server: ClickHouse, database: Settings, done: int) -> None:
    before = read(server)
    for statement in MIGRATION.statements[:done]:
        if not migrate._is_done(server, statement):
            server.execute(statement)
    store(server, views(40, 10))  # a sink that ran when it was killed and goes on until it is applied again
    migrate.apply_numbered(database, migrate.load())
    assert order(server) == "tenant, path, day"
    assert differences(server) == []
    (pages, *_) = read(server)
    assert sum(row[3] for row in pages) == sum(row[3] for row in before[0]) + 10


def test_rows_that_come_while_tables_change_are_made_good_as_a_sink_starts(database: Settings) -> None:
    """Those that came while the pages were copied are not among the pages, those without a view in no session."""
    migrate.apply_numbered(database, [each for each in migrate.load() if each.number != NUMBER])
    server = ClickHouse(database)
    copied = next(n for n, each in enumerate(MIGRATION.statements) if "EXCHANGE TABLES" in each)
    without = next(n for n, each in enumerate(MIGRATION.statements) if "MATERIALIZED VIEW IF NOT EXISTS" in each)
    for number, statement in enumerate(MIGRATION.statements):
        if number in {copied, without}:
            store(server, views(number * 100, 10))
        server.execute(statement)
    migrate.apply_numbered(database, migrate.load())
    found = recount.differences(server, DAYS[0], 0, sleep=lambda _: None)
    assert {each.table for each in found} == {"pages_daily_log", "sessions_log"}
    assert server.rows(healing._LAST_DAYS) == [[DAYS[0]]]
    assert healing.suspicious(server, DAYS[0], plans=dict, sleep=lambda _: None)
    assert healing.heal(server, DAYS[0], plans=dict)
    (healed, _tail) = Record(server).visible([DAYS[0]])[DAYS[0]]
    assert recount.differences(server, DAYS[0], healed, sleep=lambda _: None) == []
    assert server.scalar("SELECT sum(views) FROM pages_daily") == 20
