"""Raw records as a collector writes them, for tests."""

from __future__ import annotations

import json
from typing import Any

from schemas import envelope
from streams.batch import RawRecord

ARRIVAL_MS = 1_700_000_000_000


def tracked(**changed: Any) -> dict[str, Any]:
    """A valid TrackedEvent; a change to `...` leaves the field out."""
    event = {
        "event_id": "e-1",
        "event_type": "page_view",
        "session_id": "s-1",
        "visitor_id": "v-1",
        "url": "https://example.org/a?b=c",
        "properties": {"title": "A"},
        "context": {},
        "consent_state": "granted",
        "occurred_at": 1_699_999_999_000,
    } | changed
    return {name: value for name, value in event.items() if value is not ...}


def wrapped(payload: bytes, **changed: Any) -> bytes:
    """The envelope of a payload."""
    head: dict[str, Any] = {
        "tenant": "demo",
        "key_id": "k-1",
        "source": "native",
        "historical": False,
        "event": "page_view",
        "version": 0,
    }
    rest: dict[str, Any] = {"received_at_ms": 1_699_999_999_500, "traceparent": "00-a-b-01"}
    of_head = {name: value for name, value in changed.items() if name in head}
    of_rest = {name: value for name, value in changed.items() if name not in head}
    return envelope.encode(head=envelope.Head(**head | of_head), **rest | of_rest, payload=payload)


def raw_value(*, envelope: dict[str, Any] | None = None, **changed: Any) -> bytes:
    return wrapped(json.dumps(tracked(**changed)).encode(), **envelope or {})


def record(offset: int, value: bytes | None, *, key: bytes | None = b"demo|v-1") -> RawRecord:
    return RawRecord(offset, ARRIVAL_MS + offset, key, value)
