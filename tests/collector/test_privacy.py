"""Consent, the browser's wishes, and a canary in every place a client can fill."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from collector.app import create_app
from collector.memory import MemoryPublisher
from core.clock import ManualClock
from core.ids import SeededIds
from core.settings import Settings
from schemas import envelope
from tests.collector.asgi import Client, Reply
from tests.collector.conftest import COLLECT, KEY, NOW_MS, Collect, event


def collector(publisher: MemoryPublisher, **settings: Any) -> Client:
    base = {"bootstrap_key": KEY, "bootstrap_tenant": "demo"}
    app = create_app(
        Settings(**(base | settings)),
        publisher=publisher,
        clock=ManualClock(now_ms=NOW_MS),
        random_ids=SeededIds(7),
    )
    return Client(app, (("authorization", f"Bearer {KEY}"),))


def sent(client: Client, body: Any, *headers: tuple[str, str]) -> Reply:
    reply = client.request("POST", COLLECT, msgspec.json.encode(body), headers=headers)
    assert reply is not None
    return reply


@pytest.mark.parametrize(("header", "code"), [("DNT", "dnt"), ("Sec-GPC", "gpc")])
def test_a_browser_that_objects_is_heard(collect: Collect, publisher: MemoryPublisher, header: str, code: str) -> None:
    reply = collect([event()], (header, "1"))
    assert (reply.status, reply.json["consent_dropped"]) == (200, 1)
    assert reply.events[0]["code"] == code
    assert publisher.records == []


@pytest.mark.parametrize("header", ["DNT", "Sec-GPC"])
@pytest.mark.parametrize("value", ["0", "null", "", "11"])
def test_anything_but_one_is_no_objection(collect: Collect, header: str, value: str) -> None:
    assert collect([event()], (header, value)).json["accepted"] == 1


def test_the_policy_may_ignore_them(publisher: MemoryPublisher) -> None:
    client = collector(publisher, dnt="ignore", gpc="ignore")
    assert sent(client, [event()], ("DNT", "1"), ("Sec-GPC", "1")).json["accepted"] == 1


@pytest.mark.parametrize("state", ["pending", "denied", "granted", ...])
def test_an_essential_event_is_kept_as_it_was_sent(publisher: MemoryPublisher, state: Any) -> None:
    client = collector(publisher, essential_events="consent_changed, heartbeat")
    essential = event(event_type="custom_event", name="consent_changed", consent_state=state)
    other = event(event_id="e-2", consent_state="denied")
    reply = sent(client, [essential, other], ("DNT", "1"), ("Sec-GPC", "1"))
    assert [verdict["verdict"] for verdict in reply.events] == ["accepted", "consent_dropped"]
    (record,) = publisher.records
    stored = msgspec.json.decode(envelope.decode(record.value).payload)["consent_state"]
    assert stored == ("pending" if state is ... else state)


SECRET = "c4n4ry-s3cret"
ADDRESS = "203.0.113.77"
ADDRESS_6 = "2001:db8:aaaa:bbbb:cccc::dddd"


def _everywhere() -> dict[str, Any]:
    """A secret, a key and an address in every field that takes text."""
    url = (
        f"https://u:{SECRET}@x.example/?token={SECRET}&client_secret={SECRET}&key={KEY}&ip={ADDRESS}#password={SECRET}"
    )
    nested: dict[str, Any] = {
        "page": url,
        "password": SECRET,
        "ip": ADDRESS,
        "remote_addr": f"{ADDRESS_6}",
        "x-forwarded-for": f"{ADDRESS}, {ADDRESS_6}",
        "list": [url, {"api_key": SECRET, "deep": url}],
    }
    return event(
        url=url,
        referrer=url,
        user_agent=f"agent {url}",
        client_ip=ADDRESS,
        user_id=url,
        properties=nested,
        context=nested,
        tracking_key=KEY,
    )


@pytest.mark.parametrize(
    "change",
    [{}, {"consent_state": "denied"}, {"name": 5}, {"properties": 5}, {"unknown": f"?token={SECRET}"}, {"version": -1}],
)
@pytest.mark.parametrize("batch", [True, False])
def test_a_canary_is_found_nowhere(
    publisher: MemoryPublisher,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
    batch: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    client = collector(publisher)
    body = _everywhere() | change
    reply = sent(
        client,
        {"events": [body], "tracking_key": KEY} if batch else body,
        ("user-agent", f"Browser ?token={SECRET} {KEY}"),
        ("x-forwarded-for", ADDRESS),
        ("forwarded", f"for={ADDRESS}"),
        ("referer", f"https://x.example/?token={SECRET}"),
    )
    metrics = client.request("GET", "/metrics")
    assert metrics is not None
    stored = b"".join(record.key + record.value for record in publisher.records)
    places = {
        "records": stored,
        "answer": reply.body + repr(reply.headers).encode(),
        "logs": caplog.text.encode(),
        "metrics": metrics.body,
    }
    for place, content in places.items():
        for canary in (SECRET, KEY, ADDRESS, ADDRESS_6):
            assert canary.encode() not in content, (place, canary)
    if not change:
        assert publisher.records
