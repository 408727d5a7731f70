"""How far the tables are: from outcomes and rows in a real engine, against logs that the test makes up."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from core.lanes import Lanes
from core.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.completeness import Completeness, Gap, Log, completeness
from tests.sinks.curated import DAY_MS, NOON_MS
from tests.sinks.days import prepare, store, view

LANES = Lanes("raw", "raw_historic", 2)
NOW = datetime.fromtimestamp((NOON_MS + 3 * DAY_MS) / 1000, UTC)
EMPTY = {number: Log(0, 0) for number in range(4)}


@pytest.fixture
def server(database: Settings) -> ClickHouse:
    return prepare(database)


def outcome(server: ClickHouse, partition: int, first: int, *runs: tuple[str, int], day: int = 0) -> None:
    """A batch from `first` on: runs of (outcome, number of records)."""
    at, found = first, []
    for kind, count in runs:
        found.append({"outcome": kind, "first": at, "count": count})
        at += count
    line = {
        "raw_partition": partition,
        "first": first,
        "last": at - 1,
        "arrival_at": f"2023-11-{14 + day} 12:00:00",
        "runs": found,
    }
    server.insert(
        "INSERT INTO outcomes_log FORMAT JSONEachRow", msgspec.json.encode(line), settings={"async_insert": "0"}
    )


def look(server: ClickHouse, **ends: int) -> Completeness:
    logs = EMPTY | {int(name.removeprefix("p")): Log(0, end) for name, end in ends.items()}
    return completeness(server, logs, lanes=LANES, now=NOW)


def test_nothing_at_all_is_complete(server: ClickHouse) -> None:
    found = look(server)
    assert found.complete
    assert found.closed_through == "2023-11-16"
    assert [each.stored_to for each in found.partitions] == [-1] * 4
    assert [each.lane for each in found.partitions] == ["live", "live", "historic", "historic"]


def test_what_is_judged_and_stored_is_complete(server: ClickHouse) -> None:
    outcome(server, 0, 0, ("curated", 3), ("dead_letter", 2))
    store(server, [view(n, raw=n, occurred_at=NOON_MS - 5) for n in range(3)])
    found = look(server, p0=5)
    assert found.complete
    one = found.partitions[0]
    assert (one.judged_to, one.stored_to, one.behind, one.gaps) == (4, 4, 0, 0)
    assert (one.arrival_watermark_ms, one.event_watermark_ms) == (NOON_MS, NOON_MS - 5)


def test_rows_that_are_not_stored_yet_hold_it_back(server: ClickHouse) -> None:
    outcome(server, 0, 0, ("curated", 3))
    outcome(server, 0, 3, ("duplicate", 1), ("curated", 6), day=1)
    store(server, [view(n, raw=n) for n in (0, 1, 2, 4, 5)])
    found = look(server, p0=12)
    one = found.partitions[0]
    assert (one.judged_to, one.stored_to, one.behind) == (9, 5, 6)
    assert found.closed_through == "2023-11-13", "the day of the last stored row may go on"
    assert not found.complete


def test_a_gap_is_named_and_ends_what_is_contiguous(server: ClickHouse) -> None:
    outcome(server, 1, 100, ("dead_letter", 10))
    outcome(server, 1, 115, ("dead_letter", 5))
    outcome(server, 1, 130, ("dead_letter", 5))
    found = look(server, p1=135)
    assert found.gaps == [Gap(1, 110, 114), Gap(1, 120, 129)]
    one = found.partitions[1]
    assert (one.judged_to, one.stored_to, one.gaps, one.behind) == (134, 109, 2, 25)
    assert not found.complete


def test_a_log_that_nobody_judged_closes_no_day(server: ClickHouse) -> None:
    found = look(server, p3=1)
    assert found.closed_through == ""
    assert found.partitions[3].behind == 1


def test_records_that_kafka_deleted_are_not_behind(server: ClickHouse) -> None:
    found = completeness(server, EMPTY | {0: Log(50, 50)}, lanes=LANES, now=NOW)
    assert found.complete
    assert found.partitions[0].behind == 0
