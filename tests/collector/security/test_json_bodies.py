"""JSON at and beyond its edges: always a verdict or a problem, never a failure of the server."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collector.live import Served
from tests.collector.security import answer
from tests.collector.security.conftest import EVENT, post

CLOSE = b"connection: close"


def with_properties(properties: bytes) -> bytes:
    return EVENT[:-1] + b',"properties":{"a":%s}}' % properties


ACCEPTED = [
    b"18446744073709551616", b"-1e-400", b"123456789012345678901234567890", b"0.1e1", b'"\\u0000"', b'"\\ud83d"',
    b'"\\uDE00\\uD83D"', b'"\\ud83d\\ude00"', b'{"a":1,"a":2}', b'{"":0}', b'"\xf4\x8f\xbf\xbf"', b"[[[[[[]]]]]]",
    b'{"__proto__":{"x":1},"constructor":0}', b'"\\/\\b\\f"', b"-0", b'"\x7f"',
]  # fmt: skip
REFUSED = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"01", b"+1", b".5", b"1.", b"0x1", b"'a'", b'"\n"',
    b'"\x00"', b'"\\x"', b'"\\u12"', b"True", b"nul", b"[1,]", b"{1:1}", b"{'a':1}", b"/*c*/1", b"1//c", b'"\xff"',
    b'"\xc3"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'"\xf5\x80\x80\x80"', b"[" * 200 + b"]" * 200,
]  # fmt: skip


@pytest.mark.parametrize("value", ACCEPTED)
def test_legal_values(served: Served, value: bytes) -> None:
    status, content = answer(served.ask(post(b"[%s,%s]" % (with_properties(value), EVENT), CLOSE)))
    assert (status, content["accepted"]) == (200, 2)


@pytest.mark.parametrize("value", REFUSED)
def test_illegal_values(served: Served, value: bytes) -> None:
    alone, _ = answer(served.ask(post(with_properties(value), CLOSE)))
    together, content = answer(served.ask(post(b"[%s,%s]" % (with_properties(value), EVENT), CLOSE)))
    assert alone in {200, 400}
    # Where one event can be told from the next, the good one lives.
    assert together == 400 or (content["rejected"], content["accepted"]) == (1, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"null", b"0", b'"x"', b"[", b"]", b"{", b"[]]", b"[{}", b"[null]", b"[[]]", b"\xef\xbb\xbf",
        b"\xff\xfe{\x00}\x00", b'{"events":null}', b'{"events":{}}', b'{"events":[{}],"events":7}', b"[" * 60_000,
        b'{"a":' * 12_000, b'{"events":[' * 5_000, b"\x00" * 100, b"{}{}", b"[1,2,3]", b'{"event_type":',
    ],
)  # fmt: skip
def test_bodies_that_are_no_events(served: Served, body: bytes) -> None:
    status, content = answer(served.ask(post(body, CLOSE)))
    assert status in {200, 400, 413}
    assert status != 200 or content["accepted"] == 0
    assert served.publisher.records == []


def test_a_byte_order_mark_is_no_fault(served: Served) -> None:
    assert answer(served.ask(post(b"\xef\xbb\xbf" + EVENT, CLOSE)))[0] == 200


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.integers(0, len(EVENT)), st.integers(0, 20), st.booleans())
def test_any_damage(served: Served, noise: bytes, at: int, cut: int, batch: bool) -> None:
    damaged = EVENT[:at] + noise + EVENT[at + cut :]
    status, _ = answer(served.ask(post(b"[%s]" % damaged if batch else damaged, CLOSE)))
    assert status in {200, 400, 413}
