"""Where the raw records of a window are kept: Kafka within its retention, the archive beyond it.

A record that both hold is read from Kafka. What the window should hold and nobody does is a gap, and is told; it is
never passed over in silence. Raw topics have no transactions and are not compacted: an offset that is missing between
two others is a record that was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from confluent_kafka import Consumer, KafkaException, TopicPartition

from core import kafka
from core.lanes import Lanes
from core.settings import Settings
from replay.selection import Selection
from sinks.clickhouse import ClickHouse, Parameter

Place = Literal["kafka", "archive"]
_TIMEOUT_S = 10.0
_STEP_OFFSETS = 100_000  # where the archive is asked for holes at once
_END = -1  # what Kafka answers where no record is as young, and what stands for no offset


@dataclass(frozen=True, slots=True)
class Span:
    """Raw offsets `first` to `last` (both included) of the partition of this number, all kept in `place`."""

    number: int
    first: int
    last: int
    place: Place

    @property
    def records(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Gap:
    """Raw offsets that belong into the window and are kept nowhere; `first` is -1 if not even that is known."""

    number: int
    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What one place has of a partition: offsets from `low` up to before `high`, and those of the window within."""

    low: int
    high: int
    first: int  # the first that is in the window or after it
    after: int  # the first that is after the window


@dataclass(frozen=True, slots=True)
class Archived:
    """What the archive has of a partition: `ranges` of offsets of the window, without a hole and in order; the last
    offset from `before` the window and the first from `after` it, -1 if it has none.
    """

    ranges: list[tuple[int, int]]
    before: int = -1
    after: int = -1


@dataclass(frozen=True, slots=True)
class Coverage:
    """`behind` is the number of records of the window that the live pipeline is not done with."""

    spans: list[Span]
    gaps: list[Gap]
    behind: int = 0

    @property
    def records(self) -> int:
        return sum(span.records for span in self.spans)


_NOTHING = Archived([])


def cover(
    selection: Selection,
    *,
    in_kafka: Mapping[int, Kept],
    archived: Mapping[int, Archived],
    through: Mapping[int, int],
    place: Place | None = None,
) -> Coverage:
    """Where each record of the window is.

    `through` holds for each number the last raw offset that is fully stored: what is later is still on its way and is
    left to the live pipeline. With a `place` nothing else is read.
    """
    spans: list[Span] = []
    gaps: list[Gap] = []
    behind = 0
    for number in sorted({*in_kafka, *archived}):
        kept = in_kafka.get(number) if place != "archive" else None
        copies = archived.get(number, _NOTHING) if place != "kafka" else _NOTHING
        last_stored = through.get(number, _END)
        if selection.offsets:
            wanted = [(each.first, each.last) for each in selection.offsets if each.partition == number]
        else:
            first, last = _begin(kept, copies), _last(kept, copies)
            if first is None:
                first = min([kept.low if kept is not None else 0, *(start for start, _ in copies.ranges[:1])])
                if first > 0:
                    gaps.append(Gap(number, _END, first - 1, _lost(first - 1, kept)))
            wanted = [(first, last)]
        for first, last in wanted:
            _place(number, first, min(last, last_stored), kept, copies.ranges, spans, gaps)
            behind += max(0, last - max(first - 1, last_stored))
    return Coverage(spans, gaps, behind)


def _begin(kept: Kept | None, copies: Archived) -> int | None:
    """The first offset of the window, None if nobody knows it."""
    if kept is not None and (kept.first > kept.low or kept.low == 0):
        return kept.first
    if copies.before != _END:
        return copies.before + 1
    if copies.ranges and copies.ranges[0][0] == 0:
        return 0
    return 0 if copies.after == 0 else None


def _last(kept: Kept | None, copies: Archived) -> int:
    """The last offset of the window; where nobody knows it, the last before what Kafka has, which is after it."""
    if kept is not None and (kept.after > kept.low or kept.low == 0):
        return kept.after - 1
    if copies.after != _END:
        return copies.after - 1
    if kept is not None:
        return kept.low - 1
    return copies.ranges[-1][1] if copies.ranges else copies.before


def _place(
    number: int,
    first: int,
    last: int,
    kept: Kept | None,
    ranges: list[tuple[int, int]],
    spans: list[Span],
    gaps: list[Gap],
) -> None:
    """Add the spans that hold `first` to `last`, and the gaps between them."""
    low, high = (kept.low, kept.high) if kept is not None else (first, first)
    pieces: list[tuple[int, int, Place]] = [(max(low, first), min(high - 1, last), "kafka")]
    for start, end in ranges:
        # Before and behind what Kafka has.
        pieces.append((max(start, first), min(end, last, low - 1), "archive"))
        pieces.append((max(start, first, high), min(end, last), "archive"))
    due = first
    for start, end, place in sorted(piece for piece in pieces if piece[0] <= piece[1]):
        if start > due:
            gaps.append(Gap(number, due, start - 1, _lost(due, kept)))
        spans.append(Span(number, start, end, place))
        due = end + 1
    if due <= last:
        gaps.append(Gap(number, due, last, _lost(due, kept)))


def _lost(offset: int, kept: Kept | None) -> str:
    if kept is not None and offset < kept.low:
        return "deleted from Kafka before it was archived"
    return "in neither Kafka nor the archive"


def look_in_kafka(settings: Settings, selection: Selection) -> dict[int, Kept]:
    """What Kafka keeps of both lanes, by number.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    lanes = Lanes.of(settings)
    consumer = Consumer(kafka.reader(settings, name="replay.look"))
    try:
        topics = [(number, lanes.topic(number), lanes.home(number)) for number in lanes.numbers]
        firsts = _offsets_at(consumer, topics, selection.from_ms)
        afters = _offsets_at(consumer, topics, selection.to_ms)
        out = {}
        for number, topic, partition in topics:
            low, high = kafka.watermarks(consumer, topic, partition)
            first, after = firsts[topic, partition], afters[topic, partition]
            out[number] = Kept(low, high, high if first == _END else first, high if after == _END else after)
    except KafkaException as error:
        raise kafka.unavailable(error, "the raw topics were looked up") from error
    finally:
        consumer.close()
    return out


def _offsets_at(consumer: Consumer, topics: Iterable[tuple[int, str, int]], at_ms: int) -> dict[tuple[str, int], int]:
    asked = [TopicPartition(topic, partition, at_ms) for _, topic, partition in topics]
    return {(found.topic, found.partition): found.offset for found in consumer.offsets_for_times(asked, _TIMEOUT_S)}


def look_in_archive(settings: Settings, server: ClickHouse, selection: Selection) -> dict[int, Archived]:
    """What the archive has of the window and next to it, by number."""
    lanes = Lanes.of(settings)
    first_day, last_day = selection.days
    bounds: dict[str, Parameter] = {"from_ms": selection.from_ms, "to_ms": selection.to_ms}
    begin, end = (f"fromUnixTimestamp64Milli({{{name}:Int64}})" for name in bounds)
    in_window = (
        f"arrival_day BETWEEN {{first_day:Date}} AND {{last_day:Date}} AND arrival_at >= {begin} AND arrival_at < {end}"
    )
    days: dict[str, Parameter] = {"first_day": first_day, "last_day": last_day}
    steps = server.rows(
        "SELECT lane, raw_partition, min(raw_offset), max(raw_offset), count() FROM raw_archive "  # noqa: S608 (as above)
        f"WHERE {in_window} GROUP BY lane, raw_partition, intDiv(raw_offset, {_STEP_OFFSETS}) "
        "ORDER BY lane, raw_partition, min(raw_offset)",
        **days,
        **bounds,
    )
    ranges: dict[int, list[tuple[int, int]]] = {}
    for lane, partition, first, last, records in steps:
        found = [(first, last)]
        if records <= last - first:
            # Rows are numbered: offset minus number is the same within a range that has no hole.
            within = server.rows(
                "SELECT min(raw_offset), max(raw_offset) FROM (SELECT raw_offset, "  # noqa: S608 (as above)
                f"raw_offset - row_number() OVER (ORDER BY raw_offset) AS run FROM raw_archive WHERE {in_window} "
                "AND lane = {lane:String} AND raw_partition = {partition:UInt32} "
                "AND raw_offset BETWEEN {first:UInt64} AND {last:UInt64}) GROUP BY run ORDER BY run",
                lane=lane,
                partition=partition,
                first=first,
                last=last,
                **days,
                **bounds,
            )
            found = [(start, end) for start, end in within]
        _append(ranges.setdefault(_number(lanes, lane, partition), []), found)
    beside = server.rows(
        f"SELECT lane, raw_partition, maxIf(toInt64(raw_offset), arrival_at < {begin}), countIf(arrival_at < {begin}), "  # noqa: S608
        f"minIf(toInt64(raw_offset), arrival_at >= {end}), countIf(arrival_at >= {end}) "
        "FROM raw_archive GROUP BY lane, raw_partition",
        **bounds,
    )
    out = {}
    for lane, partition, before, older, after, younger in beside:
        number = _number(lanes, lane, partition)
        out[number] = Archived(ranges.get(number, []), before if older else _END, after if younger else _END)
    return out


def _append(ranges: list[tuple[int, int]], more: Iterable[tuple[int, int]]) -> None:
    """Add `more`, which lie behind, to `ranges`; what has no hole between becomes one."""
    for first, last in more:
        if ranges and ranges[-1][1] + 1 == first:
            ranges[-1] = (ranges[-1][0], last)
        else:
            ranges.append((first, last))


def _number(lanes: Lanes, lane: str, partition: int) -> int:
    return lanes.number(lanes.live if lane == "live" else lanes.historic, partition)
