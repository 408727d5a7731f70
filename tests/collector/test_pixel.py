"""One event in a URL, and what `sendBeacon` sends."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector import key_entries, key_text
from collector.app import create_app
from collector.controls import Controls
from collector.key_entries import KEY as ENTRY
from collector.key_entries import KeyRecord
from collector.key_table import KeyTable
from collector.key_text import Pepper
from collector.memory import MemoryPublisher
from collector.pixel import GIF
from collector.publisher import Failure
from core.clock import ManualClock
from core.ids import SeededIds
from core.settings import Settings
from tests.collector.asgi import Client, Reply
from tests.collector.conftest import COLLECT, KEY, event, payloads

PIXEL = "/api/v1/tracking/pixel.gif"
PEPPER = Pepper("p")
BROWSER, MAIL, SERVER = (key_text.mint_browser("live", pepper=PEPPER) for _ in range(3))
PAGE = ("referer", "https://shop.example/cart")
EVENT = {"key": BROWSER.text, "event_type": "page_view", "visitor_id": "v", "consent_state": "granted"}


@pytest.fixture
def anonymous(settings: Settings, publisher: MemoryPublisher, clock: ManualClock) -> Client:
    """Beside the bootstrap key there are one for a page, one for mails and one for servers."""
    table = KeyTable(pepper=PEPPER, bootstrap_key=KEY, bootstrap_tenant="demo")
    table.loaded = True
    for key, origins in ((BROWSER, ("https://shop.example",)), (MAIL, ("none",)), (SERVER, ())):
        record = KeyRecord(
            id=key.id,
            tenant="demo",
            kind="browser" if origins else "server",
            mode="live",
            hash=PEPPER.hash(key.text).hex(),
            pepper=PEPPER.fingerprint,
            created_at_ms=1,
            origins=origins,
        )
        table.take(f"{ENTRY}{key.id}", key_entries.encode(record))
    return Client(
        create_app(settings, publisher=publisher, controls=Controls(keys=table), clock=clock, random_ids=SeededIds(7))
    )


def get(client: Client, query: str, *headers: tuple[str, str]) -> Reply:
    reply = client.request("GET", f"{PIXEL}?{query}", headers=headers or (PAGE,))
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


def beacon(client: Client, body: Any, *, path: str = "/api/v1/tracking/beacon/") -> Reply:
    headers = [("content-type", "text/plain;charset=UTF-8"), ("origin", "https://shop.example")]
    reply = client.request("POST", path, msgspec.json.encode(body), headers=headers)
    assert reply is not None
    return reply


@pytest.mark.parametrize("secret", [SERVER.text, KEY], ids=["server", "bootstrap"])
def test_a_secret_key_is_refused(anonymous: Client, publisher: MemoryPublisher, secret: str) -> None:
    replies = [
        picture(anonymous, key=secret),
        beacon(anonymous, {"tracking_key": secret, "events": [event()]}),
        beacon(anonymous, event(tracking_key=secret)),
    ]
    for reply in replies:
        assert (reply.status, reply.json["code"]) == (403, "browser_key_required")
        assert "browser key" in reply.json["detail"]
        assert secret.encode() not in reply.body
    batch = beacon(anonymous, [event(tracking_key=secret), event(tracking_key=BROWSER.text)])
    assert [each.get("code") for each in batch.events] == ["browser_key_required", None]
    alone = beacon(anonymous, [event(tracking_key=secret)])
    assert [each.get("code") for each in alone.events] == ["browser_key_required"]
    assert len(publisher.records) == 1
    sent = anonymous.request("POST", COLLECT, msgspec.json.encode(event(tracking_key=secret)))
    assert sent is not None
    assert sent.status == 200, "it is for servers"


def test_a_mail_names_no_page(anonymous: Client, publisher: MemoryPublisher) -> None:
    query = urlencode(EVENT | {"key": MAIL.text})
    assert get(anonymous, query, ("accept", "image/*")).status == 200
    assert get(anonymous, query, ("referer", "https://evil.example/")).status != 200
    assert get(anonymous, query, ("referer", "none")).status == 200  # no page either
    assert get(anonymous, urlencode(EVENT), ("accept", "image/*")).status != 200
    assert len(publisher.records) == 2


@pytest.mark.parametrize("path", ["/api/v1/tracking/beacon/", "/api/v1/tracking/beacon"])
def test_a_beacon(anonymous: Client, publisher: MemoryPublisher, path: str) -> None:
    reply = beacon(anonymous, {"tracking_key": BROWSER.text, "events": [event()]}, path=path)
    assert (reply.status, reply.json["accepted"], len(publisher.records)) == (200, 1, 1)
