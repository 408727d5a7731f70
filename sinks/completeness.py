"""How complete and how fresh the tables are: per raw partition what is stored without a gap, against the raw log's end.

The views `completeness` and `raw_gaps` say what the tables know of themselves. Kafka is asked where the log ends: only
so can be told whether a partition in which nothing happens is complete or behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from confluent_kafka import Consumer

from core import kafka
from core.lanes import Lane, Lanes
from core.settings import Settings
from sinks.clickhouse import ClickHouse

_VIEW = (
    "SELECT raw_partition, judged_from, judged_to, contiguous_to, gaps, stored_to, "
    "toUnixTimestamp64Milli(arrival_watermark), toUnixTimestamp64Milli(event_watermark) FROM completeness"
)


@dataclass(frozen=True, slots=True)
class Log:
    """Where the raw log of a partition begins and ends: the offset of its first record, and that of its next one."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Partition:
    """A raw partition by its number (`core.lanes`). Offsets are those of last records; -1 where there is none.

    `behind` is the number of offsets between what is stored without a gap and the log's end. Watermarks are in ms: the
    append time of the last record that is stored without a gap, and the latest time at which something happened.
    """

    number: int
    lane: Lane
    end: int
    judged_to: int
    stored_to: int
    gaps: int
    behind: int
    arrival_watermark_ms: int
    event_watermark_ms: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Raw offsets `first` to `last` without an outcome, between others that have one."""

    partition: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Completeness:
    """`closed_through` is the last arrival day (UTC) of which every partition is stored to its end; empty for none."""

    partitions: list[Partition]
    gaps: list[Gap]
    closed_through: str

    @property
    def complete(self) -> bool:
        return not self.gaps and all(each.behind == 0 for each in self.partitions)


def completeness(server: ClickHouse, logs: Mapping[int, Log], *, lanes: Lanes, now: datetime) -> Completeness:
    """`logs` and `now` must have been looked up before: what arrived later is not asked for."""
    known = {row[0]: row[1:] for row in server.rows(_VIEW)}
    partitions = [_partition(number, log, known.get(number), lanes) for number, log in sorted(logs.items())]
    gaps = [
        Gap(*row)
        for row in server.rows(
            "SELECT raw_partition, gap_first, gap_last FROM raw_gaps ORDER BY raw_partition, gap_first"
        )
    ]
    return Completeness(partitions, gaps, _closed_through(partitions, now))


def raw_logs(settings: Settings) -> dict[int, Log]:
    """Begin and end of every raw partition of both lanes.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    lanes = Lanes.of(settings)
    reader = Consumer(kafka.reader(settings, name="completeness"))
    try:
        return {
            number: Log(*kafka.watermarks(reader, lanes.topic(number), lanes.home(number))) for number in lanes.numbers
        }
    finally:
        reader.close()


def _partition(number: int, log: Log, known: list[int] | None, lanes: Lanes) -> Partition:
    _, judged_to, _, gaps, stored_to, arrival, event = known or (0, log.begin - 1, 0, 0, log.begin - 1, 0, 0)
    behind = max(0, log.end - 1 - stored_to)
    return Partition(number, lanes.lane(number), log.end, judged_to, stored_to, gaps, behind, arrival, event)


def _closed_through(partitions: list[Partition], now: datetime) -> str:
    """A partition that is stored to its end is closed up to yesterday: whatever comes arrives today."""
    yesterday = now.date() - timedelta(days=1)
    days = [
        yesterday
        if each.behind == 0
        else datetime.fromtimestamp(each.arrival_watermark_ms / 1000, UTC).date() - timedelta(days=1)
        for each in partitions
    ]
    behind_ever = any(each.behind and not each.arrival_watermark_ms for each in partitions)
    return min(days, default=yesterday).isoformat() if not behind_ever else ""
