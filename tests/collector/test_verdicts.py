"""The contract of one event: what is accepted, what is refused and how that is said."""

from __future__ import annotations

from typing import Any

import pytest

from collector.memory import MemoryPublisher
from tests.collector.conftest import Collect, event, payloads

GOOD = event(event_id="good")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"event_type": ...}, "missing_field", "$.event_type"),
        ({"event_type": "click"}, "invalid_field", "$.event_type"),
        ({"event_type": None}, "invalid_field", "$.event_type"),
        ({"event_type": "custom_event"}, "missing_field", "$.name"),
        ({"event_type": "custom_event", "name": ""}, "missing_field", "$.name"),
        ({"name": "n" * 201}, "invalid_field", "$.name"),
        ({"event_id": ""}, "invalid_field", "$.event_id"),
        ({"event_id": "e" * 129}, "invalid_field", "$.event_id"),
        ({"event_id": 7}, "invalid_field", "$.event_id"),
        ({"session_id": "s" * 257}, "invalid_field", "$.session_id"),
        ({"visitor_id": ["v"]}, "invalid_field", "$.visitor_id"),
        ({"url": "u" * 8193}, "invalid_field", "$.url"),
        ({"version": -1}, "invalid_field", "$.version"),
        ({"version": 1.5}, "invalid_field", "$.version"),
        ({"version": True}, "invalid_field", "$.version"),
        ({"version": 2**70}, "invalid_field", "$.version"),
        ({"properties": []}, "invalid_field", "$.properties"),
        ({"properties": "x"}, "invalid_field", "$.properties"),
        ({"context": 1}, "invalid_field", "$.context"),
        ({"properties": {"a": "x" * 16_377}}, "too_large", "$.properties"),
        ({"context": {"a": "x" * 16_377}}, "too_large", "$.context"),
        ({"consent_state": "yes"}, "invalid_field", "$.consent_state"),
        ({"occurred_at": "yesterday"}, "bad_timestamp", "$.occurred_at"),
        ({"occurred_at": "2026-01-01T00:00:00"}, "bad_timestamp", "$.occurred_at"),
        ({"occurred_at": 1_767_225_600}, "bad_timestamp", "$.occurred_at"),
        ({"sent_at": "2016-12-31T23:59:60Z"}, "bad_timestamp", "$.sent_at"),
        ({"sentAt": "2026-01-01T00:00:00Z"}, "unknown_field", "$.sentAt"),
        ({"x` - at `$.y": 1}, "unknown_field", "$.x` - at `$.y"),
        ({"event_type": "x RFC3339 - at `$.y`"}, "invalid_field", "$.event_type"),
        ({"k" * 300: 1}, "unknown_field", "$." + "k" * 100),
        ({"session_id": "a\nb"}, "invalid_field", "$.session_id"),
        ({"event_id": "a\0"}, "invalid_field", "$.event_id"),
        ({"name": "\x1b[31m"}, "invalid_field", "$.name"),
        ({"tenant": "other"}, "tenant_mismatch", "$.tenant"),
    ],
)
def test_a_bad_event_is_named_and_its_neighbours_live(
    collect: Collect, publisher: MemoryPublisher, change: dict[str, Any], code: str, field: str
) -> None:
    reply = collect([GOOD, event(**change), GOOD])
    assert reply.status == 200
    bad = reply.events[1]
    assert (bad["verdict"], bad["index"], bad["code"], bad["field"]) == ("rejected", 1, code, field)
    assert bad["message"]
    assert [verdict["verdict"] for verdict in reply.events] == ["accepted", "rejected", "accepted"]
    assert len(publisher.records) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"event_id": "e" * 128},
        {"name": "n" * 200},
        {"session_id": "s" * 256},
        {"url": "u" * 8192},
        {"properties": {"a": "x" * 16_376}},
        {"version": 2**31 - 1},
        {"name": "Käse ☕ 😀"},
        {"properties": {"big": 2**100, "deep": [[[[]]]]}},
        {"tenant": "demo"},
        {"key_id": "k1"},
        {"properties": None, "context": None, "url": None, "user_id": None, "version": None},
        {"occurred_at": "2026-01-01T00:00:00.123456789+05:30"},
    ],
)
def test_limits_themselves_are_accepted(collect: Collect, publisher: MemoryPublisher, change: dict[str, Any]) -> None:
    reply = collect(event(**change))
    assert (reply.status, reply.json["accepted"], len(publisher.records)) == (200, 1, 1)


@pytest.mark.parametrize("state", ["pending", "denied", None, ...])
def test_without_consent_nothing_is_written(collect: Collect, publisher: MemoryPublisher, state: Any) -> None:
    reply = collect([event(consent_state=state), GOOD])
    assert reply.status == 200
    assert reply.events[0] == {
        "event_id": "e-1",
        "verdict": "consent_dropped",
        "index": 0,
        "code": "no_consent",
    }
    assert (reply.json["consent_dropped"], reply.json["accepted"]) == (1, 1)
    assert [payload["event_id"] for payload in payloads(publisher)] == ["good"]


def test_the_answer_has_one_verdict_an_event_in_order(collect: Collect) -> None:
    reply = collect(
        {"events": [event(event_id="a"), event(event_id="b", consent_state="denied"), 5, event(event_id="c")]}
    )
    assert reply.json == {
        "accepted": 2,
        "rejected": 1,
        "consent_dropped": 1,
        "retry": 0,
        "events": [
            {"event_id": "a", "verdict": "accepted", "receipt": "memory-0-0"},
            {"event_id": "b", "verdict": "consent_dropped", "index": 1, "code": "no_consent"},
            {
                "event_id": None,
                "verdict": "rejected",
                "index": 2,
                "code": "invalid_field",
                "message": "Expected `object`, got `int`",
            },
            {"event_id": "c", "verdict": "accepted", "receipt": "memory-0-1"},
        ],
    }


def test_a_rejected_event_keeps_its_id(collect: Collect) -> None:
    assert collect(event(event_id="mine", typo=1)).events[0]["event_id"] == "mine"


def test_the_last_of_duplicate_keys_counts(collect: Collect, publisher: MemoryPublisher) -> None:
    body = (
        b'{"event_type":"page_view","event_id":"a","event_id":"b","consent_state":"denied","consent_state":"granted"}'
    )
    assert collect(body).events[0]["event_id"] == "b"
    assert payloads(publisher)[0]["event_id"] == "b"
