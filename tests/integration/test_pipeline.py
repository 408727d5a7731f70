"""One event's way through real parts: HTTP, Kafka, streams, ClickHouse."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
import urllib3
from confluent_kafka import Consumer, TopicPartition

from core import kafka
from core.topics import Topics
from infra import topics
from schemas import envelope
from sinks import migrate
from streams.records import DeadLetter, decode_dead_letter

pytestmark = pytest.mark.stack


def _event(**fields: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid.uuid4()),
        "event_type": "page_view",
        "visitor_id": "v1",
        "session_id": "s1",
        "url": "https://shop.example/p/1?utm_source=mail&utm_medium=news&utm_campaign=may",
        "referrer": "https://news.example/",
        "properties": {"status": 200, "title": "Grüße 'n \\ \n\t"},
        "consent_state": "granted",
        "occurred_at": "2026-03-01T10:00:00.123+02:00",
    } | fields


def _rows(client: Any, visitor: str, *, expected: int) -> list[list[Any]]:
    deadline = time.monotonic() + 20
    while True:
        rows: list[list[Any]] = client.server.rows(
            "SELECT event_id, url, properties, toUnixTimestamp64Milli(occurred_at), path, referrer_host, utm_source "
            "FROM events WHERE visitor_id = {v:String} ORDER BY raw_offset",
            v=visitor,
        )
        if len(rows) >= expected or time.monotonic() > deadline:
            return rows
        time.sleep(0.05)


def _dead_letters(client: Any) -> list[DeadLetter]:
    settings = client.stack.settings
    topic = Topics.named(settings.topic_prefix).dead_letters
    reader = Consumer(kafka.reader(settings, name="test"))
    reader.assign([TopicPartition(topic, p, 0) for p in range(settings.partitions)])
    try:
        return [decode_dead_letter(m.value()) for m in kafka.read_to_end(reader, partitions=settings.partitions)]
    finally:
        reader.close()


def test_an_event_becomes_a_row_with_its_content(client: Any) -> None:
    visitor = f"v-{uuid.uuid4()}"
    event = _event(visitor_id=visitor)
    status, answer = client.send(event)
    assert status == 200
    assert answer["accepted"] == 1
    [row] = _rows(client, visitor, expected=1)
    assert row == [
        event["event_id"],
        event["url"],
        '{"status":200,"title":"Grüße \'n \\\\ \\n\\t"}',
        1772352000123,
        "/p/1",
        "news.example",
        "mail",
    ]


def test_repeats_are_absorbed_within_and_across_requests(client: Any) -> None:
    visitor = f"v-{uuid.uuid4()}"
    event = _event(visitor_id=visitor)
    before = client.settle()
    client.send({"events": [event, event]})
    client.send(event)
    after = client.settle()
    assert after["curated"] - before.get("curated", 0) == 1
    assert after["duplicate"] - before.get("duplicate", 0) == 2
    assert len(_rows(client, visitor, expected=1)) == 1


def test_a_broken_contract_is_dead_lettered_with_its_reason_and_costs_no_neighbour(client: Any) -> None:
    visitor = f"v-{uuid.uuid4()}"
    bad = _event(visitor_id=visitor, properties={"status": "two hundred"})
    good = [_event(visitor_id=visitor), _event(visitor_id=visitor)]
    status, answer = client.send({"events": [good[0], bad, good[1]]})
    assert (status, answer["accepted"]) == (200, 3)  # contract judgement is the streams'
    rows = _rows(client, visitor, expected=2)
    assert [row[0] for row in rows] == [good[0]["event_id"], good[1]["event_id"]]
    client.settle()
    [letter] = [x for x in _dead_letters(client) if bad["event_id"].encode() in x.raw]
    assert (letter.code, letter.faults[0].path) == ("wrong_type", "$.properties.status")
    assert letter.faults[0].got == 'string "two hundred"'  # the contract calls the field nothing personal
    assert envelope.decode(letter.raw).head.tenant == client.stack.settings.bootstrap_tenant


def test_poison_on_the_raw_topic_gets_an_outcome_and_the_next_event_flows(client: Any) -> None:
    from confluent_kafka import Producer

    settings = client.stack.settings
    before = client.settle()
    producer = Producer(kafka.producer(settings))
    poison = [b"", b"\x00", b"\x07abc", b"\x00\x00\x00\x00\x01", b"\xff" * 50, b"\x00\x00\x00\x00\x63abc", None]
    for value in poison:
        producer.produce(Topics.named(settings.topic_prefix).raw, value, b"k")
    assert producer.flush(10) == 0
    visitor = f"v-{uuid.uuid4()}"
    client.send(_event(visitor_id=visitor))
    assert len(_rows(client, visitor, expected=1)) == 1
    after = client.settle()
    assert after["dead_letter"] - before.get("dead_letter", 0) == len(poison)


def test_no_consent_is_never_written(client: Any) -> None:
    visitor = f"v-{uuid.uuid4()}"
    before = client.settle()
    status, answer = client.send(
        {"events": [_event(visitor_id=visitor, consent_state=s) for s in ("pending", "denied")]}
    )
    assert (status, answer["consent_dropped"]) == (200, 2)
    assert client.settle() == before


def test_a_wrong_key_is_refused(client: Any) -> None:
    before = client.settle()
    status, answer = client.send(_event(), key="slc_live_wrong")
    assert (status, answer["status"], answer["code"]) == (401, 401, "unauthorized")
    assert client.settle() == before


def test_rollups_equal_a_recount(client: Any) -> None:
    client.send({"events": [_event(visitor_id=f"r{i % 7}", url=f"/page/{i % 3}") for i in range(50)]})
    _rows(client, "r0", expected=8)
    client.settle()
    deadline = time.monotonic() + 10
    checks = {
        "SELECT sum(views) FROM page_views_daily": "SELECT count() FROM events WHERE event_type = 'page_view'",
        "SELECT sum(visitors) FROM page_views_daily": (
            "SELECT sum(v) FROM (SELECT uniqExact(visitor_id) AS v FROM events WHERE event_type = 'page_view' "
            "GROUP BY tenant, toDate(occurred_at))"
        ),
        "SELECT sum(events) FROM events_daily": "SELECT count() FROM events",
        "SELECT sum(views) FROM pages_daily WHERE path = '/page/1'": (
            "SELECT count() FROM events WHERE path = '/page/1' AND event_type = 'page_view'"
        ),
        "SELECT sum(views) FROM utm_daily": (
            "SELECT count() FROM events WHERE utm_source != '' AND event_type = 'page_view'"
        ),
    }
    for rollup, recount in checks.items():
        while (answers := (client.server.scalar(rollup), client.server.scalar(recount)))[0] != answers[1]:
            assert time.monotonic() < deadline, (rollup, answers)
            time.sleep(0.1)
        assert answers[0] > 0


def test_topics_and_migrations_are_idempotent_and_declared_settings_are_restored(client: Any) -> None:
    settings = client.stack.settings
    assert topics.apply(settings) == []
    assert migrate.apply(settings) == []


def test_health_and_metrics(client: Any) -> None:
    base = client.stack.endpoints.collector_url
    assert urllib3.request("GET", f"{base}/health/ready").status == 200
    client.send(_event())
    text = urllib3.request("GET", f"{base}/metrics").data.decode()
    assert 'sluice_collector_events_total{verdict="accepted"}' in text


def test_a_time_that_cannot_be_believed_is_flagged_down_to_the_table(client: Any) -> None:
    visitor = f"v-{uuid.uuid4()}"
    times = ["2999-01-01T00:00:00Z", "1980-01-06T00:00:00Z", None]
    events = [_event(visitor_id=visitor, occurred_at=each) for each in times]
    status, answer = client.send({"events": events})
    assert (status, [each.get("time_clamped") for each in answer["events"]]) == (200, ["future", "past", None])
    assert len(_rows(client, visitor, expected=3)) == 3
    found = client.server.rows(
        "SELECT time_clamped, occurred_at = received_at FROM events WHERE visitor_id = {v:String} ORDER BY raw_offset",
        v=visitor,
    )
    assert found == [["future", 1], ["past", 1], ["", 1]]
