"""Rows that ClickHouse refuses become dead letters with the code `refused`: one each, in the Kafka transaction that
also commits that the record is done. So a record is a row or a dead letter, never both and never neither.

A dead letter holds the raw record. Where the record itself cannot be read, it does not say which raw record it stems
from: the dead letter then has no coordinates (-1) and holds the record.
"""

from __future__ import annotations

import io
import time
from typing import Any, cast

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from core import kafka, transactions
from core.errors import InputError, UnavailableError
from core.failpoints import hit
from core.lanes import Lanes
from core.log import get_logger
from core.metrics import counter
from core.settings import Settings
from core.topics import Topics
from schemas import framing
from schemas.faults import Fault, fingerprint
from schemas.registry import bundled
from sinks.generations.handover import sink_group
from sinks.row import Row
from sinks.tables import Table

log = get_logger(__name__)

CODE = "refused"
_FETCH_TIMEOUT_S = 10.0


class Refusals:
    """Writes dead letters of refused rows. Connects when there is a first one: most sinks never see one."""

    def __init__(self, settings: Settings, consumer: Consumer) -> None:
        self._settings = settings
        self._topics = Topics.named(settings.topic_prefix)
        self._consumer = consumer
        self._producer: Producer | None = None

    def refuse(self, topic: str, table: Table, partition: int, row: Row, reason: str) -> None:
        """Write the dead letter and commit the record, both or neither. Not to be called inside a rebalance callback.

        Raises:
            UnavailableError: neither was done; call again later.
            KafkaException: the client is dead.
        """
        if not row.has_day:
            row = row._replace(arrival_ms=time.time_ns() // 1_000_000)  # of the letter, which must not be refused too
        letter = self._letter(topic, table, row, reason)
        producer = self._connected()
        hit("refusals.before_commit")
        try:
            producer.begin_transaction()
            producer.produce(self._topics.dead_letters, letter, partition=partition, timestamp=row.arrival_ms)
            done = TopicPartition(topic, partition, row.offset + 1)
            group = self._consumer.consumer_group_metadata()
            kafka.retry(
                lambda: producer.send_offsets_to_transaction([done], group, kafka.CALL_TIMEOUT_S),
                "the offset of a refused row was added to the transaction",
            )
            kafka.retry(lambda: producer.commit_transaction(kafka.CALL_TIMEOUT_S), "a refusal was committed")
        except KafkaException as error:
            cause = error.args[0]
            if not cause.txn_requires_abort():
                raise
            kafka.retry(lambda: producer.abort_transaction(kafka.CALL_TIMEOUT_S), "a refusal was aborted")
            raise UnavailableError(f"a refused row could not be written as a dead letter: {cause.str()}") from error
        hit("refusals.after_commit")
        counter("sluice_sink_refused_rows_total").labels(table.name).inc()
        log.error("sink.row_refused", topic=topic, partition=partition, offset=row.offset, reason=reason)

    def end_forgotten(self) -> None:
        """End a refusal of this sink that Kafka forgot to end: it keeps the group's offsets from being told.

        Raises:
            KafkaException: the client is dead.
        """
        transactions.end_forgotten(
            self._connected(), self._settings, group=sink_group(self._settings), topic=self._topics.curated
        )

    def _connected(self) -> Producer:
        if self._producer is None:
            name = f"{self._settings.topic_prefix}sink.{self._settings.sink_worker_id}"
            producer = Producer(kafka.transactional_producer(self._settings, transactional_id=name))
            transactions.fence(producer, self._settings, group=sink_group(self._settings), topic=self._topics.curated)
            self._producer = producer
        return self._producer

    def _letter(self, topic: str, table: Table, row: Row, reason: str) -> bytes:
        event = event_of(row.value or b"") if topic == self._topics.curated else {}
        raw = self._raw(event["raw_partition"], event["raw_offset"]) if event else row.value
        name, version = event.get("event", ""), event.get("version", 0)
        faults = [Fault(CODE, "$", f"a row of {table.name}", reason)]
        schema = bundled().latest("dead_letter")
        out = io.BytesIO()
        out.write(framing.prefix(schema.id))
        fastavro.schemaless_writer(
            out,
            schema.parsed,
            {
                "raw_partition": event.get("raw_partition", -1),
                "raw_offset": event.get("raw_offset", -1),
                "arrival_at": row.arrival_ms,
                "tenant": event.get("tenant", ""),
                "event": name,
                "version": version,
                "code": CODE,
                "faults": [{"code": f.code, "path": f.path, "expected": f.expected, "got": f.got} for f in faults],
                "fingerprint": fingerprint(name, version, faults),
                "traceparent": "",
                "raw": raw or b"",
            },
        )
        return out.getvalue()

    def _raw(self, number: int, offset: int) -> bytes:
        """Value of the raw record (`number` is that of its partition among both lanes); empty if it is deleted.

        Raises:
            UnavailableError: Kafka does not answer.
        """
        lanes = Lanes.of(self._settings)
        if number not in lanes.numbers:
            return b""
        reader = Consumer(kafka.reader(self._settings, name="refusals"))
        try:
            reader.assign([TopicPartition(lanes.topic(number), lanes.home(number), offset)])
            for _ in range(int(_FETCH_TIMEOUT_S)):
                message = reader.poll(1.0)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    return (message.value() or b"") if message.offset() == offset else b""
                if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError._PARTITION_EOF}:
                    return b""
        finally:
            reader.close()
        raise UnavailableError(f"offset {offset} of raw partition {number} could not be read")


def event_of(value: bytes) -> dict[str, Any]:
    """Fields of a curated record; none if it cannot be read."""
    try:
        schema, at = framing.opened(value, "event")
        return cast(dict[str, Any], fastavro.schemaless_reader(io.BytesIO(value[at:]), schema.plain))
    except (InputError, EOFError, LookupError, ValueError, OverflowError):  # what fastavro leaves of corrupt bytes
        return {}
