"""Bounds in bytes, events and time, each at its limit and one above."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from collector.memory import MemoryPublisher
from core.settings import Settings
from tests.collector.asgi import Client
from tests.collector.conftest import COLLECT, Collect, event


def padded(size: int) -> bytes:
    """One event of exactly `size` bytes."""
    text = b'{"event_type":"page_view","session_id":"s","consent_state":"granted"}'
    return text[:-1] + b" " * (size - len(text)) + b"}"


def batch_of(size: int) -> bytes:
    """An array of exactly `size` bytes with one event."""
    return b"[" + padded(1000) + b" " * (size - 1002) + b"]"


def test_a_bare_event_at_and_above_its_limit(collect: Collect, settings: Settings) -> None:
    limit = settings.collector_max_event_bytes
    assert collect(padded(limit)).status == 200
    reply = collect(padded(limit + 1))
    assert (reply.status, reply.json["code"]) == (413, "too_large")


def test_an_event_of_a_batch_above_its_limit_costs_only_itself(collect: Collect, settings: Settings) -> None:
    limit = settings.collector_max_event_bytes
    reply = collect(b"[" + padded(limit) + b"," + padded(limit + 1) + b"," + padded(200) + b"]")
    assert [verdict["verdict"] for verdict in reply.events] == ["accepted", "rejected", "accepted"]
    assert reply.events[1]["code"] == "too_large"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_body_at_and_above_its_limit(collect: Collect, settings: Settings, pack: Any) -> None:
    headers = [("content-encoding", "gzip")] if pack is gzip.compress else []
    limit = settings.collector_max_body_bytes
    assert collect(pack(batch_of(limit)), *headers).status == 200
    assert collect(pack(batch_of(limit + 1)), *headers).status == 413


def test_announced_length_is_refused_unread(client: Client, settings: Settings) -> None:
    headers = [("content-length", str(settings.collector_max_body_bytes + 1))]
    reply = client.request("POST", COLLECT, [60.0], headers=headers)  # would hang if the body were awaited
    assert reply is not None
    assert (reply.status, reply.headers["connection"]) == (413, "close")


def test_unannounced_length_is_refused_as_it_grows(client: Client, publisher: MemoryPublisher) -> None:
    reply = client.request("POST", COLLECT, [b" " * 100_000] * 100)
    assert reply is not None
    assert (reply.status, reply.headers["connection"], publisher.records) == (413, "close", [])


def test_number_of_events(collect: Collect, settings: Settings) -> None:
    most = settings.collector_max_batch_events
    assert collect([event()] * most).json["accepted"] == most
    reply = collect([event()] * (most + 1))
    assert (reply.status, reply.json["code"]) == (413, "too_many_events")


def test_bomb(collect: Collect) -> None:
    reply = collect(gzip.compress(b" " * 50_000_000, 9), ("content-encoding", "gzip"))
    assert (reply.status, reply.json["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "headers", [[("content-encoding", "snappy")], [("content-encoding", "gzip"), ("content-encoding", "gzip")]]
)
def test_other_encodings(collect: Collect, headers: list[tuple[str, str]]) -> None:
    reply = collect(b"{}", *headers)
    assert (reply.status, reply.headers["accept-encoding"]) == (415, "gzip, deflate, br, zstd")


def test_a_body_in_pieces(client: Client, publisher: MemoryPublisher) -> None:
    body = padded(300)
    reply = client.request("POST", COLLECT, [body[:100], 0.01, body[100:200], b"", body[200:]])
    assert reply is not None
    assert (reply.status, len(publisher.records)) == (200, 1)


def test_a_client_that_hangs_up_gets_no_answer_and_writes_nothing(client: Client, publisher: MemoryPublisher) -> None:
    assert client.request("POST", COLLECT, [padded(300)], hang_up=True) is None
    assert publisher.records == []
