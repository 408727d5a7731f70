"""`?validate=strict`: the contract's judgement, at once, and nothing is stored."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from collector.memory import MemoryPublisher
from tests.collector.asgi import Client, Reply
from tests.collector.conftest import COLLECT, event

GOOD = event(event_id="good", properties={"status": 200})
BAD = event(event_id="bad", properties={"status": "many", "bytes": "x"})


def strict(client: Client, body: Any, query: str = "validate=strict") -> Reply:
    reply = client.request("POST", f"{COLLECT}?{query}", msgspec.json.encode(body))
    assert reply is not None
    return reply


def test_each_event_is_judged_by_its_contract(client: Client, publisher: MemoryPublisher) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("sluice_collector_events_total", {"verdict": "accepted"}) or 0.0

    before = counted()
    reply = strict(client, [GOOD, BAD, event(typo=1), event(consent_state="denied"), GOOD])
    assert (reply.status, reply.json["stored"]) == (200, False)
    assert [reply.json[name] for name in ("accepted", "rejected", "consent_dropped", "retry")] == [2, 2, 1, 0]
    good, bad, unknown, _, _ = reply.events
    assert good["verdict"] == "accepted"
    assert good["contract"].startswith("page_view:")
    assert "receipt" not in good
    assert (bad["verdict"], bad["index"], bad["code"], bad["field"]) == (
        "rejected",
        1,
        "wrong_type",
        "$.properties.status",
    )
    assert {fault["field"] for fault in bad["faults"]} == {"$.properties.status", "$.properties.bytes"}
    assert unknown["code"] == "unknown_field"
    assert publisher.records == []
    assert counted() == before


@pytest.mark.parametrize("query", ["validate=", "validate=lax", "validate=strict&validate=strict"])
def test_other_values(client: Client, query: str) -> None:
    reply = strict(client, GOOD, query)
    assert (reply.status, reply.json["code"], reply.json["field"]) == (400, "invalid_query", "$.validate")


def test_other_parameters_are_left_alone(client: Client, publisher: MemoryPublisher) -> None:
    assert "stored" not in strict(client, GOOD, "debug=1").json
    assert len(publisher.records) == 1


def test_a_version_that_does_not_exist(client: Client) -> None:
    (verdict,) = strict(client, event(version=99)).events
    assert (verdict["code"], verdict["field"]) == ("unknown_version", "$.version")
