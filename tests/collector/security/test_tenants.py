"""A key writes for its tenant and for no other, however the other is named; nobody sets what is not theirs to set."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas import envelope
from tests.collector.conftest import KEY
from tests.collector.live import Served
from tests.collector.security import answer, refusal
from tests.collector.security.conftest import post

CLOSE = b"connection: close"
EVENT = {"event_type": "page_view", "consent_state": "granted"}


def ask(served: Served, body: Any, key: str = KEY) -> bytes:
    return served.ask(post(msgspec.json.encode(body), CLOSE, key=key))


@pytest.mark.parametrize("tenant", ["other", "Demo", "demo ", "demo\u200b", "", "*", "demo|x", "demo'--", "../demo"])
def test_another_tenant(served: Served, tenant: str) -> None:
    assert refusal(ask(served, {"events": [EVENT], "tenant": tenant})) == (403, "tenant_mismatch")
    _, content = answer(ask(served, [{**EVENT, "tenant": tenant}, EVENT]))
    assert [verdict.get("code") for verdict in content["events"]] == ["tenant_mismatch", None]
    tenants = {envelope.decode(record.value).head.tenant for record in served.publisher.records}
    assert tenants == {"demo"}
    assert all(record.key.startswith(b"demo|") for record in served.publisher.records)


def test_a_visitor_cannot_take_a_record_to_another_tenant(served: Served) -> None:
    answer(ask(served, {**EVENT, "visitor_id": "x|other|y"}))
    assert served.publisher.records[0].key == b"demo|x|other|y"
    assert envelope.decode(served.publisher.records[0].value).head.tenant == "demo"


@pytest.mark.parametrize(
    "field", ["received_at", "receipt_id", "source", "key_id2", "arrival_day", "extra", "__class__"]
)
def test_fields_that_are_not_the_clients(served: Served, field: str) -> None:
    _, content = answer(ask(served, [{**EVENT, field: "x"}, EVENT]))
    assert (content["events"][0]["code"], content["events"][0]["field"]) == ("unknown_field", f"$.{field}")
    assert refusal(ask(served, {"events": [EVENT], field: "x"})) == (400, "unknown_field")


@pytest.mark.parametrize("scheme", ["Basic", "Digest", "bearer", "Token", ""])
def test_keys_in_other_schemes(served: Served, scheme: str) -> None:
    sent = post(msgspec.json.encode(EVENT), CLOSE, f"authorization: {scheme} {KEY}".encode(), key="")
    status, _ = answer(served.ask(sent))
    assert status == (200 if scheme == "bearer" else 401)


@pytest.mark.parametrize("key", ["", " ", "x", KEY[:-1], KEY + "x", KEY.upper(), "\xe4", "x" * 20_000])
def test_keys_that_are_none(served: Served, key: str) -> None:
    sent = post(msgspec.json.encode(EVENT), CLOSE, b"authorization: Bearer " + key.encode("latin-1"), key="")
    assert refusal(served.ask(sent)) == (401, "unauthorized")
    assert served.publisher.records == []


def test_two_authorization_headers_are_one_too_many(served: Served) -> None:
    first, second = (f"authorization: Bearer {key}".encode() for key in ("nope", KEY))
    for pair in ((first, second), (second, first)):
        assert answer(served.ask(post(msgspec.json.encode(EVENT), CLOSE, *pair, key="")))[0] in {400, 401}
