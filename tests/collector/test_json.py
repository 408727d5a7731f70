"""Bodies that are odd or hostile as JSON: each has a decided, typed answer, and none costs a neighbour."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.app import create_app
from collector.faults import Code
from collector.memory import MemoryPublisher
from core.settings import Settings
from tests.collector.asgi import Client
from tests.collector.conftest import COLLECT, KEY, Collect, payloads

HEAD = b'{"event_id":"odd","event_type":"page_view","session_id":"s","consent_state":"granted"'
GOOD = HEAD.replace(b"odd", b"good") + b"}"


def with_properties(text: bytes) -> bytes:
    return HEAD + b',"properties":' + text + b"}"


# What the whole body is refused for: where an event ends cannot be known.
NOT_JSON = {
    "empty": b"",
    "blank": b" \r\n\t",
    "scalar": b"5",
    "string": b'"x"',
    "null": b"null",
    "cut": GOOD[:-1],
    "cut array": b"[" + GOOD,
    "trailing": GOOD + b"x",
    "two objects": GOOD + GOOD,
    "comma": b"[" + GOOD + b",]",
    "NaN": with_properties(b'{"a":NaN}'),
    "Infinity": with_properties(b'{"a":-Infinity}'),
    "hex": with_properties(b'{"a":0x1F}'),
    "leading zero": with_properties(b'{"a":01}'),
    "single quotes": b"{'event_type':'page_view'}",
    "comment": b"/**/" + GOOD,
    "utf-16": GOOD.decode().encode("utf-16"),
    "raw NUL": with_properties(b'{"a":"\0"}'),
    "raw newline in string": with_properties(b'{"a":"\n"}'),
    "bad escape": with_properties(rb'{"a":"\x41"}'),
    "short unicode escape": with_properties(rb'{"a":"\u12"}'),
    "binary": bytes(range(256)),
    "unclosed depth": b"[" * 200_000,
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_no_json_is_a_problem(collect: Collect, publisher: MemoryPublisher, name: str) -> None:
    reply = collect(NOT_JSON[name])
    assert (reply.status, reply.headers["content-type"]) == (400, "application/problem+json")
    assert reply.json["code"] in {"invalid_json", "too_deep"}
    assert publisher.records == []


# What is refused as one event among others.
BAD_EVENTS = {
    "1e999": (with_properties(b'{"a":1e999}'), "invalid_field"),
    "5000 digits": (with_properties(b'{"a":' + b"1" * 5000 + b"}"), "invalid_field"),
    "invalid UTF-8": (with_properties(b'{"a":"\xff"}'), "invalid_json"),
    "CESU surrogate": (with_properties(b'{"a":"\xed\xa0\x80"}'), "invalid_json"),
    "overlong": (HEAD + b',"url":"\xc0\xaf"}', "invalid_json"),
    "invalid UTF-8 in a key": (HEAD + b',"\xff":1}', "invalid_json"),
    "65 levels": (with_properties(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}"), "too_deep"),
    "500 levels": (with_properties(b'{"a":' * 500 + b"1" + b"}" * 500), "too_deep"),
    "2000 levels": (with_properties(b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}"), "too_deep"),
    "an event of 5000 levels": (b"[" * 5000 + b"]" * 5000, "invalid_field"),
    "5000 levels in an unknown field": (HEAD + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "unknown_field"),
    "scalar": (b"1e5", "invalid_field"),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
@pytest.mark.parametrize("form", ["array", "batch"])
def test_a_hostile_event_costs_only_itself(collect: Collect, publisher: MemoryPublisher, name: str, form: str) -> None:
    bad, code = BAD_EVENTS[name]
    body = b"[" + GOOD + b"," + bad + b"," + GOOD + b"]"
    reply = collect(body if form == "array" else b'{"events":' + body + b"}")
    assert reply.status == 200
    assert [verdict["verdict"] for verdict in reply.events] == ["accepted", "rejected", "accepted"]
    assert reply.events[1]["code"] == code
    assert len(publisher.records) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + GOOD,
        b" \r\n\t" + GOOD + b"\n",
        with_properties(rb'{"a":"\u0000"}'),
        with_properties(b'{"a":18446744073709551616}'),
        with_properties(b'{"a":-0.0,"b":1e-999}'),
        with_properties(b'{"a":1,"a":2}'),
        with_properties(b'{"a":"\x7f\xc2\x80"}'),
        with_properties(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}"),
        with_properties(b" { } "),
        HEAD.replace(b"event_type", rb"event\u005ftype") + b"}",
    ],
)
def test_what_is_odd_but_legal_is_accepted(collect: Collect, publisher: MemoryPublisher, body: bytes) -> None:
    assert collect(body).json["accepted"] == 1
    assert len(payloads(publisher)) == 1


def test_lone_surrogates_become_replacement_characters(collect: Collect, publisher: MemoryPublisher) -> None:
    body = HEAD + rb',"url":"/a\ud83d","properties":{"t":"\udc00 \ud83d\ude00 \\ud83d"}}'
    assert collect(body).json["accepted"] == 1
    payload = payloads(publisher)[0]
    assert (payload["url"], payload["properties"]) == ("/a\ufffd", {"t": "\ufffd 😀 \\ud83d"})


def test_properties_travel_verbatim(collect: Collect, publisher: MemoryPublisher) -> None:
    text = b'{ "b" : 1.0 ,"a":[ 1e2,"\\u00e4" ] }'
    collect(with_properties(text))
    assert b'"properties":' + text + b"," in publisher.records[0].value


def test_a_batch_object_has_a_contract_of_its_own(collect: Collect) -> None:
    for body, code, field in [
        (b'{"events":5}', "invalid_field", "$.events"),
        (b'{"events":[],"extra":1}', "unknown_field", "$.extra"),
        (b'{"events":[],"sent_at":"now"}', "bad_timestamp", "$.sent_at"),
        (b'{"events":[],"historical":"yes"}', "invalid_field", "$.historical"),
    ]:
        reply = collect(body)
        assert (reply.status, reply.json["code"], reply.json["field"]) == (400, code, field)


@pytest.mark.parametrize("body", [b"[]", b'{"events":[]}'])
def test_no_events_are_no_error(collect: Collect, body: bytes) -> None:
    reply = collect(body)
    assert (reply.status, reply.events) == (200, [])


def test_events_inside_properties_do_not_make_a_batch(collect: Collect) -> None:
    assert collect(with_properties(b'{"events":[1,2]}')).json["accepted"] == 1


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            GOOD,
            HEAD,
            b"[",
            b"]",
            b"{",
            b"}",
            b",",
            b":",
            b'"events"',
            b'"properties":',
            b'"a"',
            b"\\ud83d",
            b'"',
            b"1e999",
        ]
    )
    | st.binary(max_size=6),
    max_size=12,
).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=100) | FRAGMENTS | FRAGMENTS.map(lambda inner: b"[" + GOOD + b"," + inner + b"]"))
def test_any_bytes_get_a_typed_answer(body: bytes) -> None:
    publisher = MemoryPublisher()
    app = create_app(Settings(bootstrap_key=KEY), publisher=publisher)
    reply = Client(app, (("authorization", f"Bearer {KEY}"),)).request("POST", COLLECT, body)
    assert reply is not None
    assert reply.status in {200, 400}
    answer = msgspec.json.decode(reply.body)
    if reply.status == 400:
        assert answer["code"] in get_args(Code)
    else:
        assert answer["accepted"] == len(publisher.records) == len(payloads(publisher))
