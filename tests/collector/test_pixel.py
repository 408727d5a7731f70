"""One event in a URL, and what `sendBeacon` sends."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.memory import MemoryPublisher
from collector.pixel import GIF
from collector.publisher import Failure
from tests.collector.asgi import Client, Reply
from tests.collector.conftest import KEY, payloads

PIXEL = "/api/v1/tracking/pixel.gif"
EVENT = {"key": KEY, "event_type": "page_view", "visitor_id": "v", "consent_state": "granted"}


def get(client: Client, query: str) -> Reply:
    reply = client.request("GET", f"{PIXEL}?{query}")
    assert reply is not None
    return reply


def picture(client: Client, **fields: Any) -> Reply:
    return get(client, urlencode(EVENT | fields))


def test_an_event_in_a_url(anonymous: Client, publisher: MemoryPublisher) -> None:
    reply = picture(
        anonymous,
        event_type="custom_event",
        name="opened & read",
        url="https://a.example/?b=c",
        properties='{"mail":"may","n":1.50}',
        version="1",
        occurred_at="2026-01-01T00:00:00Z",
    )
    assert (reply.status, reply.headers["content-type"], reply.headers["cache-control"]) == (
        200,
        "image/gif",
        "no-store",
    )
    assert reply.body == GIF
    (sent,) = payloads(publisher)
    assert (sent["name"], sent["url"]) == ("opened & read", "https://a.example/?b=c")
    assert sent["properties"] == {"mail": "may", "n": 1.5}


def test_the_picture_is_one() -> None:
    assert GIF.startswith(b"GIF89a\x01\x00\x01\x00")
    assert GIF.endswith(b"\x3b")
    assert len(GIF) == 43


def test_without_consent_there_is_a_picture_and_no_event(anonymous: Client, publisher: MemoryPublisher) -> None:
    reply = picture(anonymous, consent_state="denied")
    assert (reply.status, reply.body, publisher.records) == (200, GIF, [])


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"key": "nope"}, 401, "unauthorized", None),
        ({"event_type": "click"}, 400, "invalid_field", "$.event_type"),
        ({"event_type": "custom_event"}, 400, "missing_field", "$.name"),
        ({"version": "one"}, 400, "invalid_field", "$.version"),
        ({"utm_source": "x"}, 400, "unknown_field", "$.utm_source"),
        ({"properties": "{"}, 400, "invalid_json", "$.properties"),
        ({"properties": '{},"event_id":"x"'}, 400, "invalid_json", "$.properties"),
        ({"properties": "[]"}, 400, "invalid_field", "$.properties"),
        ({"tenant": "other"}, 400, "tenant_mismatch", "$.tenant"),
    ],
)
def test_what_is_wrong_is_a_problem(
    anonymous: Client, publisher: MemoryPublisher, fields: dict[str, str], status: int, code: str, field: str | None
) -> None:
    reply = picture(anonymous, **fields)
    assert (reply.status, reply.json["code"], reply.json.get("field")) == (status, code, field)
    assert publisher.records == []


def test_what_is_not_stored_is_said(anonymous: Client, publisher: MemoryPublisher) -> None:
    publisher.refuse[b"demo|v"] = Failure.RETRY
    reply = picture(anonymous)
    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "not_stored", "1")


def test_queries_that_are_none(anonymous: Client) -> None:
    assert get(anonymous, urlencode(EVENT) + "&visitor_id=w").json["code"] == "invalid_query"
    assert get(anonymous, "&".join(f"a{n}=1" for n in range(100))).json["code"] == "invalid_query"
    assert get(anonymous, "").status == 401


def test_only_with_get(anonymous: Client) -> None:
    reply = anonymous.request("POST", PIXEL, b"{}")
    assert reply is not None
    assert (reply.status, reply.headers["allow"]) == (405, "GET, OPTIONS")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=60))
def test_any_query(anonymous: Client, query: str) -> None:
    assert get(anonymous, urlencode(EVENT) + "&" + query.replace("#", "")).status in {200, 400, 401}


@pytest.mark.parametrize("path", ["/api/v1/tracking/beacon/", "/api/v1/tracking/beacon"])
def test_a_beacon(anonymous: Client, publisher: MemoryPublisher, path: str) -> None:
    body = b'{"tracking_key":"%s","events":[{"event_type":"page_view","consent_state":"granted"}]}' % KEY.encode()
    reply = anonymous.request("POST", path, body, headers=[("content-type", "text/plain;charset=UTF-8")])
    assert reply is not None
    assert (reply.status, reply.json["accepted"], len(publisher.records)) == (200, 1, 1)
