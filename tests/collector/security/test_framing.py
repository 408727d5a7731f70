"""HTTP that two servers might read differently: it is refused, and nothing behind it is taken for a request."""

from __future__ import annotations

import pytest

from tests.collector.live import Served
from tests.collector.security import answer, answers, refusal
from tests.collector.security.conftest import EVENT, post

CLOSE = b"connection: close"
# Would be a request of its own if a body were read as shorter than it is.
SMUGGLED = post(EVENT)
CHUNKED = b"transfer-encoding: chunked"


def lines(*fields: bytes, body: bytes = b"", start: bytes = b"POST /api/v1/tracking/collect/ HTTP/1.1") -> bytes:
    return b"\r\n".join((start, *fields)) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(lines(b"host: x", b"content-length: 3", CHUNKED, body=b"0\r\n\r\n"), id="CL then TE"),
        pytest.param(lines(b"host: x", CHUNKED, b"content-length: 3", body=b"0\r\n\r\n"), id="TE then CL"),
        pytest.param(lines(b"host: x", b"content-length: 1", b"content-length: 5", body=b"abcde"), id="two CL"),
        pytest.param(lines(b"host: x", b"content-length: 1", b"content-length: 1", body=b"a"), id="CL twice"),
        pytest.param(lines(b"host: x", b"content-length: 1, 1", body=b"a"), id="CL list"),
        pytest.param(lines(b"host: x", b"content-length: +1", body=b"a"), id="CL sign"),
        pytest.param(lines(b"host: x", b"content-length: 0x1", body=b"a"), id="CL hex"),
        pytest.param(lines(b"host: x", b"content-length: -1", body=b"a"), id="CL negative"),
        pytest.param(lines(b"host: x", b"content-length: 1 1", body=b"a"), id="CL space"),
        pytest.param(lines(b"host: x", b"content-length:", body=b"a"), id="CL empty"),
        pytest.param(lines(b"host: x", b"content-length: 99999999999999999999", body=b"a"), id="CL overflow"),
        pytest.param(lines(b"host: x", b"content-length : 1", body=b"a"), id="space before colon"),
        pytest.param(lines(b"host: x", b"transfer-encoding : chunked", body=b"0\r\n\r\n"), id="TE space before colon"),
        pytest.param(lines(b"host: x", b"transfer-encoding: xchunked", body=b"0\r\n\r\n"), id="TE unknown"),
        pytest.param(lines(b"host: x", b"transfer-encoding: gzip, chunked", body=b"0\r\n\r\n"), id="TE gzip"),
        pytest.param(lines(b"host: x", b"transfer-encoding: chunked, identity", body=b"0\r\n\r\n"), id="TE not last"),
        pytest.param(lines(b"host: x", CHUNKED, CHUNKED, body=b"0\r\n\r\n"), id="TE twice"),
        pytest.param(lines(b"host: x", b"transfer-encoding: \x0bchunked", body=b"0\r\n\r\n"), id="TE vertical tab"),
        pytest.param(lines(b"host: x", b"transfer-encoding:", body=b"0\r\n\r\n"), id="TE empty"),
        pytest.param(lines(CHUNKED, body=b"0\r\n\r\n", start=b"POST / HTTP/1.0"), id="TE in HTTP/1.0"),
        pytest.param(lines(b"host: x", b"x: a\r\n b", body=b""), id="folded header"),
        pytest.param(b"POST / HTTP/1.1\nhost: x\n\n", id="bare LF"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: x\rfoo: y\r\n\r\n", id="bare CR"),
        pytest.param(lines(b"host: x", b"h\xc3\xa4: 1"), id="header name not a token"),
        pytest.param(lines(b"host: x", b"h: a\x00b"), id="NUL in a value"),
        pytest.param(lines(b"host: x", b"h: a\x1bb"), id="control in a value"),
        pytest.param(lines(b"x: y"), id="no host"),
        pytest.param(lines(b"host: x", b"host: y"), id="two hosts"),
        pytest.param(b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n", id="byte in the URL"),
        pytest.param(b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n", id="space in the URL"),
        pytest.param(b"GET x HTTP/1.1\r\nhost: x\r\n\r\n", id="relative URL"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nhost: x\r\n\r\n", id="CONNECT"),
        pytest.param(b"BREW / HTTP/1.1\r\nhost: x\r\n\r\n", id="unknown method"),
        pytest.param(b"get / HTTP/1.1\r\nhost: x\r\n\r\n", id="lower-case method"),
        pytest.param(b"GET / HTTP/1.2\r\nhost: x\r\n\r\n", id="unknown version"),
        pytest.param(b"GET / HTTP/9.9\r\nhost: x\r\n\r\n", id="absurd version"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS on a plain port"),
        pytest.param(b"\x00" * 50, id="zeros"),
        pytest.param(b"hello\r\n\r\n", id="no HTTP"),
    ],
)
def test_is_refused(served: Served, sent: bytes) -> None:
    assert refusal(served.ask(sent + SMUGGLED)) == (400, "malformed_request")
    assert served.publisher.records == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"ffffffffffffffff1\r\nabc", id="size overflow"),
        pytest.param(b"-1\r\nabc", id="negative size"),
        pytest.param(b"0x3\r\nabc\r\n0\r\n\r\n", id="size with 0x"),
        pytest.param(b"3 \r\nabc\r\n0\r\n\r\n", id="size with a space"),
        pytest.param(b"\r\nabc\r\n0\r\n\r\n", id="no size"),
        pytest.param(b"3\r\nabcdef\r\n0\r\n\r\n", id="longer than its size"),
        pytest.param(b"3\nabc\n0\n\n", id="bare LF"),
        pytest.param(b"3\rabc\r0\r\r", id="bare CR"),
        pytest.param(b"zz\r\n", id="no number"),
    ],
)
def test_chunks_that_are_none(served: Served, body: bytes) -> None:
    sent = post(body, CHUNKED, length=-1)
    assert refusal(served.ask(sent + SMUGGLED)) == (400, "malformed_request")
    assert served.publisher.records == []


def test_a_trailer_is_no_header(served: Served) -> None:
    chunks = b"%x;ext=1\r\n%s\r\n0\r\nauthorization: Bearer other\r\ncontent-encoding: gzip\r\n\r\n" % (
        len(EVENT),
        EVENT,
    )
    assert answer(served.ask(post(chunks, CHUNKED, CLOSE, length=-1)))[0] == 200


def test_tiny_chunks_cost_their_sender_the_request(served: Served) -> None:
    chunks = b"1\r\n \r\n" * 30_000
    assert refusal(served.ask(post(chunks, CHUNKED, length=-1))) == (413, "too_large")


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
def test_other_protocols_are_not_spoken(served: Served, upgrade: bytes) -> None:
    sent = post(EVENT, b"connection: upgrade, http2-settings", b"upgrade: " + upgrade, b"http2-settings: AAMAAABk")
    assert answer(served.ask(sent + SMUGGLED))[0] == 200
    assert len(served.publisher.records) == 1


def test_nothing_follows_connection_close(served: Served) -> None:
    assert answer(served.ask(post(EVENT, CLOSE) + SMUGGLED))[0] == 200
    assert len(served.publisher.records) == 1


def test_http_1_0_is_answered_once(served: Served) -> None:
    sent = post(EVENT, b"connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0", 1).replace(b"host: x\r\n", b"", 1)
    assert answer(served.ask(sent + SMUGGLED))[0] == 200
    assert len(served.publisher.records) == 1


def test_absolute_and_odd_targets(served: Served) -> None:
    for target, expected in [
        (b"http://x/api/v1/tracking/collect/", 405),
        (b"/api/v1/tracking/collect/?a=b", 405),
        (b"/api/v1/tracking/collect%2F", 405),
        (b"/%2e%2e/%2e%2e/etc/passwd", 404),
        (b"/../../etc/passwd", 404),
        (b"//evil.example/", 404),
        (b"/%00", 404),
        (b"/%ff%fe", 404),
        (b"*", 404),
    ]:
        method = b"OPTIONS" if target == b"*" else b"GET"
        sent = b"%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % (method, target)
        assert answer(served.ask(sent))[0] == expected, target


def test_heads_that_ask_for_a_body_to_be_awaited(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(b"", b"expect: 100-continue", CLOSE, length=len(EVENT)))
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(EVENT)
        received = b""
        while part := sock.recv(65536):
            received += part
    assert [status for status, _ in answers(received)] == [200]
    # One that is refused is not invited to send.
    assert refusal(served.ask(post(b"", b"expect: 100-continue", length=10**8))) == (413, "too_large")
