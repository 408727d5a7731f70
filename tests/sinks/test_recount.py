"""Rollups against a recount, and days made whole by a rebuild, on a real engine."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest

from core.errors import RefusedError
from core.settings import Settings
from sinks import recount
from sinks.clickhouse import ClickHouse
from sinks.generations.cut import cut
from sinks.generations.record import Claim, Phase, Record
from sinks.generations.restatement import Restatement
from sinks.rebuild import rebuild
from tests.oracle.judge import ROLLUPS
from tests.sinks.curated import NOON_MS
from tests.sinks.days import DAYS, begin, prepare, store, view, views

DAY = DAYS[0]


@pytest.fixture
def server(database: Settings) -> ClickHouse:
    found = prepare(database)
    store(found, views(0, 30))
    store(found, views(30, 10))
    store(found, views(100, 5, event_type="custom_event", event="signup", name="signup"))
    return found


def differences(server: ClickHouse, day: str = DAY) -> list[recount.Difference]:
    shown = [generation for found, generation in recount.generations(server) if found == day]
    return [each for generation in shown for each in recount.differences(server, day, generation, sleep=lambda _: None)]


def unequal(server: ClickHouse) -> list[str]:
    return [name for name, (rollup, again) in ROLLUPS.items() if server.rows(rollup) != server.rows(again)]


def test_every_rollup_is_compared(server: ClickHouse) -> None:
    assert {each.table for each in recount.comparables(server)} == {f"{name}_log" for name in ROLLUPS}
    assert differences(server) == []
    assert unequal(server) == []


A_ROW_TOO_MANY = f"""
    INSERT INTO pages_daily_log (arrival_day, generation, tenant, day, path, views)
    VALUES ('{DAY}', 0, 'demo', '{DAY}', '/nowhere', 1)
"""
A_ROW_TOO_FEW = f"ALTER TABLE countries_daily_log DELETE WHERE arrival_day = '{DAY}' SETTINGS mutations_sync = 2"
A_SUM = f"""
    INSERT INTO events_daily_log (arrival_day, generation, tenant, day, event, name, events)
    VALUES ('{DAY}', 0, 'demo', '{DAY}', 'signup', 'signup', 2)
"""
A_STATE = f"""
    INSERT INTO page_views_daily_log (arrival_day, generation, tenant, day, visitors)
    SELECT toDate('{DAY}'), 0, 'demo', toDate('{DAY}'), uniqExactState('a stranger')
"""
AN_ENTRY_PAGE = """
    INSERT INTO sessions_log (arrival_day, generation, tenant, day, session_id, started_at, visitor_id, entry)
    SELECT arrival_day, 0, 'demo', day, 's-1', started_at, visitor_id,
           (toDateTime64(0, 3, 'UTC'), 0, 0, '/early', '', '', '', '')
    FROM sessions_log WHERE session_id = 's-1' LIMIT 1
"""
# The statement; table, part of the key, and parts of what is stored and of what a recount finds.
BY_HAND = {
    "a row too many": (A_ROW_TOO_MANY, "pages_daily_log", {"path": "/nowhere"}, {"views": 1, "visitors": 0}, None),
    "a row too few": (A_ROW_TOO_FEW, "countries_daily_log", {"geo_country": ""}, None, {"views": 40, "visitors": 7}),
    "a sum": (A_SUM, "events_daily_log", {"event": "signup"}, {"events": 7}, {"events": 5}),
    "a state": (A_STATE, "page_views_daily_log", {"tenant": "demo"}, {"visitors": 8}, {"visitors": 7}),
    "an entry page": (AN_ENTRY_PAGE, "sessions_log", {"session_id": "s-1"}, {"views": 4}, {"views": 4}),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_difference_made_by_hand_is_found_and_healed(server: ClickHouse, name: str) -> None:
    change, table, key, stored, again = BY_HAND[name]
    store(server, views(1_000, 10, day=1))
    before = server.rows("SELECT * EXCEPT generation FROM events ORDER BY raw_offset")
    server.execute(change)
    (found,) = differences(server)
    assert (found.table, found.day, found.generation) == (table, DAY, 0)
    assert found.key.items() >= key.items()
    for side, values in ((found.stored, stored), (found.recount, again)):
        assert (side is None) == (values is None)
        assert (side or {}).items() >= (values or {}).items()
    told: list[tuple[str, int, int]] = []
    (done,) = rebuild(server, [DAY], run="mend", plans=dict, progress=lambda *each: told.append(each))
    assert (done.day, done.replaced, done.rows) == (DAY, (0,), 45)
    assert told[-1] == (DAY, 45, 45)
    assert differences(server) == []
    assert unequal(server) == []
    assert server.rows("SELECT * EXCEPT generation FROM events ORDER BY raw_offset") == before


def test_rollups_that_came_later_are_filled_for_days_from_before(server: ClickHouse) -> None:
    for table in ("sessions_log", "devices_daily_log"):
        server.execute(f"TRUNCATE TABLE {table}")
    assert {each.table for each in differences(server)} == {"sessions_log", "devices_daily_log"}
    rebuild(server, [DAY], run="mend", plans=dict)
    assert unequal(server) == []


def test_a_rebuild_goes_on_where_it_was(server: ClickHouse) -> None:
    store(server, views(1_000, 10, day=1))
    stage, _ = begin(server, "mend", DAYS[:2])
    stage.carry()
    stage.verify()
    begin(server, "mend", DAYS[:2])
    done = rebuild(server, DAYS[:2], run="mend", plans=dict)
    assert [(each.day, each.generation, each.rows) for each in done] == [
        (DAYS[0], stage.generation, 45),
        (DAYS[1], 5, 10),
    ]
    with pytest.raises(RefusedError, match="the run mend is published"):
        rebuild(server, DAYS[:2], run="mend", plans=dict)


def test_days_can_be_chosen(server: ClickHouse) -> None:
    for day in range(1, 4):
        store(server, views(day * 1_000, 2, day=day))
    assert recount.generations(server) == [(day, 0) for day in DAYS[:4]]
    assert recount.generations(server, first=DAYS[1], last=DAYS[2]) == [(DAYS[1], 0), (DAYS[2], 0)]


def test_a_row_that_is_on_its_way_is_no_difference(server: ClickHouse) -> None:
    """The base has it already, the rollup a moment later."""
    kept = "SELECT * FROM countries_daily_log"
    server.execute("CREATE TABLE kept AS countries_daily_log")
    server.execute(f"INSERT INTO kept {kept}")
    server.execute(A_ROW_TOO_FEW)

    def arrive(_seconds: float) -> None:
        server.execute("INSERT INTO countries_daily_log SELECT * FROM kept")
        server.execute("TRUNCATE TABLE kept")

    assert list(recount.differences(server, DAY, 0, sleep=arrive)) == []


def test_rows_that_never_cease_to_come_in_cannot_be_compared(server: ClickHouse) -> None:
    server.execute(A_ROW_TOO_MANY)
    offsets = iter(range(1_000, 2_000))
    with pytest.raises(recount.MovingError, match="pages_daily_log 2023-11-14 generation 0 cannot be compared"):
        recount.differences(server, DAY, 0, sleep=lambda _: store(server, [view(next(offsets))]))
    tail = cut(server, DAY, plans=dict)
    (found,) = recount.differences(server, DAY, 0, sleep=lambda _: store(server, [view(next(offsets))]))
    assert found.key["path"] == "/nowhere"
    assert server.scalar(f"SELECT count() FROM events WHERE generation = {tail}") > 0


def test_a_day_that_a_run_holds_is_not_cut(server: ClickHouse) -> None:
    begin(server, "r1", [DAY])
    with pytest.raises(RefusedError, match="the run r1 holds 2023-11-14"):
        cut(server, DAY, plans=dict)


def test_a_cut_that_was_killed_can_be_dropped(server: ClickHouse) -> None:
    Record(server).claim([Claim(day=DAY, run="cut-1", phase=Phase.STAGING)])
    with pytest.raises(RefusedError, match="the run cut-1 holds"):
        cut(server, DAY, plans=dict)
    Restatement(server, "cut-1").drop()
    assert server.scalar("SELECT count() FROM events") == 45
    cut(server, DAY, plans=dict)


def test_sessions_are_what_plain_code_makes_of_them(server: ClickHouse) -> None:
    """Sessions over several blocks, partitions and midnight, with pages at the same millisecond."""
    draw = random.Random(7)
    expected: dict[str, list[tuple[int, int, int, str, bool]]] = defaultdict(list)
    for block in range(6):
        rows = []
        for number in range(40):
            session, at_ms = f"x-{draw.randrange(25)}", NOON_MS + draw.randrange(-12, 24) * 3_600_000
            offset, page, is_view = 10_000 + block * 100 + number, f"/{draw.randrange(5)}", draw.random() < 0.7
            kind = "page_view" if is_view else "custom_event"
            changed: dict[str, Any] = {"session_id": session, "occurred_at": at_ms, "event_type": kind, "url": page}
            rows.append(view(offset, **changed))
            expected[session].append((at_ms, 0, offset * 10, page, is_view))
        store(server, rows)
    found = {
        session: values
        for session, *values in server.rows(
            "SELECT session_id, duration_s, events, views, bounced, entry_path, exit_path FROM sessions "
            "WHERE tenant = 'demo' AND session_id LIKE 'x-%'"
        )
    }
    assert len(found) == len(expected)
    for session, events in expected.items():
        pages = sorted(event[:4] for event in events if event[4])
        times = [event[0] for event in events]
        assert found[session] == [
            (max(times) - min(times)) / 1000,
            len(events),
            len(pages),
            int(len(pages) == len(events) == 1),
            pages[0][3] if pages else "",
            pages[-1][3] if pages else "",
        ]


def test_sessions_between_days_are_those_that_began_there(server: ClickHouse) -> None:
    times = {"early": [-13, -11], "late": [11, 13], "inside": [0, 1], "before": [-13], "after": [13]}
    offset = 5_000
    for session, hours in times.items():
        for hour in hours:
            store(server, [view(offset, session_id=session, occurred_at=NOON_MS + hour * 3_600_000)])
            offset += 1
    found = server.rows(
        f"SELECT session_id, views FROM sessions_between(first = '{DAY}', last = '{DAY}') "
        "WHERE tenant = 'demo' AND session_id NOT LIKE 's-%' ORDER BY session_id"
    )
    assert found == [["inside", 2], ["late", 2]]
