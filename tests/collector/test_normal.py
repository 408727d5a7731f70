"""What a raw record is made of: envelope, key, payload, times, and ids for events that bring none."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest

from collector.memory import MemoryPublisher
from core import ids
from core.clock import ManualClock
from schemas import envelope
from tests.collector.conftest import NOW_MS, Collect, event, payloads

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_full_event_byte_for_byte(collect: Collect, publisher: MemoryPublisher) -> None:
    sent = event(
        event_type="custom_event",
        name="order",
        version=3,
        user_id="u",
        url="/u",
        referrer="/r",
        properties={"a": 1},
        context={"b": 2},
        occurred_at="2025-12-31T23:00:00+00:00",
        sent_at="2026-01-01T00:00:00Z",
    )
    collect(sent, ("traceparent", TRACEPARENT), ("user-agent", "browser/1"))
    record = publisher.records[0]
    assert record.key == b"demo|v-1"
    read = envelope.decode(record.value)
    assert read.receipt_id != envelope.NO_RECEIPT
    assert read == envelope.Envelope(
        head=envelope.Head("order", 3, "demo", "bootstrap", "native", historical=False),
        receipt_id=read.receipt_id,
        received_at_ms=NOW_MS,
        traceparent=TRACEPARENT,
        user_agent="browser/1",
        client_ip="",
        payload=(
            b'{"event_id":"e-1","event_type":"custom_event","name":"order","session_id":"s-1","visitor_id":"v-1",'
            b'"user_id":"u","url":"/u","referrer":"/r","properties":{"a":1},"context":{"b":2},'
            b'"consent_state":"granted","occurred_at":%d,"sent_at":%d}' % (NOW_MS - 3_600_000, NOW_MS)
        ),
    )


def test_a_bare_event_has_every_key(collect: Collect, publisher: MemoryPublisher) -> None:
    collect({"event_type": "identity", "consent_state": "granted"})
    payload = payloads(publisher)[0]
    assert list(payload) == [
        *("event_id", "event_type", "name", "session_id", "visitor_id", "user_id", "url", "referrer"),
        *("properties", "context", "consent_state", "occurred_at", "sent_at"),
    ]
    assert (payload["properties"], payload["context"], payload["session_id"]) == ({}, {}, "")
    assert (payload["occurred_at"], payload["sent_at"]) == (NOW_MS, 0)
    assert envelope.decode(publisher.records[0].value).head.event == "identity"


def test_an_event_may_bring_the_visitors_own_agent_and_address(collect: Collect, publisher: MemoryPublisher) -> None:
    own = event(user_agent="phone/2", client_ip="203.0.113.77")
    collect([own, event(client_ip="no address")], ("user-agent", "server/1"))
    first, second = (envelope.decode(record.value) for record in publisher.records)
    assert (first.user_agent, first.client_ip) == ("phone/2", "203.0.113.0")
    assert (second.user_agent, second.client_ip) == ("server/1", "")
    assert first.receipt_id == second.receipt_id
    assert b"203.0.113.77" not in publisher.records[0].value


def test_an_import_tells_nothing_of_who_runs_it(collect: Collect, publisher: MemoryPublisher) -> None:
    collect({"events": [event()], "historical": True}, ("user-agent", "curl/8"))
    read = envelope.decode(publisher.records[0].value)
    assert (read.user_agent, read.client_ip) == ("", "")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        TRACEPARENT.replace("b7ad6b7169203331", "0" * 16),
        TRACEPARENT.upper(),
        TRACEPARENT + "\n",
        "01" + TRACEPARENT[2:],
        TRACEPARENT + "-x",
    ],
)
def test_a_bad_traceparent_is_dropped(collect: Collect, publisher: MemoryPublisher, header: str) -> None:
    assert collect(event(), ("traceparent", header)).status == 200
    assert envelope.decode(publisher.records[0].value).traceparent == ""


def _occurred(publisher: MemoryPublisher) -> list[int]:
    return [payload["occurred_at"] for payload in payloads(publisher)]


def test_clock_skew_is_corrected_by_the_events_sent_at_else_the_batchs(
    collect: Collect, publisher: MemoryPublisher
) -> None:
    behind = {"occurred_at": "2025-12-31T20:00:00Z"}
    events = [event(**behind), event(**behind, sent_at="2025-12-31T22:00:00Z")]
    collect({"events": events, "sent_at": "2025-12-31T23:00:00Z"})
    assert _occurred(publisher) == [NOW_MS - 3 * 3_600_000, NOW_MS - 2 * 3_600_000]
    assert [payload["sent_at"] for payload in payloads(publisher)] == [NOW_MS - 3_600_000, NOW_MS - 7_200_000]


def test_historical_takes_times_as_they_are(collect: Collect, publisher: MemoryPublisher) -> None:
    events = [event(occurred_at="1999-01-01T00:00:00Z"), event(occurred_at="2030-01-01T00:00:00Z"), event()]
    collect({"events": events, "sent_at": "2025-01-01T00:00:00Z", "historical": True})
    assert _occurred(publisher) == [915_148_800_000, 1_893_456_000_000, NOW_MS]
    assert envelope.decode(publisher.records[0].value).head.historical is True
    assert not any("time_clamped" in payload for payload in payloads(publisher))


def test_times_that_cannot_be_believed_become_now_and_say_so(collect: Collect, publisher: MemoryPublisher) -> None:
    times = [
        "2026-01-01T23:00:00Z",
        "2026-01-01T23:00:00.001Z",
        "2006-01-06T00:00:00Z",
        "2006-01-05T23:59:59.999Z",
        ...,
    ]
    reply = collect([event(occurred_at=each) for each in times])
    assert _occurred(publisher) == [NOW_MS + 23 * 3_600_000, NOW_MS, 1_136_505_600_000, NOW_MS, NOW_MS]
    flags = ["", "future", "", "past", ""]
    assert [payload.get("time_clamped", "") for payload in payloads(publisher)] == flags
    assert [verdict.get("time_clamped", "") for verdict in reply.events] == flags


def test_a_clamped_retry_keeps_its_natural_key(collect: Collect, clock: ManualClock) -> None:
    first = collect(event(event_id=..., occurred_at="1980-01-06T00:00:00Z")).events[0]
    clock.advance(60)
    again = collect(event(event_id=..., occurred_at="1980-01-06T00:00:00Z")).events[0]
    assert (first["event_id"], first["time_clamped"]) == (again["event_id"], "past")


def test_natural_key(collect: Collect) -> None:
    sent = event(event_id=..., event_type="custom_event", name="order", occurred_at="2025-12-31T23:00:00.5+01:00")
    reply = collect(sent)
    assert reply.events[0] == {
        "event_id": ids.derived(ids.NATURAL_KEY, "demo", "s-1", "order", "1767218400500"),
        "verdict": "accepted",
        "event_id_source": "natural_key",
        "receipt": "memory-0-0",
    }


def test_a_retry_has_the_same_ids_whenever_it_arrives(
    collect: Collect, publisher: MemoryPublisher, clock: ManualClock
) -> None:
    for sent_at in ("2025-12-31T23:00:01Z", "2025-12-31T23:07:00Z"):
        collect(event(event_id=..., visitor_id=..., occurred_at="2025-12-31T23:00:00Z", sent_at=sent_at))
        collect(
            event(event_id=..., visitor_id=..., session_id=..., occurred_at="2025-12-31T23:00:00Z", sent_at=sent_at)
        )
        clock.advance(419.0)
    first = payloads(publisher)[:2]
    again = payloads(publisher)[2:]
    assert [p["event_id"] for p in first] == [p["event_id"] for p in again]
    assert [r.key for r in publisher.records[:2]] == [r.key for r in publisher.records[2:]]
    assert first[0]["visitor_id"] == ids.derived(ids.VISITOR, "demo", "s-1")


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": "s-2"},
        {"event_type": "identity"},
        {"name": "other"},
        {"occurred_at": "2025-12-31T23:00:00.001Z"},
        {"session_id": ..., "visitor_id": "v-2"},
    ],
)
def test_different_events_have_different_natural_keys(collect: Collect, change: dict[str, Any]) -> None:
    base: dict[str, Any] = {"event_id": ..., "occurred_at": "2025-12-31T23:00:00Z"}
    other = {"session_id": ...} if change.get("session_id") is ... else {}
    reply = collect([event(**base, **other), event(**(base | change))])
    assert reply.events[0]["event_id"] != reply.events[1]["event_id"]


def test_without_id_and_time_an_id_is_assigned(collect: Collect) -> None:
    verdicts = collect([event(event_id=...), event(event_id=...), event(event_id=None)]).events
    assert {verdict["event_id_source"] for verdict in verdicts} == {"assigned"}
    assert len({uuid.UUID(verdict["event_id"]) for verdict in verdicts}) == 3


def test_a_sent_id_has_no_source(collect: Collect) -> None:
    assert msgspec.json.encode(collect(event()).events[0]) == (
        b'{"event_id":"e-1","verdict":"accepted","receipt":"memory-0-0"}'
    )
