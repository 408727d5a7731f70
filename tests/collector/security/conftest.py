"""One server with short deadlines for the whole matrix, and how a client talks to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from collector.bounds import Bounds
from core.settings import Settings
from tests.collector.conftest import COLLECT, KEY
from tests.collector.live import Served, serve

EVENT = b'{"event_type":"page_view","visitor_id":"v","consent_state":"granted"}'
SETTINGS = Settings(
    bootstrap_key=KEY,
    bootstrap_tenant="demo",
    collector_max_event_bytes=12 * 1024,
    collector_max_body_bytes=64 * 1024,
    collector_max_batch_events=50,
)
BOUNDS = Bounds(
    head_s=0.4,
    body_s=0.4,
    idle_s=0.6,
    write_s=0.6,
    linger_s=0.6,
    body_bytes=SETTINGS.collector_max_body_bytes,
    waiting_bytes=256 * 1024,
    connections=40,
)

Post = Callable[..., bytes]


@pytest.fixture(scope="package")
def served() -> Iterator[Served]:
    with serve(SETTINGS, bounds=BOUNDS) as running:
        yield running


@pytest.fixture(autouse=True)
def alive(served: Served) -> Iterator[None]:
    """Whatever a test did, the next client is served, and nothing of the last one is still counted."""
    served.publisher.records.clear()
    yield
    assert b" 200 OK\r\n" in served.ask(post(EVENT, b"connection: close"))
    assert served.waiting.bytes == 0


def post(body: bytes, *lines: bytes, length: int | None = None, key: str = KEY, path: str = COLLECT) -> bytes:
    """A request to collect; `length` is what it says its body has, -1 leaves that out."""
    says = len(body) if length is None else length
    fields = [b"host: x", *lines]
    if key:
        fields.append(b"authorization: Bearer " + key.encode())
    if says >= 0:
        fields.append(b"content-length: %d" % says)
    return b"POST %s HTTP/1.1\r\n%s\r\n\r\n%s" % (path.encode(), b"\r\n".join(fields), body)
