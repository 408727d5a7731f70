"""What becomes of events that the store does not take, and what the endpoint says on other paths and methods."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from collector.app import create_app
from collector.controls import Controls
from collector.keys import Grant
from collector.memory import MemoryPublisher
from collector.publisher import Failure
from core.lifecycle import Lifecycle
from core.settings import Settings
from tests.collector.asgi import Client, Reply
from tests.collector.conftest import COLLECT, Collect, event


def get(client: Client, path: str, method: str = "GET") -> Reply:
    reply = client.request(method, path)
    assert reply is not None
    return reply


def test_what_is_not_stored_is_to_be_sent_again(collect: Collect, publisher: MemoryPublisher) -> None:
    publisher.refuse[b"demo|bad"] = Failure.RETRY
    reply = collect([event(), event(event_id="x", typo=1), event(event_id="b", visitor_id="bad"), event(event_id="c")])
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert [verdict["verdict"] for verdict in reply.events] == ["accepted", "rejected", "retry", "accepted"]
    assert reply.events[2] == {"event_id": "b", "verdict": "retry", "index": 2}
    assert (reply.json["accepted"], reply.json["rejected"], reply.json["retry"]) == (2, 1, 1)
    assert len(publisher.records) == 2


def test_what_kafka_never_takes_is_rejected(collect: Collect, publisher: MemoryPublisher) -> None:
    publisher.refuse[b"demo|huge"] = Failure.TOO_LARGE
    reply = collect([event(visitor_id="huge"), event()])
    assert reply.status == 200
    assert (reply.events[0]["verdict"], reply.events[0]["code"]) == ("rejected", "too_large")


def test_nothing_to_publish_needs_no_store(collect: Collect, publisher: MemoryPublisher) -> None:
    publisher.down = "gone"
    assert collect(event(consent_state="denied")).status == 200
    assert collect(event()).status == 503


@pytest.mark.parametrize("path", [COLLECT, COLLECT.rstrip("/")])
def test_both_spellings_of_the_path(client: Client, path: str) -> None:
    reply = client.request("POST", path, b"[]")
    assert reply is not None
    assert reply.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", COLLECT, 405, "method_not_allowed"),
        ("PUT", COLLECT, 405, "method_not_allowed"),
        ("POST", "/health/live", 405, "method_not_allowed"),
        ("DELETE", "/", 405, "method_not_allowed"),
        ("POST", "/api/v1/tracking", 404, "not_found"),
        ("GET", "/metrics/", 404, "not_found"),
        ("GET", "/nothing", 404, "not_found"),
    ],
)
def test_other_methods_and_paths_are_problems(client: Client, method: str, path: str, status: int, code: str) -> None:
    reply = get(client, path, method)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert (reply.json["code"], reply.json["status"]) == (code, status)
    assert ("allow" in reply.headers) == (status == 405)


def test_about_and_liveness(client: Client) -> None:
    assert get(client, "/").json["collect"] == COLLECT
    assert get(client, "/health/live").json == {"status": "live"}


def test_readiness_follows_the_store_and_the_lifecycle(settings: Settings, publisher: MemoryPublisher) -> None:
    lifecycle = Lifecycle("collector")
    client = Client(create_app(settings, publisher=publisher, lifecycle=lifecycle))
    assert get(client, "/health/ready").json == {"status": "ready"}
    publisher.down = "Kafka does not answer"
    reply = get(client, "/health/ready")
    assert (reply.status, reply.json["reason"]) == (503, "Kafka does not answer")
    publisher.down = ""
    assert get(client, "/health/ready").status == 200
    lifecycle.drain(reason="test")
    reply = get(client, "/health/ready")
    assert (reply.status, reply.json["reason"]) == (503, "draining")
    assert get(client, "/health/live").status == 200


def test_metrics_count_requests_and_verdicts(client: Client, collect: Collect) -> None:
    def value(verdict: str) -> float:
        return REGISTRY.get_sample_value("sluice_collector_events_total", {"verdict": verdict}) or 0.0

    before = {name: value(name) for name in ("accepted", "rejected", "consent_dropped")}
    collect([event(), event(), event(consent_state="denied"), 5])
    assert {name: value(name) - before[name] for name in before} == {"accepted": 2, "rejected": 1, "consent_dropped": 1}
    text = get(client, "/metrics").body.decode()
    assert 'sluice_collector_requests_total{status="200"}' in text


def test_a_bug_of_ours_is_a_problem_and_logged(
    settings: Settings, publisher: MemoryPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def find(self, text: str, _origin: str = "") -> Grant:
            raise RuntimeError(f"boom {len(text)}")

    client = Client(create_app(settings, publisher=publisher, controls=Controls(keys=Broken())))
    reply = client.request("POST", COLLECT, b"{}", headers=[("authorization", "Bearer x")])
    assert reply is not None
    assert (reply.status, reply.json["code"]) == (500, "internal")
    assert b"boom" not in reply.body
    assert [record.getMessage() for record in caplog.records] == ["collect.failed", "tracking.ingest"]
    caplog.clear()
