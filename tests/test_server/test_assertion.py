"""Assertions by example: what holds, and what is said of what does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cli.test_server.assertion import failures, parse
from cli.test_server.store import Store
from core.errors import UsageError
from tests.test_server.items import item


def _store() -> Store:
    store = Store(max_events=100)
    store.add(
        [
            item(event_id="a", properties={"status": 200, "title": "A"}),
            item(event_id="b", properties={"status": 404}),
            item("dead_letter", event_id="c", properties={"status": "x"}),
            item("duplicate", event_id="a"),
        ]
    )
    return store


def _failures(**asked: Any) -> list[dict[str, Any]]:
    return failures(parse(msgspec.json.encode(asked)), _store())


def test_what_holds() -> None:
    assert _failures(good=[{"properties": {"status": 200}}, {"event_type": "page_view"}]) == []
    assert _failures(bad=[{"event_id": "c", "code": "wrong_type"}], duplicates=[{"event_id": "a"}]) == []
    assert _failures(counts={"good": 2, "bad": 1, "duplicate": 1, "total": 4}) == []


def test_the_nearest_event_and_its_differing_fields_are_told() -> None:
    [failure] = _failures(good=[{"event_id": "b", "properties": {"status": 200, "title": "A"}}])
    # "a" differs in its id alone, "b" in both properties.
    assert failure["nearest"].event["event_id"] == "a"
    assert failure["differences"] == [{"path": "$.event_id", "expected": "b", "actual": "a"}]
    assert "$.event_id" in failure["message"]


def test_a_missing_field_is_told_from_a_null_one() -> None:
    [failure] = _failures(good=[{"event_id": "b", "properties": {"status": 404, "title": "B"}}])
    assert failure["differences"] == [{"path": "$.properties.title", "expected": "B"}]


def test_an_event_that_went_elsewhere_is_found_and_its_fault_told() -> None:
    [failure] = _failures(good=[{"event_id": "c"}])
    assert failure["nearest"].kind == "bad"
    assert failure["differences"] == []
    assert "bad (wrong_type at $: expected int, got str)" in failure["message"]


def test_every_example_needs_an_event_of_its_own() -> None:
    [failure] = _failures(duplicates=[{"event_id": "a"}, {"event_id": "a"}])
    assert failure["nearest"].event["event_id"] == "a"
    assert _failures(good=[{}, {}]) == []
    assert len(_failures(good=[{}, {}, {}])) == 1


def test_counts_are_exact() -> None:
    [failure] = _failures(counts={"good": 3, "total": 4})
    assert (failure["count"], failure["expected"], failure["actual"]) == ("good", 3, 2)


def test_nothing_received() -> None:
    [failure] = failures(parse(b'{"good":[{"event_id":"a"}]}'), Store(max_events=1))
    assert (failure["nearest"], failure["message"]) == (None, "no event was received")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"god":[]}',
        b'{"good":{}}',
        b'{"good":[1]}',
        b'{"counts":{"god":1}}',
        b'{"counts":{"good":-1}}',
        b'{"good":[{}],"within_ms":-1}',
        b'{"good":[]}',
        b"\xff",
        b'{"good":[{"a":' + b"[" * 3000,
    ],
)
def test_what_is_no_assertion(body: bytes) -> None:
    with pytest.raises(UsageError):
        parse(body)
