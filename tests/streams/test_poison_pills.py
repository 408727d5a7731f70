"""Poison pills: whatever lies on the raw topic, it gets an outcome, keeps its bytes, and the next event flows."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ids import dedupe_id
from schemas import framing
from schemas.codegen.encoder import varint
from schemas.contracts import bundled_contracts
from schemas.registry import bundled
from streams.batch import PartitionResult, process
from streams.records import decode_dead_letter, encode_dead_letter, encode_outcome
from streams.window import DedupeWindow
from tests.streams.raw_events import raw_value, record, tracked, wrapped

CONTRACTS = bundled_contracts()
GOOD = raw_value(event_id="good")
MEGABYTE = b"x" * 1_000_000
ENVELOPE_ID = bundled().get("raw_envelope", 1).id


def payload(properties: bytes = b"{}", context: bytes = b"{}", event_id: bytes = b'"pill"') -> bytes:
    text = json.dumps(tracked(event_id="@id", properties="@properties", context="@context")).encode()
    for name, value in ((b"id", event_id), (b"properties", properties), (b"context", context)):
        text = text.replace(b'"@%s"' % name, value)
    return wrapped(text)


def pass_through(value: bytes | None) -> PartitionResult:
    """The result of a batch of the pill and a good event; checks what holds for every pill."""
    window = DedupeWindow(max_age_ms=1, max_ids=1)
    result = process(0, [record(0, value), record(1, GOOD)], window=window, contracts=CONTRACTS)
    outcome = result.outcome
    assert outcome is not None
    assert outcome.records == 2
    assert outcome.runs[-1].outcome == "curated", "the next event flows"
    assert encode_outcome(outcome)
    assert len(window) == 0
    for letter in result.dead_letters:
        assert letter.raw == (value or b"")
        assert decode_dead_letter(encode_dead_letter(letter)) == letter
    return result


NEWER_ENVELOPE = framing.prefix(bundled().get("raw_envelope", 2).id + 90) + GOOD[5:]

DEAD: dict[str, tuple[bytes | None, str]] = {
    "no value": (None, "bad_envelope"),
    "empty": (b"", "bad_envelope"),
    "plain JSON": (json.dumps(tracked()).encode(), "bad_envelope"),
    "bad magic": (b"\x07" + GOOD[1:], "bad_envelope"),
    "second framing": (b"\x01" + bytes(16) + GOOD[5:], "bad_envelope"),
    "unknown schema": (framing.prefix(404) + GOOD[5:], "bad_envelope"),
    "another schema of ours": (framing.prefix(bundled().get("event", 1).id) + GOOD[5:], "bad_envelope"),
    "prefix only": (GOOD[:5], "bad_envelope"),
    "truncated": (GOOD[:-1], "bad_envelope"),
    "bytes left over": (GOOD + b"\0", "bad_envelope"),
    "negative length": (framing.prefix(ENVELOPE_ID) + varint(-5) + b"x" * 30, "bad_envelope"),
    "endless number": (framing.prefix(ENVELOPE_ID) + b"\xff" * 100_000, "bad_envelope"),
    "endless version": (framing.prefix(ENVELOPE_ID) + b"\0" + b"\xff" * 20_000 + b"\x01" + b"\0" * 9, "bad_envelope"),
    "tenant not UTF-8": (GOOD.replace(b"demo", b"\xff\xfe\xfd\xfc"), "bad_envelope"),
    "empty payload": (wrapped(b""), "not_json"),
    "null": (wrapped(b"null"), "wrong_type"),
    "array": (wrapped(b"[]"), "wrong_type"),
    "byte order mark": (wrapped(b"\xef\xbb\xbf{}"), "not_json"),
    "two values": (wrapped(json.dumps(tracked()).encode() + b"{}"), "not_json"),
    "unknown version": (wrapped(b"{}", version=5), "unknown_version"),
    "huge version": (wrapped(b"{}", version=2**63 - 1), "unknown_version"),
    "id not UTF-8": (payload(event_id=b'"\xff"'), "not_utf8"),
    "context no object": (payload(context=b"null"), "wrong_type"),
    "properties not UTF-8": (payload(b'{"deep":{"a":"\xff"}}'), "not_utf8"),
    "title not UTF-8": (payload(b'{"title":"\xff"}'), "not_utf8"),
    "context not UTF-8": (payload(context=b'{"a":"\xc3"}'), "not_utf8"),
    "deep properties": (payload(b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"), "too_deep"),
    "deep context": (payload(context=b"[" * 50_000 + b"]" * 50_000), "too_deep"),
    "deep and open": (payload(b'{"a":' * 50_000), "too_deep"),
    "lone surrogate in the id": (payload(event_id=b'"\\ud800 and more"'), "not_json"),
    "lone surrogate in properties": (payload(b'{"title":"\\udc00 and more"}'), "not_json"),
    "NaN": (payload(b'{"n":NaN}'), "not_json"),
    "Infinity": (payload(b'{"n":-Infinity}'), "not_json"),
    "raw NUL": (payload(b'{"title":"\0"}'), "not_json"),
    "too large a status": (payload(b'{"status":1e999}'), "wrong_type"),
    "1e999 in an undeclared field": (payload(b'{"n":1e999}'), "out_of_bounds"),
    "2^63 bytes": (payload(b'{"bytes":9223372036854775808}'), "out_of_bounds"),
    "2^64 bytes": (payload(b'{"bytes":18446744073709551616}'), "out_of_bounds"),
    "properties are text": (payload(b'"{}"'), "wrong_type"),
    "1 MB of a property": (payload(b'{"title":"%s"}' % MEGABYTE), "too_large"),
    "1 MB of an undeclared property": (payload(b'{"x":"%s"}' % MEGABYTE), "too_large"),
    "1 MB of context": (payload(context=b'{"x":"%s"}' % MEGABYTE), "too_large"),
    "1 MB of an address": (raw_value(event_id="pill", url=f"https://example.org/{MEGABYTE.decode()}"), "out_of_bounds"),
    "1 MB of an id": (payload(event_id=b'"%s"' % MEGABYTE), "out_of_bounds"),
    "before the year 1": (raw_value(event_id="pill", occurred_at=-(10**15)), "out_of_bounds"),
    "a nanosecond clock": (raw_value(event_id="pill", occurred_at=1_700_000_000 * 10**9), "out_of_bounds"),
    "beyond 64 bits": (raw_value(event_id="pill", occurred_at=10**30), "out_of_bounds"),
    "time as text": (raw_value(event_id="pill", occurred_at="yesterday"), "wrong_type"),
    "a type of a newer producer": (raw_value(event_id="pill", event_type="hologram"), "not_allowed"),
    "an envelope of a newer producer": (NEWER_ENVELOPE, "bad_envelope"),
    "empty values": (raw_value(event_id="", visitor_id="", session_id="", url="", consent_state=""), "out_of_bounds"),
    "last of two keys is wrong": (payload(b'{"status":200,"status":"x"}'), "wrong_type"),
}


@pytest.mark.parametrize(("value", "code"), DEAD.values(), ids=DEAD)
def test_a_pill_becomes_a_dead_letter(value: bytes | None, code: str) -> None:
    result = pass_through(value)
    (letter,) = result.dead_letters
    assert letter.code == code


ALIVE = {
    "2^63 in an undeclared field": payload(b'{"n":9223372036854775808}'),
    "the same key twice": payload(b'{"title":"a","title":"b","x":1,"x":2}'),
    "escaped NUL": payload(b'{"title":"a\\u0000b"}'),
    "a pair of surrogates": payload(b'{"title":"\\ud83d\\ude00"}'),
    "a field of a newer producer": raw_value(event_id="pill", from_the_future={"a": 1}),
    "the day clocks began": raw_value(event_id="pill", occurred_at=0),
    "no values that may be left out": raw_value(event_id="pill", session_id="", url="", properties={}),
    "1 MB of a user agent": raw_value(event_id="pill", envelope={"user_agent": MEGABYTE.decode()}),
    "blanks": payload(b' { "a" : 1 } '),
}


@pytest.mark.parametrize("value", ALIVE.values(), ids=ALIVE)
def test_what_looks_odd_but_keeps_the_contract_flows(value: bytes) -> None:
    result = pass_through(value)
    assert len(result.curated) == 2


def test_the_tenant_is_the_envelopes_whatever_else_names_one() -> None:
    """Collectors write it there from the tracking key. Keys of records only choose partitions."""
    value = raw_value(event_id="pill", tenant="evil", envelope={"tenant": "acme"})
    window = DedupeWindow(max_age_ms=1, max_ids=1)
    result = process(0, [record(0, value, key=b"evil|v-1")], window=window, contracts=CONTRACTS)
    ((_, curated, _),) = result.curated
    assert curated.count(b"acme") == 1
    assert b"evil" not in curated
    assert result.new_ids == [dedupe_id("acme", "pill")]


@given(st.binary(max_size=200))
def test_any_payload_gets_an_outcome(data: bytes) -> None:
    assert len(pass_through(wrapped(data)).dead_letters) == 1


@given(st.binary(max_size=60))
def test_any_value_gets_an_outcome(data: bytes) -> None:
    assert len(pass_through(data).dead_letters) == 1
    assert len(pass_through(framing.prefix(ENVELOPE_ID) + data).dead_letters) == 1


@given(st.data())
@settings(max_examples=200)
def test_a_damaged_event_gets_an_outcome(data: st.DataObject) -> None:
    value = bytearray(raw_value(event_id="damaged", properties={"title": "é", "status": 200, "list": [1, {"a": None}]}))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value) - 1))
        value[at] = data.draw(st.integers(0, 255))
    pass_through(bytes(value))
