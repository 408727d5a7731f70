"""Whether tables hold what the sinks' group says that they hold, and where a group goes on that says nothing.

They do not where older tables were brought back beside a Kafka that went on. So of each partition that a sink is given,
the last records before the group's offset are looked for. What is not there may be missing for a reason: a row was
refused, a run restated its day and left it out or put another in its place, retention deleted it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from core import kafka
from core.errors import StateError, UnavailableError
from core.log import get_logger
from core.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.refusals import event_of
from sinks.retention import marks
from sinks.retention.tables import TABLES
from sinks.source import stored_up_to
from sinks.tables import Table

log = get_logger(__name__)

_TIMEOUT_S = 10.0
# Offsets before the group's that are looked at. Ends of transactions take offsets, too.
_LOOKED_AT = 1_000
# A sink stops before it has refused more rows in a row (`worker`): what is missing beyond has another cause.
_REFUSED_IN_A_ROW = 100
_LAYER_OF = {name: layer for layer, names in TABLES.items() for name in names}
_RESTATED = """
SELECT raw_offset FROM events_log WHERE {of_raw}
UNION ALL SELECT raw_offset FROM restated_outcomes_log WHERE {of_raw}
UNION ALL SELECT toUInt64(raw_offset) FROM dead_letters_log WHERE {of_raw} AND code = 'refused'
"""
_OF_RAW = (
    "arrival_day IN {days:Array(Date)} AND raw_partition = {partition:UInt32} AND raw_offset IN {raws:Array(UInt64)}"
)


class _Seen(NamedTuple):
    """A record of a topic. `raw_offset` is that of its raw record, where days of the table are restated."""

    offset: int
    day: str
    raw_offset: int | None


def require_held(
    settings: Settings, server: ClickHouse, table: Table, topic: str, committed: Mapping[int, int]
) -> None:
    """Look whether the table holds what comes before the offsets `committed`, by partition.

    Raises:
        StateError: it does not, and that has no good reason.
        UnavailableError: Kafka or ClickHouse does not answer.
    """
    last = _last(server, table)
    doubtful = {partition: offset for partition, offset in committed.items() if last.get(partition, -1) < offset - 1}
    if not doubtful:
        return
    reader = Consumer(kafka.reader(settings, name="held"))
    try:
        for partition, offset in doubtful.items():
            _require(server, table, topic, partition, offset, _before(reader, table, topic, partition, offset))
    except KafkaException as error:
        raise kafka.unavailable(error, "the last stored records were looked up") from error
    finally:
        reader.close()


def next_offset(settings: Settings, server: ClickHouse, table: Table, topic: str, partition: int) -> int | None:
    """The offset behind the last that the table holds of a partition; None if it holds none.

    Records whose rows a run has put in their place, or has left out, count as held.

    Raises:
        UnavailableError: Kafka or ClickHouse does not answer.
    """
    stored = stored_up_to(server, table, partition)
    if stored is None or not table.is_restated:
        return None if stored is None else stored + 1
    restated = server.scalar(
        "SELECT max(raw_offset) FROM (SELECT raw_offset FROM events_log WHERE raw_partition = {partition:UInt32} "
        "AND run != '' UNION ALL SELECT raw_offset FROM restated_outcomes_log "
        "WHERE raw_partition = {partition:UInt32})",
        partition=partition,
    )
    last_raw = server.scalar(
        "SELECT argMax(raw_offset, kafka_offset) FROM events_log WHERE kafka_partition = {partition:UInt32} "
        "AND run = ''",
        partition=partition,
    )
    if restated <= last_raw:
        return stored + 1
    reader = Consumer(kafka.reader(settings, name="held"))
    try:
        low, _ = kafka.watermarks(reader, topic, partition)
        following = stored + 1
        for seen in _records(reader, table, topic, partition, max(low, following)):
            if seen.raw_offset is None or seen.raw_offset > restated:
                break
            following = seen.offset + 1
        return following
    except KafkaException as error:
        raise kafka.unavailable(error, "the last stored record was looked up") from error
    finally:
        reader.close()


def gone_before(server: ClickHouse, table: Table) -> str:
    """The day before which retention may have deleted rows of the table; empty if it never did."""
    return max(marks.gone_before(server, _LAYER_OF[table.name]).values(), default="")


def _last(server: ClickHouse, table: Table) -> dict[int, int]:
    """The last offset by partition of the last two days that the table has rows of: two partitions are read."""
    only = f" AND {table.only}" if table.only else ""
    found = server.rows(
        f"SELECT {table.partition_column}, max({table.offset_column}) FROM {table.name} "  # noqa: S608 (names of ours)
        f"WHERE arrival_day >= (SELECT max(arrival_day) FROM {table.name}) - 1{only} GROUP BY 1"
    )
    return {partition: int(last) for partition, last in found}


def _require(
    server: ClickHouse, table: Table, topic: str, partition: int, committed: int, records: Sequence[_Seen]
) -> None:
    lacking = _lacking(server, table, partition, records)
    if not lacking:
        return
    what = (
        f"{table.name} lacks records {lacking[0].offset} to {committed - 1} of {topic}, partition {partition}, which "
        "the sinks had stored"
    )
    hint = (
        "Were older tables brought back? Stop the sinks and run `sluice restore --rewind`: they go on behind what the "
        "tables hold."
    )
    if len(lacking) > _REFUSED_IN_A_ROW:
        raise StateError(what, hint=hint)
    log.warning("sink.rows_not_held", error=what, records=len(lacking), hint=hint)


def _lacking(server: ClickHouse, table: Table, partition: int, records: Sequence[_Seen]) -> list[_Seen]:
    """Those of the last of `records` in a row that the table does not hold, and that nothing explains."""
    kept = gone_before(server, table)
    asked = [each for each in records if each.day >= kept]
    if not asked:
        return []
    days = sorted({each.day for each in asked})
    found = server.rows(
        f"SELECT {table.offset_column} FROM {table.name} WHERE arrival_day IN {{days:Array(Date)}} "  # noqa: S608
        f"AND {table.of_partition} AND {table.offset_column} BETWEEN {{first:UInt64}} AND {{last:UInt64}}",
        days=days,
        partition=partition,
        first=asked[0].offset,
        last=asked[-1].offset,
    )
    held = {offset for (offset,) in found}
    raws = [each.raw_offset for each in asked if each.offset not in held and each.raw_offset is not None]
    if raws:
        sql = _RESTATED.replace("{of_raw}", _OF_RAW)
        restated = {raw for (raw,) in server.rows(sql, days=days, partition=partition, raws=raws)}
        held |= {each.offset for each in asked if each.raw_offset in restated}
    behind = max(held, default=-1)
    return [each for each in asked if each.offset > behind]


def _before(reader: Consumer, table: Table, topic: str, partition: int, committed: int) -> list[_Seen]:
    """The records before `committed` that Kafka has, of the last 1,000 offsets."""
    low, _ = kafka.watermarks(reader, topic, partition)
    out: list[_Seen] = []
    first = max(low, committed - _LOOKED_AT)
    if first < committed:
        for seen in _records(reader, table, topic, partition, first):
            if seen.offset >= committed:
                break
            out.append(seen)
            if seen.offset == committed - 1:
                break
    return out


def _records(reader: Consumer, table: Table, topic: str, partition: int, first: int) -> Iterator[_Seen]:
    """Records from `first` to the partition's end."""
    reader.assign([TopicPartition(topic, partition, first)])
    silent = 0
    while silent < _TIMEOUT_S:
        message = reader.poll(1.0)
        if message is None:
            silent += 1
            continue
        error = message.error()
        if error is None:
            silent = 0
            day = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC).date().isoformat()
            yield _Seen(message.offset(), day, _raw_offset(message.value()) if table.is_restated else None)
        elif error.code() == KafkaError._PARTITION_EOF:
            return
        elif kafka.is_fatal(error) or error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise KafkaException(error)
    raise UnavailableError(f"{topic}, partition {partition}, could not be read from {first}")


def _raw_offset(value: bytes | None) -> int | None:
    """Of a curated record; None where it cannot be read."""
    found = event_of(value or b"").get("raw_offset")
    return None if found is None else int(found)
