"""One line a request: sampled where all is well, always where it is not, and never with what is private."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from collector.app import create_app
from collector.memory import MemoryPublisher
from collector.publisher import Failure
from core.clock import ManualClock
from core.settings import Settings
from tests.collector.asgi import Client
from tests.collector.conftest import COLLECT, KEY, NOW_MS, event

Ask = Callable[..., None]


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    found = [record for record in caplog.records if record.getMessage() == "tracking.ingest"]
    return [{"level": record.levelname, **vars(record)["sluice_fields"]} for record in found]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now_ms=NOW_MS)


@pytest.fixture
def client(publisher: MemoryPublisher, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> Client:
    caplog.set_level(logging.INFO)
    settings = Settings(bootstrap_key=KEY, collector_log_requests_per_s=2)
    return Client(create_app(settings, publisher=publisher, clock=clock), (("authorization", f"Bearer {KEY}"),))


def test_what_a_line_says(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    body = b'[{"event_type":"page_view","consent_state":"granted"},{"event_type":"page_view"},{"a":1}]'
    client.request(
        "POST",
        COLLECT,
        body,
        headers=[("traceparent", f"00-{trace}-b7ad6b7169203331-01"), ("content-length", str(len(body)))],
    )
    (line,) = lines(caplog)
    assert line.pop("took_ms") >= 0
    assert line == {
        "level": "INFO",
        "status": 200,
        "path": COLLECT,
        "tenant": "demo",
        "key_id": "bootstrap",
        "accepted": 1,
        "rejected": 1,
        "consent_dropped": 1,
        "bytes": len(body),
        "trace_id": trace,
    }


def test_what_goes_well_is_sampled(client: Client, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        client.request("POST", COLLECT, b"[]")
    assert len(lines(caplog)) == 2
    clock.advance(1.5)
    client.request("POST", COLLECT, b"[]")
    assert [line.get("not_logged") for line in lines(caplog)] == [None, None, 8]


def test_what_does_not_is_always_written(
    client: Client, publisher: MemoryPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        client.request("POST", COLLECT, b"[]")
    caplog.clear()
    publisher.refuse[b"demo|v-1"] = Failure.RETRY
    for _ in range(5):
        client.request("POST", COLLECT, b"no JSON")
        client.request("POST", COLLECT, b"[]", headers=[("authorization", "Bearer nope")])
    body = b'{"event_type":"page_view","visitor_id":"v-1","consent_state":"granted"}'
    client.request("POST", COLLECT, body)
    found = [(line["level"], line["status"], line.get("code")) for line in lines(caplog)]
    assert found.count(("INFO", 400, "invalid_json")) == 5
    assert len(found) == 11
    assert found[-1] == ("WARNING", 503, None)


def test_a_client_that_left_is_written_too(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert client.request("POST", COLLECT, [b"{"], hang_up=True) is None
    assert [line["status"] for line in lines(caplog)] == [499]


def test_nothing_of_the_client_is_in_it(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    secret = "canary"
    client.request("POST", f"{COLLECT}?{secret}", str(event(name=secret)).encode(), headers=[("user-agent", secret)])
    client.request("POST", COLLECT, b"[]", headers=[("authorization", f"Bearer {secret}"), ("origin", secret)])
    assert secret not in str(lines(caplog))
