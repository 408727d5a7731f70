"""At the limit and one above: bodies, events, properties, heads, URLs, connections; what compresses to little."""

from __future__ import annotations

import gzip
import time
import zlib

import brotli
import msgspec
import pytest
from backports import zstd

from collector.contract import MAX_PROPERTIES
from tests.collector.live import Served, read_all, read_answer, status
from tests.collector.security import answer, refusal
from tests.collector.security.conftest import BOUNDS, EVENT, SETTINGS, post

CLOSE = b"connection: close"
BODY = SETTINGS.collector_max_body_bytes
LARGEST = SETTINGS.collector_max_event_bytes
PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress}


def padded(size: int) -> bytes:
    """An event of `size` bytes."""
    return EVENT[:-1] + b" " * (size - len(EVENT)) + b"}"


def batch(size: int) -> bytes:
    return b"[" + EVENT + b" " * (size - len(EVENT) - 2) + b"]"


@pytest.mark.parametrize("chunked", [False, True])
def test_body(served: Served, chunked: bool) -> None:
    def ask(body: bytes) -> bytes:
        if not chunked:
            return served.ask(post(body, CLOSE))
        pieces = b"".join(b"1000\r\n%s\r\n" % body[at : at + 4096] for at in range(0, len(body) // 4096 * 4096, 4096))
        if rest := body[len(body) // 4096 * 4096 :]:
            pieces += b"%x\r\n%s\r\n" % (len(rest), rest)
        return served.ask(post(pieces + b"0\r\n\r\n", CLOSE, b"transfer-encoding: chunked", length=-1))

    assert answer(ask(batch(BODY)))[0] == 200
    assert refusal(ask(batch(BODY + 1))) == (413, "too_large")


def test_a_client_that_sends_all_of_a_refused_body_still_reads_why(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(b"", length=5_000_000))
        for _ in range(5):
            sock.sendall(b"x" * 1_000_000)
        assert refusal(read_all(sock)) == (413, "too_large")


def test_a_refused_body_is_not_kept(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(b"", length=BODY + 1) + b"x" * BODY)
        read_answer(sock)
        assert served.waiting.bytes == 0


def test_event(served: Served) -> None:
    assert answer(served.ask(post(padded(LARGEST), CLOSE)))[0] == 200
    assert refusal(served.ask(post(padded(LARGEST + 1), CLOSE))) == (413, "too_large")
    _, content = answer(served.ask(post(b"[%s,%s]" % (padded(LARGEST + 1), EVENT), CLOSE)))
    assert [verdict["verdict"] for verdict in content["events"]] == ["rejected", "accepted"]


def test_number_of_events(served: Served) -> None:
    most = SETTINGS.collector_max_batch_events
    assert answer(served.ask(post(b"[" + b",".join([EVENT] * most) + b"]", CLOSE)))[0] == 200
    many = served.ask(post(b"[" + b",".join([EVENT] * (most + 1)) + b"]", CLOSE))
    assert refusal(many) == (413, "too_many_events")


@pytest.mark.parametrize("field", ["properties", "context"])
def test_number_of_properties(served: Served, field: str) -> None:
    def sent(count: int) -> bytes:
        event = {"event_type": "page_view", "consent_state": "granted", field: {f"k{n}": 1 for n in range(count)}}
        return served.ask(post(b"[%s]" % msgspec.json.encode(event), CLOSE))

    _, content = answer(sent(MAX_PROPERTIES))
    assert content["accepted"] == 1
    _, content = answer(sent(MAX_PROPERTIES + 1))
    assert (content["events"][0]["code"], content["events"][0]["field"]) == ("too_many_properties", f"$.{field}")


def head(*, url: int = 1, fields: int = 1, size: int = 0) -> bytes:
    """A GET whose URL has `url` bytes, with `fields` headers, and of `size` bytes as the server counts it."""
    url = max(url, len(b"/nothing"))
    lines = [b"host: x", b"connection: close", *(b"x-%d: 1" % n for n in range(fields - 2))]
    counted = url + sum(len(line) + 2 for line in lines)
    if size:
        lines.append(b"x: " + b"a" * (size - counted - 5))
    return b"GET /%s HTTP/1.1\r\n%s\r\n\r\n" % (b"a" * (url - 1), b"\r\n".join(lines))


def test_url(served: Served) -> None:
    assert refusal(served.ask(head(url=BOUNDS.url_bytes))) == (404, "not_found")
    assert refusal(served.ask(head(url=BOUNDS.url_bytes + 1))) == (414, "uri_too_long")


def test_head(served: Served) -> None:
    assert refusal(served.ask(head(size=BOUNDS.head_bytes))) == (404, "not_found")
    assert refusal(served.ask(head(size=BOUNDS.head_bytes + 1))) == (431, "head_too_large")
    unended = b"GET / HTTP/1.1\r\nx: " + b"a" * (BOUNDS.head_bytes + 1)
    assert refusal(served.ask(unended)) == (431, "head_too_large")


def test_number_of_headers(served: Served) -> None:
    assert refusal(served.ask(head(fields=BOUNDS.headers))) == (404, "not_found")
    assert refusal(served.ask(head(fields=BOUNDS.headers + 1))) == (431, "head_too_large")


@pytest.mark.parametrize("encoding", PACKERS)
def test_bombs(served: Served, encoding: str) -> None:
    bomb = PACKERS[encoding](b" " * 20_000_000)
    started = time.monotonic()
    reply = served.ask(post(bomb, CLOSE, b"content-encoding: " + encoding.encode()))
    assert refusal(reply) == (413, "too_large")
    assert time.monotonic() - started < 2
    inside = served.ask(post(PACKERS[encoding](batch(BODY)), CLOSE, b"content-encoding: " + encoding.encode()))
    assert answer(inside)[0] == 200


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,br", "zstd, identity", "compress", "x" * 5000, "gzip\tbr"])
def test_nested_and_unknown_encodings(served: Served, encoding: str) -> None:
    reply = served.ask(post(gzip.compress(gzip.compress(EVENT)), CLOSE, b"content-encoding: " + encoding.encode()))
    assert refusal(reply) == (415, "unsupported_encoding")


def test_too_many_connections_are_told_and_the_others_served(served: Served) -> None:
    held = [served.connect() for _ in range(BOUNDS.connections - 1)]
    try:
        assert answer(served.ask(post(EVENT, CLOSE)))[0] == 200
        held.append(served.connect())
        time.sleep(0.05)
        with served.connect() as sock:
            assert refusal(read_all(sock)) == (503, "overloaded")
    finally:
        for sock in held:
            sock.close()
    time.sleep(0.05)


def test_unfinished_bodies_are_bounded_together(served: Served) -> None:
    """Eight clients that each owe the end of a body: the server takes in what it has room for."""
    held = [served.connect() for _ in range(8)]
    try:
        for sock in held:
            sock.sendall(post(b"x" * (BODY - 1), length=BODY))
        found = sorted(status(read_answer(sock)) for sock in held)
    finally:
        for sock in held:
            sock.close()
    assert set(found) == {408, 503}
    assert 2 <= found.count(408) <= 4
