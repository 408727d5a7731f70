"""A contract released while everything runs: no restart, old and new versions side by side."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from core import control, kafka
from core.topics import Topics
from schemas import released
from schemas.released import Released
from streams.records import Outcome, decode_outcome

pytestmark = pytest.mark.stack

_SUBJECT = f"ticket_bought_{uuid.uuid4().hex[:8]}"


def _schema(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": "TicketBought",
        "namespace": "sluice.events",
        "kind": "event",
        "doc": "A ticket was bought.",
        "fields": [{"name": "seat", "type": "int", "doc": "Seat."}, *fields],
    } | more


def _release(client: Any, version: int, source: dict[str, Any]) -> None:
    each = Released(_SUBJECT, version, 9_000 + version, source)
    control.put(client.stack.settings, {each.key: released.encode(each)})


def _outcomes(client: Any) -> list[Outcome]:
    settings = client.stack.settings
    reader = Consumer(kafka.reader(settings, name="test"))
    topic = Topics.named(settings.topic_prefix).outcomes
    reader.assign([TopicPartition(topic, p, 0) for p in range(settings.partitions)])
    try:
        return [decode_outcome(m.value()) for m in kafka.read_to_end(reader, partitions=settings.partitions)]
    finally:
        reader.close()


def _sent(client: Any, properties: dict[str, Any], **fields: Any) -> str:
    event_id = str(uuid.uuid4())
    event = {
        "event_id": event_id,
        "event_type": "custom_event",
        "name": _SUBJECT,
        "visitor_id": event_id,
        "consent_state": "granted",
        "properties": properties,
    }
    assert client.send(event | fields)[0] == 200
    return event_id


def _row(client: Any, event_id: str) -> tuple[Any, ...] | None:
    rows = client.server.rows(
        "SELECT event, version, stable_version, properties, extra FROM events WHERE event_id = {id:String}", id=event_id
    )
    return tuple(rows[0]) if rows else None


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _judged_by(client: Any, properties: dict[str, Any], label: str) -> Callable[[], bool]:
    def judged() -> bool:
        _sent(client, properties)
        client.settle()
        return any(label in outcome.contracts for outcome in _outcomes(client))

    return judged


def test_a_release_reaches_running_workers_and_versions_live_side_by_side(client: Any) -> None:
    before = _sent(client, {"seat": "window"})
    client.settle()
    _until(lambda: _row(client, before) is not None)
    assert _row(client, before) == ("custom_event", 1, 1, '{"seat":"window"}', "")

    _release(client, 1, _schema())
    _until(_judged_by(client, {"seat": 1}, f"{_SUBJECT}:1"))
    coach = {"name": "coach", "type": "string", "default": "A", "doc": "Coach."}
    _release(client, 2, _schema(coach))
    _until(_judged_by(client, {"seat": 1, "coach": "B"}, f"{_SUBJECT}:2"))

    old = _sent(client, {"seat": 7, "meal": "soup"}, version=1)
    new = _sent(client, {"seat": 8, "coach": "C"})
    broken = _sent(client, {"seat": "aisle"})
    client.settle()
    _until(lambda: _row(client, old) is not None and _row(client, new) is not None)
    assert _row(client, old) == (_SUBJECT, 1, 2, '{"seat":7,"coach":"A"}', '{"meal":"soup"}')
    assert _row(client, new) == (_SUBJECT, 2, 2, '{"seat":8,"coach":"C"}', "")
    assert _row(client, broken) is None

    _release(client, 1, _schema(supersededBy=2))
    _until(_judged_by(client, {"seat": 1, "coach": "B"}, f"{_SUBJECT}:2"))
    # Sent again until the redirection is in force: the release and the event come by different ways.
    redirected: list[str] = []

    def is_redirected() -> bool:
        redirected.append(_sent(client, {"seat": 9}, version=1))
        client.settle()
        _until(lambda: _row(client, redirected[-1]) is not None)
        row = _row(client, redirected[-1])
        return row is not None and row[1] == 2

    _until(is_redirected)
