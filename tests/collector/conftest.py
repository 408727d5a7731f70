"""A collector over an in-memory publisher, with a clock that stands still and ids that repeat."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from collector.app import create_app
from collector.memory import MemoryPublisher
from core.clock import ManualClock
from core.ids import SeededIds
from core.settings import Settings
from core.topics import Topics
from schemas import envelope
from tests.collector.asgi import Client, Reply

KEY = "slc_test_bootstrap_0123456789"
NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
COLLECT = "/api/v1/tracking/collect/"


@pytest.fixture(autouse=True)
def _no_swallowed_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An internal error that became a 500 fails the test, whatever the test looked at."""
    yield
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    # The Kafka client reports brokers that are away by design of the test, and a sink that a test of another room left
    # in its thread may tell that its server is gone.
    others = ("librdkafka", "sinks.")
    assert [record.getMessage() for record in errors if not record.name.startswith(others)] == []


@pytest.fixture
def settings() -> Settings:
    return Settings(
        bootstrap_key=KEY,
        bootstrap_tenant="demo",
        collector_max_body_bytes=256 * 1024,
        collector_max_batch_events=50,
    )


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now_ms=NOW_MS)


@pytest.fixture
def anonymous(settings: Settings, publisher: MemoryPublisher, clock: ManualClock) -> Client:
    """A client that sends no key."""
    app = create_app(settings, publisher=publisher, clock=clock, random_ids=SeededIds(7))
    return Client(app)


@pytest.fixture
def client(anonymous: Client) -> Client:
    return Client(anonymous.app, (("authorization", f"Bearer {KEY}"),))


Collect = Callable[..., Reply]


@pytest.fixture
def collect(client: Client) -> Collect:
    """Send `body` (anything but bytes is encoded) to the collect endpoint with the right key."""

    def send(body: Any, *headers: tuple[str, str]) -> Reply:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        reply = client.request("POST", COLLECT, data, headers=headers)
        assert reply is not None
        return reply

    return send


@dataclass
class MockCluster:
    """librdkafka's own mock broker: real sockets and protocol, in this process, gone when `stop` is called."""

    bootstrap: str
    _owner: Any

    def create_topics(self, settings: Settings) -> None:
        """Those that a collector needs."""
        names = Topics.named(settings.topic_prefix)
        for name in (names.control, names.raw_historic, names.raw):
            # Asking for a topic by name creates it.
            self._owner.list_topics(name, timeout=5)

    def stop(self) -> None:
        self._owner = None


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock:1", "log_level": 0})
    broker = next(iter(owner.list_topics(timeout=5).brokers.values()))
    running = MockCluster(f"{broker.host}:{broker.port}", owner)
    del owner
    yield running
    running.stop()


def event(**fields: Any) -> dict[str, Any]:
    """A consented page view; a field given as `...` is left out."""
    base: dict[str, Any] = {
        "event_id": "e-1",
        "event_type": "page_view",
        "session_id": "s-1",
        "visitor_id": "v-1",
        "consent_state": "granted",
    }
    return {name: value for name, value in (base | fields).items() if value is not ...}


def payloads(publisher: MemoryPublisher) -> list[dict[str, Any]]:
    """The payloads of what was published, in order."""
    return [msgspec.json.decode(envelope.decode(record.value).payload) for record in publisher.records]
