"""Requests above a limit, keys that are guessed, and what is told of both."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from collector import key_entries, key_text
from collector.abuse import AbuseLog
from collector.admin_gate import AdminGate
from collector.app import create_app
from collector.controls import Controls
from collector.key_admin import PATH, KeyAdmin
from collector.key_entries import KEY as KEY_ENTRY
from collector.key_entries import KeyRecord
from collector.key_table import KeyTable
from collector.key_text import KeyText, Pepper
from collector.limit_table import LimitTable
from collector.limits import GUESSES_PER_MINUTE, Limits, client_of
from collector.memory import MemoryPublisher
from collector.proxies import Proxies
from core.clock import ManualClock
from core.settings import Settings
from schemas import abuse
from tests.collector.asgi import Client, Reply
from tests.collector.conftest import COLLECT, KEY, NOW_MS, event

PEPPER = Pepper("p")
PEER = "198.51.100.17"
TOKEN = "the-admin-token"


class Collector:
    """Over a limit of 3 a minute for a client, 5 for a key, 7 for a tenant, and 4 keys that do not work."""

    def __init__(self, settings: Settings, publisher: MemoryPublisher, clock: ManualClock) -> None:
        settings = replace(
            settings,
            limit_client_per_minute=3,
            limit_key_per_minute=5,
            limit_tenant_per_minute=7,
            limit_refused_per_minute=4,
            collector_trusted_proxies="10.0.0.0/8",
        )
        self.publisher = publisher
        self.clock = clock
        self.table = KeyTable(pepper=PEPPER, bootstrap_key=KEY, bootstrap_tenant="demo", clock=clock)
        self.table.loaded = True
        self.abuse = AbuseLog(settings, collector="test-0", clock=clock)
        limits = Limits(
            settings, table=LimitTable(None), pepper=PEPPER, clock=lambda: int(clock.monotonic() * 1e9) + 10**15
        )
        proxies = Proxies(settings.collector_trusted_proxies)
        gate = AdminGate(TOKEN, proxies=proxies, limits=limits, abuse=self.abuse)
        admin = KeyAdmin(settings, keys=self.table, pepper=PEPPER, gate=gate, store=lambda *_: None, clock=clock)
        controls = Controls(keys=self.table, limits=limits, abuse=self.abuse, routes=admin.routes())
        self.app = create_app(settings, publisher=publisher, controls=controls, clock=clock)

    def make(self, *, tenant: str = "shop", **fields: Any) -> KeyText:
        key = key_text.mint("live")
        record = KeyRecord(
            id=key.id,
            tenant=tenant,
            kind="server",
            mode="live",
            hash=PEPPER.hash(key.text).hex(),
            pepper=PEPPER.fingerprint,
            created_at_ms=NOW_MS,
            **fields,
        )
        self.table.take(f"{KEY_ENTRY}{key.id}", key_entries.encode(record))
        return key

    def send(self, key: str | None, body: Any = None, *, peer: str = PEER, forwarded_for: str = "") -> Reply:
        headers = [("authorization", f"Bearer {key}")] if key is not None else []
        if forwarded_for:
            headers.append(("x-forwarded-for", forwarded_for))
        content = msgspec.json.encode(event() if body is None else body)
        reply = Client(self.app, peer=peer).request("POST", COLLECT, content, headers=headers)
        assert reply is not None
        return reply

    def statuses(self, key: str, times: int, **how: Any) -> list[int]:
        return [self.send(key, **how).status for _ in range(times)]

    def told(self) -> dict[tuple[str, str, str, str], int]:
        """(reason, tenant, key, network) → requests."""
        found = [abuse.decode(each.value or b"") for each in self.abuse.told()]
        return {(each.reason, each.tenant, each.key_id, each.network): each.requests for each in found}


@pytest.fixture
def collector(settings: Settings, publisher: MemoryPublisher, clock: ManualClock) -> Collector:
    return Collector(settings, publisher, clock)


def test_a_client_has_its_limit_for_each_key(collector: Collector) -> None:
    one, other = collector.make(), collector.make(tenant="other")
    assert collector.statuses(one.text, 4) == [200, 200, 200, 429]
    assert collector.statuses(other.text, 1) == [200]
    assert collector.statuses(one.text, 1, peer="198.51.100.18") == [200]
    collector.clock.advance(20)
    assert collector.statuses(one.text, 2) == [200, 429]


def test_what_a_client_above_its_limit_is_told(collector: Collector) -> None:
    key = collector.make()
    reply = [collector.send(key.text) for _ in range(4)][-1]
    assert (reply.status, reply.json["code"]) == (429, "rate_limited")
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["retry-after"] == "20"
    assert reply.headers["ratelimit-policy"] == '"client";q=3;w=60'
    assert reply.headers["ratelimit"] == '"client";r=0;t=20'
    assert reply.headers["connection"] == "close"  # the body was not read
    collector.clock.advance(int(reply.headers["retry-after"]))
    assert collector.send(key.text).status == 200


def test_a_key_and_a_tenant_have_theirs_over_all_clients(collector: Collector) -> None:
    one, other = collector.make(), collector.make()
    peers = [f"198.51.{n}.1" for n in range(8)]
    assert [collector.send(one.text, peer=peer).status for peer in peers[:6]] == [200] * 5 + [429]
    assert [collector.send(other.text, peer=peer).status for peer in peers[:3]] == [200, 200, 429]
    assert collector.told() == {
        ("limit_key", "shop", one.id, "198.51.5.0"): 1,
        ("limit_tenant", "shop", other.id, "198.51.2.0"): 1,
    }


@pytest.mark.parametrize(("own", "passed"), [(1, 1), (0, 5), (4, 4)])
def test_a_key_may_say_otherwise(collector: Collector, own: int, passed: int) -> None:
    key = collector.make(requests_per_minute=own)
    assert collector.statuses(key.text, passed + 1) == [200] * passed + [429]


def test_a_request_counts_once_wherever_its_key_stands(collector: Collector) -> None:
    key = collector.make()
    body = {"events": [event(tracking_key=key.text)] * 4, "tracking_key": key.text}
    assert [collector.send(key.text, body).status for _ in range(4)] == [200, 200, 200, 429]
    collector.clock.advance(60)
    assert [collector.send(None, [event(tracking_key=key.text)] * 4).status for _ in range(4)] == [200, 200, 200, 429]
    # Refused as a whole: nothing of it is stored, so that all of it can be sent again.
    assert len(collector.publisher.records) == 6 * 4


def test_clients_of_one_ipv6_network_are_one(collector: Collector) -> None:
    key = collector.make()
    peers = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::3", "2001:db8:1:2::4", "2001:db8:1:3::1"]
    assert [collector.send(key.text, peer=peer).status for peer in peers] == [200, 200, 200, 429, 200]
    assert client_of("::ffff:1.2.3.4") == client_of("1.2.3.4")
    assert client_of("no address") == ""


def test_forwarded_addresses_count_from_trusted_proxies_only(collector: Collector) -> None:
    key = collector.make(tenant="a")
    spoofed = [f"203.0.113.{n}" for n in range(4)]
    assert [collector.send(key.text, forwarded_for=each).status for each in spoofed] == [200, 200, 200, 429]
    collector.clock.advance(60)
    behind = [collector.send(key.text, peer="10.1.1.1", forwarded_for=f"{each}, {PEER}").status for each in spoofed]
    assert behind == [200, 200, 200, 429]
    collector.clock.advance(60)
    others = [collector.send(key.text, peer="10.1.1.1", forwarded_for=each).status for each in spoofed]
    assert others == [200] * 4


def test_keys_that_do_not_work_are_limited(collector: Collector) -> None:
    key = collector.make()
    wrong = [key_text.mint("live").text for _ in range(6)]
    replies = [collector.send(each) for each in wrong]
    assert [reply.status for reply in replies] == [401] * 4 + [429] * 2
    assert replies[-1].headers["retry-after"] == "15"
    # Whoever shares the address with it and has a key is not concerned.
    assert collector.send(key.text).status == 200
    assert collector.send(wrong[0], peer="203.0.113.1").status == 401
    assert collector.told() == {
        ("unknown_key", "", "", "198.51.100.0"): 6,
        ("unknown_key", "", "", "203.0.113.0"): 1,
    }


def test_keys_of_events_are_limited_too(collector: Collector) -> None:
    key = collector.make()
    body = [event(tracking_key=key_text.mint("live").text) for _ in range(20)]
    body[10] = event(tracking_key=key.text)
    assert collector.send(None, body[11:]).status == 429
    collector.clock.advance(60)
    reply = collector.send(key.text, body)
    assert reply.status == 200
    assert reply.json["accepted"] == 0  # after too many wrong ones nothing is looked up, not even the right one
    assert {each["code"] for each in reply.events} == {"unauthorized"}


def test_the_right_secret_is_not_told_from_a_wrong_one_while_somebody_guesses(
    settings: Settings, publisher: MemoryPublisher, clock: ManualClock
) -> None:
    collector = Collector(settings, publisher, clock)
    key, other = collector.make(), collector.make()
    wrong = key.text[:-2] + ("ab" if not key.text.endswith("ab") else "cd")
    for _ in range(GUESSES_PER_MINUTE):
        assert collector.send(wrong).status in {401, 429}
    guess, right = collector.send(wrong), collector.send(key.text)
    assert (guess.status, guess.headers, guess.body) == (right.status, right.headers, right.body)
    assert guess.status == 429
    # Elsewhere the key works, and there another key does.
    assert collector.send(key.text, peer="203.0.113.1").status == 200
    assert collector.send(other.text).status == 200
    clock.advance(60)
    assert collector.send(key.text).status == 200


def test_admin_tokens_cannot_be_guessed(collector: Collector) -> None:
    def ask(token: str, peer: str = PEER) -> int:
        reply = Client(collector.app, peer=peer).request("GET", PATH, headers=[("authorization", f"Bearer {token}")])
        assert reply is not None
        return reply.status

    assert [ask("wrong") for _ in range(12)] == [401] * 10 + [429] * 2
    assert ask(TOKEN) == 429
    assert ask(TOKEN, peer="203.0.113.1") == 200
    collector.clock.advance(6)
    assert ask(TOKEN) == 200
    assert collector.told() == {("admin_token", "", "", "198.51.100.0"): 10}


def test_refusals_are_told_by_who_and_why(collector: Collector) -> None:
    revoked = collector.make()
    revocation = key_entries.encode(key_entries.Revocation(NOW_MS))
    collector.table.take(f"{key_entries.REVOKED}{revoked.id}", revocation)
    collector.send(revoked.text)
    collector.send(revoked.text)
    collector.clock.advance(10)
    (told,) = [abuse.decode(each.value or b"") for each in collector.abuse.told()]
    assert (told.reason, told.tenant, told.key_id, told.requests) == ("revoked_key", "shop", revoked.id, 2)
    assert (told.network, told.collector) == ("198.51.100.0", "test-0")
    assert (told.since, told.until) == (NOW_MS, NOW_MS + 10_000)
    assert collector.told() == {}


def test_many_abusers_are_counted_together(settings: Settings, clock: ManualClock) -> None:
    log = AbuseLog(settings, collector="c", clock=clock)
    for number in range(7_000):
        log.count("unknown_key", address=f"10.{number // 256}.{number % 256}.1")
    found = [abuse.decode(each.value or b"") for each in log.told()]
    assert len(found) == 5_001
    assert {each.requests for each in found if each.network == ""} == {2_000}
    assert sum(each.requests for each in found) == 7_000


def test_whole_addresses_go_nowhere(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = collector.make()
    replies = [collector.send(each) for each in (key.text, key.text, key.text, key.text, "wrong")]
    told = b"".join(each.value or b"" for each in collector.abuse.told())
    records = b"".join(each.value for each in collector.publisher.records)
    seen = told + records + b"".join(reply.body for reply in replies) + caplog.text.encode()
    assert b"198.51.100.0" in told
    assert PEER.encode() not in seen + str([reply.headers for reply in replies]).encode()
