"""What the sink stores besides events: every raw record byte for byte, dead letters, outcomes, audit, abuse."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from core import kafka
from core.topics import Topics
from schemas import framing
from schemas.registry import bundled
from sinks.clickhouse import ClickHouse

pytestmark = pytest.mark.stack

_TIMEOUT_S = 30.0


def _eventually(server: ClickHouse, sql: str, expected: Any, **parameters: Any) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while (found := server.scalar(sql, **parameters)) != expected:
        assert time.monotonic() < deadline, (sql, found, expected)
        time.sleep(0.1)


@pytest.fixture
def topics(client: Any) -> Topics:
    return Topics.named(client.stack.settings.topic_prefix)


@pytest.fixture
def producer(client: Any) -> Iterator[Producer]:
    made = Producer(kafka.producer(client.stack.settings))
    yield made
    assert made.flush(_TIMEOUT_S) == 0


def _on_topic(client: Any, topic: str) -> list[tuple[Any, ...]]:
    settings = client.stack.settings
    reader = Consumer(kafka.reader(settings, name=uuid.uuid4().hex))
    reader.assign([TopicPartition(topic, partition, 0) for partition in range(settings.partitions)])
    hexed = [
        (m.partition(), m.offset(), m.timestamp()[1], *(None if b is None else b.hex() for b in (m.key(), m.value())))
        for m in kafka.read_to_end(reader, partitions=settings.partitions)
    ]
    reader.close()
    return sorted(hexed)


@pytest.mark.parametrize("lane", ["live", "historic"])
def test_the_archive_is_the_raw_topic(client: Any, topics: Topics, producer: Producer, lane: str) -> None:
    topic = topics.raw if lane == "live" else topics.raw_historic
    visitor = uuid.uuid4().hex
    events = [
        {"event_type": "page_view", "visitor_id": f"{visitor}-{n % 7}", "consent_state": "granted", "url": f"/{n}"}
        for n in range(50)
    ]
    assert client.send({"historical": lane == "historic", "events": events})[0] == 200
    for partition, (key, value) in enumerate(
        [(None, None), (b"", b""), (b"k", b"\xff\0poison"), (None, b"x" * 70_000)]
    ):
        producer.produce(topic, value, key, partition=partition)
    producer.flush(_TIMEOUT_S)
    client.settle()
    sent = _on_topic(client, topic)
    assert len(sent) >= 54
    _eventually(client.server, "SELECT count() FROM raw_archive WHERE lane = {lane:String}", len(sent), lane=lane)
    archived = client.server.rows(
        "SELECT raw_partition, raw_offset, toUnixTimestamp64Milli(arrival_at), lower(hex(key)), lower(hex(value)) "
        "FROM raw_archive WHERE lane = {lane:String} ORDER BY raw_partition, raw_offset",
        lane=lane,
    )
    assert [tuple(row) for row in archived] == sent
    assert client.server.scalar("SELECT countIf(arrival_day != toDate(arrival_at)) FROM raw_archive_log") == 0


def test_every_raw_offset_has_its_outcome_in_the_tables_too(client: Any, topics: Topics, producer: Producer) -> None:
    trace = uuid.uuid4().hex
    bad = {"event_type": "page_view", "visitor_id": trace, "consent_state": "granted", "properties": {"status": "no"}}
    assert client.send([bad, {"event_type": "page_view", "visitor_id": trace, "consent_state": "granted"}])[0] == 200
    producer.produce(topics.raw, trace.encode())
    producer.flush(_TIMEOUT_S)
    counts = client.settle()
    outcomes = "SELECT sum(run.3) FROM outcomes ARRAY JOIN runs AS run WHERE run.1 = {kind:String}"
    for kind, count in counts.items():
        _eventually(client.server, outcomes, count, kind=kind)
    _eventually(client.server, "SELECT count() FROM dead_letters", counts["dead_letter"])
    _eventually(client.server, "SELECT count() FROM dead_letters_pii WHERE raw = {raw:String}", 1, raw=trace)
    rows = client.server.rows(
        "SELECT raw_partition, min(first), max(last) + 1 - min(first), sum(last + 1 - first) FROM outcomes "
        "GROUP BY raw_partition"
    )
    assert all(first == 0 and span == records for _, first, span, records in rows), rows
    dead = client.server.rows(
        "SELECT code, faults.path FROM dead_letters_pii WHERE position(raw, {id:String}) ORDER BY code", id=trace
    )
    assert sorted(dead) == sorted([["bad_envelope", ["$"]], ["wrong_type", ["$.properties.status"]]]), dead


RECORDS: dict[str, dict[str, Any]] = {
    "audit": {"id": "i", "at": 1, "action": "x", "actor": "a", "subject": "k", "network": "", "detail": {"k": "v"}},
    "abuse": {
        **dict.fromkeys(("id", "collector", "key_id", "network", "reason"), "x"),
        **dict.fromkeys(("since", "until", "requests"), 1),
    },
}


@pytest.mark.parametrize("subject", RECORDS)
def test_what_is_said_of_the_system_is_stored(client: Any, topics: Topics, producer: Producer, subject: str) -> None:
    tenant = uuid.uuid4().hex
    schema = bundled().latest(subject)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, RECORDS[subject] | {"tenant": tenant})
    producer.produce(getattr(topics, subject), framing.prefix(schema.id) + out.getvalue())
    producer.flush(_TIMEOUT_S)
    _eventually(client.server, f"SELECT count() FROM {subject} WHERE tenant = {{t:String}}", 1, t=tenant)
