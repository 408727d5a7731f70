"""Who may write for whom, and that the secret goes nowhere."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from collector.app import create_app
from collector.controls import Controls
from collector.key_table import KeyTable
from collector.keys import Grant, Refusal
from collector.memory import MemoryPublisher
from core.settings import Settings
from schemas import envelope
from tests.collector.asgi import Client, Reply
from tests.collector.conftest import COLLECT, KEY, event

OTHER_KEY = "slc_test_other_9876543210"
WRONG = "slc_test_wrong"


class TwoKeys:
    """The bootstrap key of tenant demo, and one of tenant other."""

    def find(self, text: str, _origin: str = "") -> Grant | Refusal:
        grants = {KEY: Grant("demo", "bootstrap"), OTHER_KEY: Grant("other", "k-2")}
        return grants.get(text, Refusal("unknown_key"))


@pytest.fixture
def two_tenants(settings: Settings, publisher: MemoryPublisher) -> Client:
    return Client(create_app(settings, publisher=publisher, controls=Controls(keys=TwoKeys())))


def send(client: Client, body: Any, authorization: str | None = None) -> Reply:
    headers = [] if authorization is None else [("Authorization", authorization)]
    reply = client.request("POST", COLLECT, msgspec.json.encode(body), headers=headers)
    assert reply is not None
    return reply


def batch(*events: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"events": list(events)} | fields


@pytest.mark.parametrize(
    ("body", "authorization"),
    [
        (event(), f"Bearer {KEY}"),
        (event(), f"bearer  {KEY} "),
        (event(tracking_key=KEY), None),
        (event(tracking_key=KEY), f"Bearer {KEY}"),
        ([event(tracking_key=KEY)], None),
        (batch(event(), tracking_key=KEY), None),
        (batch(event(tracking_key=KEY)), None),
        (batch(event(tracking_key=KEY), tracking_key=KEY, tenant="demo"), f"Bearer {KEY}"),
    ],
)
def test_the_key_works_wherever_it_stands(
    anonymous: Client, publisher: MemoryPublisher, body: Any, authorization: str | None
) -> None:
    reply = send(anonymous, body, authorization)
    assert (reply.status, reply.json["accepted"]) == (200, 1)
    raw = envelope.decode(publisher.records[0].value)
    assert (raw.head.tenant, raw.head.key_id) == ("demo", "bootstrap")


@pytest.mark.parametrize(
    ("body", "authorization"),
    [
        (event(), None),
        (event(), ""),
        (event(), "Bearer"),
        (event(), "Bearer "),
        (event(), f"Bearer {WRONG}"),
        (event(), f"Bearer {KEY}x"),
        (event(), f"Basic {KEY}"),
        (event(), KEY),
        (event(tracking_key=KEY), f"Bearer {WRONG}"),
        (event(tracking_key=WRONG), None),
        (event(tracking_key=""), None),
        (event(typo=1), None),
        ([], None),
        ([event()], None),
        ([event(tracking_key=WRONG), 5], None),
        (batch(event()), None),
        (batch(event(), tracking_key=WRONG), None),
        (batch(event(), tracking_key=WRONG), f"Bearer {KEY}"),
        (batch(event(tracking_key=KEY), tracking_key=WRONG), None),
    ],
)
def test_without_a_key_that_works_nothing_is_written(
    anonymous: Client, publisher: MemoryPublisher, body: Any, authorization: str | None
) -> None:
    reply = send(anonymous, body, authorization)
    assert (reply.status, reply.json["code"]) == (401, "unauthorized")
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert publisher.records == []


def test_a_bad_header_is_refused_before_the_body_is_read(anonymous: Client) -> None:
    reply = anonymous.request("POST", COLLECT, [60.0], headers=[("authorization", f"Bearer {WRONG}")])
    assert reply is not None
    assert (reply.status, reply.headers["connection"]) == (401, "close")


def test_an_unset_key_matches_nothing(publisher: MemoryPublisher) -> None:
    assert KeyTable.alone(Settings()).find("") == Refusal("unknown_key")
    client = Client(create_app(Settings(), publisher=publisher))
    assert send(client, event(tracking_key="")).status == 401


def test_events_with_keys_of_their_own_stand_alone(anonymous: Client, publisher: MemoryPublisher) -> None:
    reply = send(anonymous, [event(tracking_key=KEY), event(tracking_key=WRONG), event(), event(tracking_key=KEY, x=1)])
    assert [verdict.get("code") for verdict in reply.events] == [None, "unauthorized", "unauthorized", "unknown_field"]
    assert len(publisher.records) == 1


def test_an_event_that_is_wrong_but_has_the_key_learns_why(anonymous: Client) -> None:
    reply = send(anonymous, event(tracking_key=KEY, event_type="click"))
    assert (reply.status, reply.events[0]["code"]) == (200, "invalid_field")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (batch(event(), tenant="other"), 403),
        (batch(event(), tracking_key=OTHER_KEY), 403),
        (batch(event(tenant="other")), 200),
        (event(tenant="other"), 200),
        (event(tracking_key=OTHER_KEY), 200),
    ],
)
def test_a_key_does_not_write_for_another_tenant(
    two_tenants: Client, publisher: MemoryPublisher, body: Any, status: int
) -> None:
    reply = send(two_tenants, body, f"Bearer {KEY}")
    assert reply.status == status
    verdict = reply.json if status == 403 else reply.events[0]
    assert verdict["code"] == "tenant_mismatch"
    assert publisher.records == []


def test_keys_of_two_tenants_in_one_array(two_tenants: Client, publisher: MemoryPublisher) -> None:
    send(two_tenants, [event(tracking_key=KEY), event(tracking_key=OTHER_KEY)])
    raw = [envelope.decode(record.value) for record in publisher.records]
    assert [(each.head.tenant, each.head.key_id) for each in raw] == [("demo", "bootstrap"), ("other", "k-2")]
    assert [record.key for record in publisher.records] == [b"demo|v-1", b"other|v-1"]


def test_a_tenant_of_the_batch_holds_for_events_with_their_own_keys(two_tenants: Client) -> None:
    reply = send(two_tenants, batch(event(tracking_key=KEY), event(tracking_key=OTHER_KEY), tenant="demo"))
    assert [verdict.get("code") for verdict in reply.events] == [None, "tenant_mismatch"]


@pytest.mark.parametrize(
    ("body", "authorization"),
    [
        (event(), f"Bearer {KEY}"),
        (event(tracking_key=KEY, visitor_id=..., session_id=..., event_id=...), None),
        (event(tracking_key=KEY, event_type="click"), None),
        (event(tracking_key=[KEY]), f"Bearer {KEY}"),
        (event(tracking_key=KEY * 50), f"Bearer {KEY}"),
        (event(tracking_key=KEY, consent_state="denied"), None),
        (batch(event(tracking_key=KEY, tenant="other"), tracking_key=KEY), None),
        (batch(event(), tracking_key=KEY, tenant="other"), None),
        (batch(event(), tracking_key=KEY, sent_at="x"), None),
        (event(), f"Basic {KEY}"),
        (event(), f"Bearer {KEY}x"),
    ],
)
def test_the_secret_goes_nowhere(
    anonymous: Client,
    publisher: MemoryPublisher,
    caplog: pytest.LogCaptureFixture,
    body: Any,
    authorization: str | None,
) -> None:
    caplog.set_level(logging.DEBUG)
    reply = send(anonymous, body, authorization)
    assert KEY.encode() not in reply.body
    assert KEY not in str(reply.headers)
    assert all(KEY.encode() not in record.key + record.value for record in publisher.records)
    assert all(KEY not in record.getMessage() + str(record.__dict__) for record in caplog.records)
