"""The API that manages keys, over a store in memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from collector.admin_gate import AdminGate
from collector.app import create_app
from collector.controls import Controls
from collector.key_admin import PATH, KeyAdmin
from collector.key_table import KeyTable
from collector.key_text import Pepper
from collector.memory import MemoryPublisher
from collector.proxies import Proxies
from core.beside import Beside
from core.clock import ManualClock
from core.errors import UnavailableError
from core.flags import Flag, Flags, encode
from core.settings import Settings
from schemas import audit
from tests.collector.asgi import Client, Reply
from tests.collector.conftest import COLLECT, KEY, event

TOKEN = "the-admin-token"


class Topics:
    """What was written; `down` makes writing fail."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes | None] = {}
        self.audits: list[audit.Audit] = []
        self.down = False

    def store(self, entries: Mapping[str, bytes | None], first: Sequence[Beside]) -> None:
        if self.down:
            raise UnavailableError("Kafka did not store it")
        self.audits += [audit.decode(each.value or b"") for each in first]
        self.entries |= entries


@pytest.fixture
def topics() -> Topics:
    return Topics()


@pytest.fixture
def flags() -> Flags:
    return Flags()


@pytest.fixture
def table(settings: Settings, clock: ManualClock) -> KeyTable:
    made = KeyTable(pepper=Pepper("p"), bootstrap_key=KEY, bootstrap_tenant="demo", clock=clock)
    made.loaded = True
    return made


@pytest.fixture
def anyone(
    settings: Settings,
    publisher: MemoryPublisher,
    clock: ManualClock,
    table: KeyTable,
    topics: Topics,
    flags: Flags,
) -> Client:
    admin = KeyAdmin(
        settings,
        keys=table,
        pepper=Pepper("p"),
        gate=AdminGate(TOKEN, proxies=Proxies("")),
        store=topics.store,
        clock=clock,
    )
    controls = Controls(keys=table, flags=flags, routes=admin.routes())
    app = create_app(settings, publisher=publisher, controls=controls, clock=clock)
    return Client(app, (("host", "collector.example"),))


@pytest.fixture
def admin(anyone: Client) -> Client:
    return Client(anyone.app, (*anyone.headers, ("authorization", f"Bearer {TOKEN}")))


def ask(client: Client, method: str, path: str = "", body: Any = None) -> Reply:
    content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    reply = client.request(method, PATH + path, content)
    assert reply is not None
    assert reply.headers.get("cache-control") == "no-store" or reply.status >= 400
    return reply


def create(admin: Client, **fields: Any) -> dict[str, Any]:
    reply = ask(admin, "POST", body={"tenant": "shop"} | fields)
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json
    return made


def send(anyone: Client, key: str, **headers: str) -> Reply:
    fields = [("authorization", f"Bearer {key}"), *headers.items()]
    reply = anyone.request("POST", COLLECT, msgspec.json.encode(event()), headers=fields)
    assert reply is not None
    return reply


def test_a_new_key_works_and_is_shown_once(admin: Client, anyone: Client, topics: Topics) -> None:
    made = create(admin, name="checkout", by="ada")
    assert made["key"].startswith(f"slc_live_{made['id']}_")
    assert (made["status"], made["created_at"], made["created_by"]) == ("active", "2026-01-01T00:00:00.000Z", "ada")
    assert send(anyone, made["key"]).status == 200

    shown = ask(admin, "GET", f"{made['id']}/").json
    assert shown == {name: value for name, value in made.items() if name != "key"} | {"last_used_at": None}
    assert ask(admin, "GET").json == {"keys": [shown], "next": None}
    secret = made["key"].rpartition("_")[2]
    assert all(secret.encode() not in (value or b"") for value in topics.entries.values())
    (told,) = topics.audits
    assert (told.action, told.actor, told.tenant, told.subject) == ("key.created", "ada", "shop", made["id"])
    assert secret not in str(told)


def test_rotation_overlaps_and_ends(admin: Client, anyone: Client, clock: ManualClock, topics: Topics) -> None:
    old = create(admin, name="n", requests_per_minute=5)
    new = ask(admin, "POST", f"{old['id']}/rotate/", {"overlap_seconds": 60, "by": "ada"}).json
    assert (new["replaces"], new["name"], new["requests_per_minute"]) == (old["id"], "n", 5)
    assert [send(anyone, each["key"]).status for each in (old, new)] == [200, 200]
    shown = ask(admin, "GET", f"{old['id']}/").json
    assert (shown["status"], shown["ends_at"]) == ("replaced", "2026-01-01T00:01:00.000Z")
    clock.advance(60)
    assert [send(anyone, each["key"]).status for each in (old, new)] == [401, 200]
    assert ask(admin, "POST", f"{old['id']}/rotate/").status == 409
    assert topics.audits[-1].detail == {"new_key_id": new["id"], "overlap_seconds": "60"}


def test_revocation_is_at_once_and_final(admin: Client, anyone: Client, topics: Topics, table: KeyTable) -> None:
    made = create(admin)
    shown = ask(admin, "POST", f"{made['id']}/revoke/", {"reason": "leaked", "by": "ada"}).json
    assert (shown["status"], shown["revoked_by"], shown["revoked_reason"]) == ("revoked", "ada", "leaked")
    assert send(anyone, made["key"]).status == 401
    again = ask(admin, "POST", f"{made['id']}/revoke/", {"by": "bob"})
    assert (again.status, again.json["revoked_by"]) == (200, "ada")
    assert [told.action for told in topics.audits] == ["key.created", "key.revoked"]
    name = f"key/{made['id']}"
    table.take(name, topics.entries[name])  # a late write
    assert send(anyone, made["key"]).status == 401


def test_a_browser_key_is_for_its_pages(admin: Client, anyone: Client) -> None:
    made = create(admin, kind="browser", mode="test", origins=["https://Shop.example:443", "https://shop.example"])
    assert made["origins"] == ["https://shop.example"]
    assert made["key"].startswith("slc_test_")
    assert send(anyone, made["key"], origin="https://shop.example").status == 200
    for headers in ({}, {"origin": "https://evil.example"}, {"origin": "null"}):
        reply = send(anyone, made["key"], **headers)
        assert (reply.status, reply.json["code"]) == (403, "origin_not_allowed")
        assert reply.headers["connection"] == "close"


def test_an_event_with_a_browser_key_of_other_pages_costs_itself_alone(admin: Client, anyone: Client) -> None:
    made = create(admin, kind="browser", origins=["https://shop.example"], tenant="demo")
    body = [event(tracking_key=made["key"]), event(tracking_key=KEY)]
    reply = anyone.request("POST", COLLECT, msgspec.json.encode(body))
    assert reply is not None
    assert [each.get("code") for each in reply.events] == ["origin_not_allowed", None]


def test_what_a_client_needs_to_know(admin: Client, topics: Topics) -> None:
    browser = create(admin, kind="browser", origins=["https://shop.example"])
    reply = ask(admin, "GET", f"{browser['id']}/config/")
    assert reply.headers["content-disposition"] == f'attachment; filename="sluice-{browser["id"]}.json"'
    assert reply.json["tracking_key"] == browser["key"]
    assert reply.json["collect_url"] == "http://collector.example/api/v1/tracking/collect/"
    assert reply.json["limits"]["max_batch_events"] == 50
    server = create(admin)
    assert ask(admin, "GET", f"{server['id']}/config/").json["tracking_key"] is None
    assert [told.action for told in topics.audits].count("key.config_downloaded") == 2


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"{", "invalid_json", None),
        ({}, "missing_field", "$.tenant"),
        ({"tenant": "a|b"}, "invalid_field", "$.tenant"),
        ({"tenant": ""}, "invalid_field", "$.tenant"),
        ({"tenant": "shop\n"}, "invalid_field", "$.tenant"),
        ({"tenant": "shop", "hash": "00"}, "unknown_field", "$.hash"),
        ({"tenant": "shop", "id": "mine"}, "unknown_field", "$.id"),
        ({"tenant": "shop", "kind": "root"}, "invalid_field", "$.kind"),
        ({"tenant": "shop", "kind": "browser"}, "invalid_field", "$.origins"),
        ({"tenant": "shop", "origins": ["https://a.example"]}, "invalid_field", "$.origins"),
        ({"tenant": "shop", "kind": "browser", "origins": ["*"]}, "invalid_field", "$.origins[0]"),
        ({"tenant": "shop", "expires_at": "2026-01-01T00:00:00Z"}, "invalid_field", "$.expires_at"),
        ({"tenant": "shop", "expires_at": "2026-02-01"}, "bad_timestamp", "$.expires_at"),
        ({"tenant": "shop", "requests_per_minute": -1}, "invalid_field", "$.requests_per_minute"),
        ({"tenant": "shop", "name": "a\nb"}, "invalid_field", "$.name"),
    ],
)
def test_what_cannot_be_made(admin: Client, topics: Topics, body: Any, code: str, field: str | None) -> None:
    reply = ask(admin, "POST", body=body)
    assert (reply.status, reply.json["code"], reply.json.get("field")) == (400, code, field)
    assert reply.headers["content-type"] == "application/problem+json"
    assert not topics.entries
    assert not topics.audits


def test_a_body_that_is_too_large(admin: Client) -> None:
    assert ask(admin, "POST", body=b" " * 20_000).status == 413


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "ü"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", ""), ("POST", ""), ("GET", "abc/"), ("POST", "abc/rotate/"), ("POST", "abc/revoke/")),
        ("GET", "abc/config/"),
    ],
)
def test_without_the_token_there_is_nothing(
    anyone: Client, topics: Topics, method: str, path: str, authorization: str | None
) -> None:
    headers = [("authorization", authorization)] if authorization is not None else []
    reply = anyone.request(method, PATH + path, b'{"tenant":"shop"}', headers=headers)
    assert reply is not None
    assert (reply.status, reply.json["code"]) == (401, "unauthorized")
    assert not topics.audits


def test_an_unset_token_matches_nothing(settings: Settings, table: KeyTable, clock: ManualClock) -> None:
    admin = KeyAdmin(
        settings,
        keys=table,
        pepper=Pepper("p"),
        gate=AdminGate("", proxies=Proxies("")),
        store=Topics().store,
        clock=clock,
    )
    app = create_app(settings, publisher=MemoryPublisher(), controls=Controls(keys=table, routes=admin.routes()))
    assert ask(Client(app, (("authorization", "Bearer "),)), "GET").status == 401


def test_a_tracking_key_is_no_admin_token(anyone: Client, admin: Client) -> None:
    made = create(admin)
    for key in (KEY, made["key"]):
        assert ask(Client(anyone.app, (("authorization", f"Bearer {key}"),)), "GET").status == 401


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "x/"), ("POST", "x/rotate/"), ("POST", "x/revoke/"), ("GET", "x/config/")]
)
def test_an_unknown_key(admin: Client, method: str, path: str) -> None:
    assert ask(admin, method, path).status == 404


def test_a_list_in_pages(admin: Client, table: KeyTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.key_admin._MAX_LISTED", 2)
    made = {create(admin)["id"] for _ in range(3)} | {create(admin, tenant="other")["id"]}
    first = ask(admin, "GET").json
    found = [key["id"] for key in first["keys"]]
    reply = Client(admin.app, admin.headers)
    assert first["next"] == found[-1]
    second = _query(reply, f"after={first['next']}")
    assert second["next"] is None
    assert {*found, *(key["id"] for key in second["keys"])} == made
    assert {key["tenant"] for key in _query(reply, "tenant=other")["keys"]} == {"other"}


def _query(client: Client, query: str) -> Any:
    reply = client.request("GET", f"{PATH}?{query}")
    assert reply is not None
    return reply.json


def test_when_kafka_is_away_nothing_changes(admin: Client, anyone: Client, topics: Topics) -> None:
    made = create(admin)
    topics.down = True
    for path, body in (("", {"tenant": "shop"}), (f"{made['id']}/revoke/", {}), (f"{made['id']}/rotate/", {})):
        reply = ask(admin, "POST", path, body)
        assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "unavailable", "1")
    assert send(anyone, made["key"]).status == 200
    assert len(ask(admin, "GET").json["keys"]) == 1


def test_before_keys_are_read(anyone: Client, admin: Client, table: KeyTable) -> None:
    table.loaded = False
    assert ask(admin, "GET").status == 503
    reply = send(anyone, "slc_live_23456789ab_" + "a" * 32)
    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "unavailable", "1")
    assert send(anyone, KEY).status == 200


def test_the_use_of_the_bootstrap_key_is_flagged(
    anyone: Client, admin: Client, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    made = create(admin)
    assert "sluice-key" not in send(anyone, made["key"]).headers
    assert "keys.bootstrap_used" not in caplog.text
    caplog.set_level(logging.WARNING)
    clock.advance(1)
    assert [send(anyone, KEY).headers["sluice-key"] for _ in range(3)] == ["bootstrap"] * 3
    assert caplog.text.count("keys.bootstrap_used") == 1
    clock.advance(61)
    send(anyone, KEY)
    assert caplog.text.count("keys.bootstrap_used") == 2


def test_ingest_can_be_switched_off(anyone: Client, flags: Flags, publisher: MemoryPublisher) -> None:
    flags.take("flag/tracking.ingest.enabled", encode(Flag(enabled=False)))
    reply = send(anyone, KEY)
    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "ingest_disabled", "30")
    assert publisher.records == []
    flags.take("flag/tracking.ingest.enabled", encode(Flag(enabled=True)))
    assert send(anyone, KEY).status == 200
