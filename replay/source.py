"""Reads raw records of spans, batch by batch, in offset order. Memory holds a batch, whatever the window."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from core import kafka
from core.errors import InvariantError, UnavailableError
from core.lanes import Lanes
from core.settings import Settings
from replay.coverage import Span
from sinks.clickhouse import ClickHouse
from streams.batch import RawRecord

BATCH_RECORDS = 10_000
_CONSUME_S = 1.0
_SILENCE_S = 30.0
_HEAD = struct.Struct("<Qq")


class TruncatedError(InvariantError):
    """Kafka has deleted records that were there when the window was looked up."""

    code = "truncated"


class Source:
    """Records of both places. `close` when done."""

    def __init__(self, settings: Settings, server: ClickHouse) -> None:
        self._settings = settings
        self._server = server
        self._lanes = Lanes.of(settings)
        self._consumer: Consumer | None = None

    def read(self, span: Span) -> Iterator[list[RawRecord]]:
        """Batches of all records of `span`.

        Raises:
            TruncatedError: Kafka has deleted records since `coverage` looked.
            InvariantError: the archive lacks a record that it had then.
            UnavailableError: Kafka or ClickHouse does not answer.
        """
        yield from (self._archive(span) if span.place == "archive" else self._kafka(span))

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()

    def _archive(self, span: Span) -> Iterator[list[RawRecord]]:
        lane, partition = self._lanes.lane(span.number), self._lanes.home(span.number)
        for first in range(span.first, span.last + 1, BATCH_RECORDS):
            last = min(first + BATCH_RECORDS - 1, span.last)
            data = self._server.fetch(
                "SELECT raw_offset, toUnixTimestamp64Milli(arrival_at), key, value FROM raw_archive "  # noqa: S608
                f"WHERE lane = '{lane}' AND raw_partition = {partition} AND raw_offset BETWEEN {first} AND {last} "
                "ORDER BY raw_offset",
                form="RowBinary",
            )
            records = list(_row_binary(data))
            if [record.offset for record in records] != list(range(first, last + 1)):
                raise InvariantError(
                    f"the archive has {len(records)} of the raw records {first} to {last} of partition {span.number}",
                    hint="It had all of them when the plan was made: plan again.",
                )
            yield records

    def _kafka(self, span: Span) -> Iterator[list[RawRecord]]:
        topic, partition = self._lanes.topic(span.number), self._lanes.home(span.number)
        consumer = self._consumer = self._consumer or Consumer(kafka.reader(self._settings, name="replay"))
        consumer.assign([TopicPartition(topic, partition, span.first)])
        due, silent_s = span.first, 0.0
        try:
            while due <= span.last:
                messages = consumer.consume(min(BATCH_RECORDS, span.last - due + 1), _CONSUME_S)
                records = []
                for message in messages:
                    error = message.error()
                    if error is None:
                        records.append(
                            RawRecord(message.offset(), message.timestamp()[1], message.key(), message.value())
                        )
                    elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                        raise _truncated(span, due)
                    elif kafka.is_fatal(error):
                        raise KafkaException(error)
                if not records:
                    silent_s += _CONSUME_S
                    if silent_s >= _SILENCE_S:
                        raise UnavailableError(f"Kafka has sent nothing of {topic}:{partition} for {_SILENCE_S:g} s")
                    continue
                silent_s = 0.0
                if records[0].offset != due or records[-1].offset - due + 1 != len(records):
                    raise _truncated(span, due)
                due = records[-1].offset + 1
                yield records
        finally:
            consumer.unassign()


def _truncated(span: Span, due: int) -> TruncatedError:
    return TruncatedError(
        f"the raw records from offset {due} of partition {span.number} are not in Kafka any more",
        hint="Its retention deletes them faster than they are read. Plan an earlier window, or with --source archive.",
    )


def _row_binary(data: bytes) -> Iterator[RawRecord]:
    """https://clickhouse.com/docs/interfaces/formats/RowBinary: numbers little-endian; a byte says NULL; text has its
    length before it (LEB128).
    """
    at, end = 0, len(data)
    while at < end:
        offset, arrival_ms = _HEAD.unpack_from(data, at)
        key, at = _nullable(data, at + _HEAD.size)
        value, at = _nullable(data, at)
        yield RawRecord(offset, arrival_ms, key, value)


def _nullable(data: bytes, at: int) -> tuple[bytes | None, int]:
    if data[at]:
        return None, at + 1
    at += 1
    length = shift = 0
    while True:
        byte = data[at]
        at += 1
        length |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
    return data[at : at + length], at + length
