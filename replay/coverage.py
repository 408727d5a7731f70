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
from sinks.clickhouse import ClickHouse

Place = Literal["kafka", "archive"]
_TIMEOUT_S = 10.0
_END = -1  # what Kafka answers where no record is as young


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
class Coverage:
    spans: list[Span]
    gaps: list[Gap]

    @property
    def records(self) -> int:
        return sum(span.records for span in self.spans)


def cover(
    selection: Selection,
    *,
    in_kafka: Mapping[int, Kept],
    archived: Mapping[int, list[tuple[int, int]]],
    through: Mapping[int, int],
    place: Place | None = None,
) -> Coverage:
    """Where each record of the window is.

    `archived` holds, for each number, the ranges of offsets that the archive has of the window, in order; `through` the
    last raw offset that is fully stored: what is later is still on its way and is left to the live pipeline. With a
    `place` nothing else is read.
    """
    spans: list[Span] = []
    gaps: list[Gap] = []
    for number in sorted({*in_kafka, *archived}):
        kept = in_kafka.get(number) if place != "archive" else None
        ranges = archived.get(number, []) if place != "kafka" else []
        last_stored = through.get(number, _END)
        wanted = [(o.first, o.last) for o in selection.offsets if o.partition == number] if selection.offsets else None
        if wanted is None:
            known = _window(kept, ranges)
            if known is None:
                continue
            first, last, begins_unknown = known
            if begins_unknown:
                gaps.append(Gap(number, _END, first - 1, "deleted from Kafka before it was archived"))
            wanted = [(first, last)]
        for first, last in wanted:
            _place(number, first, min(last, last_stored), kept, ranges, spans, gaps)
    return Coverage(spans, gaps)


def _window(kept: Kept | None, ranges: list[tuple[int, int]]) -> tuple[int, int, bool] | None:
    """First and last offset of the window, and whether there may be earlier ones that nobody knows of."""
    if kept is None:
        return (ranges[0][0], ranges[-1][1], False) if ranges else None
    first, last = kept.first, kept.after - 1
    if ranges:
        first, last = min(first, ranges[0][0]), max(last, ranges[-1][1])
    if first > last:
        return None
    # Kafka's oldest record is in the window: what came before it may have been, too.
    begins_unknown = first == kept.low and kept.low > 0 and not ranges
    return first, last, begins_unknown


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
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S)
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


def look_in_archive(settings: Settings, server: ClickHouse, selection: Selection) -> dict[int, list[tuple[int, int]]]:
    """Ranges of offsets without a hole that the archive has of the window, by number."""
    lanes = Lanes.of(settings)
    first_day, last_day = selection.days
    # Rows are numbered: offset minus number is the same within a range that has no hole.
    rows = server.rows(
        "SELECT lane, raw_partition, min(raw_offset), max(raw_offset) FROM ("
        "SELECT lane, raw_partition, raw_offset, "
        "raw_offset - row_number() OVER (PARTITION BY lane, raw_partition ORDER BY raw_offset) AS run FROM raw_archive "
        "WHERE arrival_day BETWEEN {first_day:Date} AND {last_day:Date} "
        "AND arrival_at >= fromUnixTimestamp64Milli({from_ms:Int64}) "
        "AND arrival_at < fromUnixTimestamp64Milli({to_ms:Int64})) "
        "GROUP BY lane, raw_partition, run ORDER BY lane, raw_partition, min(raw_offset)",
        first_day=first_day,
        last_day=last_day,
        from_ms=selection.from_ms,
        to_ms=selection.to_ms,
    )
    out: dict[int, list[tuple[int, int]]] = {}
    for lane, partition, first, last in rows:
        number = lanes.number(lanes.live if lane == "live" else lanes.historic, partition)
        out.setdefault(number, []).append((first, last))
    return out
