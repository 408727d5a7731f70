"""What is taken out of an event, and that nothing else changes."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.redaction import Redaction, _Rewriting, names_address, networks
from tests.collector.test_oddities import JSON_VALUES

PARAMETERS = ["token", "secret", "password"]
PROPERTIES = ["password", "secret", "api_key"]
OWN_KEY = "my-very-own-key"
REDACTION = Redaction(parameters=PARAMETERS, properties=PROPERTIES, secrets=[OWN_KEY])


@pytest.mark.parametrize(
    ("sent", "clean"),
    [
        ("https://x.example/?token=abc&b=1", "https://x.example/?token=REDACTED&b=1"),
        ("https://x.example/?b=1;Access_Token=abc#f", "https://x.example/?b=1;Access_Token=REDACTED#f"),
        ("https://x.example/#access_token=abc&state=1", "https://x.example/#access_token=REDACTED&state=1"),
        ("https://x.example/?reset%50assword=abc", "https://x.example/?reset%50assword=REDACTED"),
        ("https://x.example/?pass%2577ord=abc", "https://x.example/?pass%2577ord=REDACTED"),
        ("https://x.example/?tok%65n=abc", "https://x.example/?tok%65n=REDACTED"),
        ("https://x.example/?token=", "https://x.example/?token=REDACTED"),
        (
            "https://x.example/?next=https%3A%2F%2Fy%2F%3Ftoken%3Dabc",
            "https://x.example/?next=https%3A%2F%2Fy%2F%3Ftoken%3DREDACTED",
        ),
        ("https://anna:pw@x.example/a@b", "https://x.example/a@b"),
        ("https://x.example/@anna?mail=a@b.example", "https://x.example/@anna?mail=a@b.example"),
        ("see https://x.example/?token=abc, or not", "see https://x.example/?token=REDACTED or not"),
        ("token=abc&a=1", "token=REDACTED&a=1"),
        ("https://x.example/?ip=203.0.113.77", "https://x.example/?ip=203.0.113.0"),
        ("https://x.example/?client_ip=2001%3Adb8%3A1%3A2%3A%3A3", "https://x.example/?client_ip=2001:db8:1::"),
        ("https://x.example/?key=slc_live_abc-DEF_1", "https://x.example/?key=REDACTED"),
        (f"sent with {OWN_KEY}", "sent with REDACTED"),
        ("https://x.example/?q=tokens&zip=203.0.113.77", "https://x.example/?q=tokens&zip=203.0.113.77"),
        ("a=b=c", "a=b=c"),
        ("nothing here", "nothing here"),
    ],
)
def test_text(sent: str, clean: str) -> None:
    # A comma ends no parameter by the URL standard, so it goes with the value.
    assert REDACTION.text(sent) == clean
    for encoded in (
        msgspec.json.encode(sent),
        json.dumps(sent).encode(),
        json.dumps(sent).replace("/", "\\/").encode(),
    ):
        event = b'{"url" : %b}' % encoded
        assert msgspec.json.decode(REDACTION.apply(event))["url"] == clean


@pytest.mark.parametrize(
    ("sent", "clean"),
    [
        ({"password": "x", "a": 1}, {"password": "REDACTED", "a": 1}),
        ({"userPassword": 1234}, {"userPassword": "REDACTED"}),
        ({"api_key": ["x", "y"]}, {"api_key": ["REDACTED", "REDACTED"]}),
        ({"password_set": True}, {"password_set": True}),
        ({"ip": "203.0.113.77", "zip": "203.0.113.77"}, {"ip": "203.0.113.0", "zip": "203.0.113.77"}),
        ({"clientIp": "2001:db8:1:2:3::4"}, {"clientIp": "2001:db8:1::"}),
        ({"remote_addr": "203.0.113.77:8080"}, {"remote_addr": "203.0.113.0"}),
        ({"X-Forwarded-For": "203.0.113.77, 10.1.2.3"}, {"X-Forwarded-For": "203.0.113.0,10.1.2.0"}),
        ({"ip": "unknown", "address": "1.2.3.4 Main Street"}, {"ip": "unknown", "address": "1.2.3.4 Main Street"}),
        ({"tracking_key": "slc_live_abc"}, {"tracking_key": "slc_live_abc"}),
        ({"a": {"b": [{"secret": "x"}]}}, {"a": {"b": [{"secret": "REDACTED"}]}}),
    ],
)
def test_properties(sent: dict[str, Any], clean: dict[str, Any]) -> None:
    assert msgspec.json.decode(REDACTION.apply(msgspec.json.encode(sent))) == clean


def test_a_key_written_in_escapes_is_read() -> None:
    assert REDACTION.apply(rb'{"\u0070assword":"x"}') == rb'{"\u0070assword":"REDACTED"}'
    assert REDACTION.apply(rb'{"url":"?\u0074oken=x"}') == rb'{"url":"?token=REDACTED"}'


def test_all_else_stays_byte_for_byte() -> None:
    sent = b'{ "n": 1.10, "big": 12345678901234567890123, "e":1E+2,"u":"\\u00e9\\/","secret":"x" ,"t":true}'
    assert REDACTION.apply(sent) == sent.replace(b'"secret":"x"', b'"secret":"REDACTED"')


def test_an_ordinary_event_is_the_same_object() -> None:
    event = b'{"url":"https://x.example/?q=caf%C3%A9&page=2","properties":{"shipping":"3.90","a":"b@c.example"}}'
    assert REDACTION.apply(event) is event


@given(st.binary(max_size=60) | st.text(st.sampled_from('{}":,%@\\u0074tokenip=/1.'), max_size=60).map(str.encode))
def test_any_bytes_come_back(event: bytes) -> None:
    assert isinstance(REDACTION.apply(event), bytes)


_TRICKY = st.sampled_from(
    [
        "token",
        "?token=",
        "&x=",
        "%74oken=",
        "://",
        "@",
        "ip",
        "client_ip",
        "=",
        "#",
        ";",
        "203.0.113.77",
        "slc_live_a",
        "%",
        "25",
    ]
)
_TEXTS = st.lists(_TRICKY | st.text(max_size=4), max_size=8).map("".join)
_EVENTS = st.dictionaries(_TEXTS, _TEXTS | st.lists(_TEXTS, max_size=3) | JSON_VALUES, max_size=5)


@given(_EVENTS, st.booleans(), st.booleans())
def test_the_short_look_misses_nothing(event: dict[str, Any], ascii_only: bool, slashes: bool) -> None:
    text = json.dumps(event, ensure_ascii=ascii_only)
    sent = (text.replace("/", "\\/") if slashes else text).encode("utf-8", "surrogatepass")
    assert REDACTION.apply(sent) == _Rewriting(REDACTION).of(sent)


@given(_EVENTS)
def test_what_was_cleaned_is_clean(event: dict[str, Any]) -> None:
    sent = json.dumps(event).encode()
    once = REDACTION.apply(sent)
    assert REDACTION.apply(once) == once


@given(JSON_VALUES)
def test_the_shape_stays(value: Any) -> None:
    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shape(inner) for key, inner in value.items()}
        return [shape(inner) for inner in value] if isinstance(value, list) else None

    sent = json.dumps(value)
    assert shape(json.loads(REDACTION.apply(sent.encode()))) == shape(json.loads(sent))


_CANARY = "c4n4ry"


@given(
    st.sampled_from(["token", "Secret", "user_password", "x[token]", "to%6ben"]),
    st.integers(0, 2),
    st.sampled_from(["?", "&", "#", ";"]),
    st.text(st.characters(codec="ascii", exclude_characters="&#;<>\"' \\%", exclude_categories=["Cc"]), max_size=5),
)
def test_no_canary_survives_any_nesting(name: str, nested: int, before: str, around: str) -> None:
    url = f"https://x.example/{before}{name}={around}{_CANARY}"
    for _ in range(nested):
        url = f"https://y.example/?next={quote(url, safe='')}"
    assert _CANARY not in REDACTION.text(url)


@pytest.mark.parametrize(
    "name", ["ip", "IP", "client_ip", "clientIP", "userIp", "ipAddress", "remote-addr", "x_forwarded_for"]
)
def test_names_of_addresses(name: str) -> None:
    assert names_address(name)


@pytest.mark.parametrize(
    "name", ["zip", "ship", "address", "street_addr", "tip_address_x", "description", "", "recipe"]
)
def test_other_names(name: str) -> None:
    assert not names_address(name)


@given(st.lists(st.ip_addresses(), min_size=1, max_size=3))
def test_no_host_part_is_left(addresses: list[Any]) -> None:
    assert networks(", ".join(map(str, addresses))) == networks(networks(", ".join(map(str, addresses))))
    for address, cut in zip(addresses, networks(",".join(map(str, addresses))).split(","), strict=True):
        assert cut == str(address) or not re.search(re.escape(str(address)) + r"$", cut)
