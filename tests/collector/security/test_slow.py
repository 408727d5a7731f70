"""Clients that are silent or slow, in every phase of a request: each is cut off by its deadline."""

from __future__ import annotations

import socket
import time

import pytest

from tests.collector.live import Served, read_all, read_answer, status
from tests.collector.security import answers, refusal
from tests.collector.security.conftest import BOUNDS, EVENT, post

# A deadline is noticed late, and later on a busy machine.
SLACK_S = 3.0


def drip(sock: socket.socket, piece: bytes, *, every_s: float = 0.05) -> float:
    """Send `piece` again and again until the server has had enough; the seconds that took."""
    started = time.monotonic()
    sock.settimeout(every_s)
    while time.monotonic() - started < 10:
        try:
            sock.sendall(piece)
            if sock.recv(65536) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started


@pytest.mark.parametrize(
    "said",
    [b"", b"\r\n", b"P", b"POST /api", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nhost: x", b"G" * 10],
)
def test_a_silent_client_before_the_end_of_its_head(served: Served, said: bytes) -> None:
    started = time.monotonic()
    with served.connect() as sock:
        sock.sendall(said)
        read_to_end(sock)
    assert BOUNDS.head_s * 0.8 < time.monotonic() - started < BOUNDS.head_s + SLACK_S or said == b"G" * 10


def read_to_end(sock: socket.socket) -> None:
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass


@pytest.mark.parametrize("begun", [b"", post(b"", length=50_000)[:-4]])
def test_a_head_in_drops(served: Served, begun: bytes) -> None:
    with served.connect() as sock:
        sock.sendall(begun + (b"\r\n" if begun else b"POST / HTTP/1.1\r\n"))
        assert drip(sock, b"x: y\r\n") < BOUNDS.head_s + SLACK_S


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        (post(b"", length=50_000), b"x"),
        (post(b"", b"transfer-encoding: chunked", length=-1), b"1\r\nx\r\n"),
        (post(b"", b"transfer-encoding: chunked", length=-1) + b"1;", b"extension"),
        (post(b"", b"transfer-encoding: chunked", length=-1) + b"0\r\n", b"x: trailer\r\n"),
    ],
)
def test_a_body_in_drops(served: Served, begun: bytes, piece: bytes) -> None:
    with served.connect() as sock:
        sock.sendall(begun)
        assert drip(sock, piece) < BOUNDS.body_s + BOUNDS.linger_s + SLACK_S


@pytest.mark.parametrize("part", [b"", EVENT[:10]])
def test_half_a_body_is_answered(served: Served, part: bytes) -> None:
    assert refusal(served.ask(post(part, length=1000))) == (408, "body_timeout")
    assert served.publisher.records == []


def test_a_body_that_ends_early_writes_nothing(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(EVENT[:10], length=len(EVENT)))
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
    assert served.publisher.records == []


def test_a_client_that_only_closed_its_sending_half_is_answered(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(EVENT))
        sock.shutdown(socket.SHUT_WR)
        ((status, _),) = answers(read_all(sock))
    assert status == 200


def test_an_idle_connection(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(EVENT))
        read_answer(sock)
        started = time.monotonic()
        read_to_end(sock)
        assert BOUNDS.idle_s * 0.8 < time.monotonic() - started < BOUNDS.idle_s + SLACK_S


def test_a_client_that_does_not_read(served: Served) -> None:
    """It asks for ever larger answers and takes in none of them."""
    with served.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wanted = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n" * 100
        started = time.monotonic()
        sock.settimeout(0.2)
        sent = 0
        while time.monotonic() - started < 10:
            try:
                sent += sock.send(wanted)
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - started < BOUNDS.write_s + SLACK_S + 2
    assert sent < 20_000_000  # nor was it read from for ever


def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(
            post(EVENT)
            + b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"
            + post(b"[]")
            + b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n"[:0]
            + post(EVENT, key="nope")
        )
        found = [status for status, _ in answers(read_all(sock))]
    assert found == [200, 404, 200, 401]


def test_what_is_wrong_with_a_pipelined_request_waits_for_its_turn(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(EVENT) + post(b"[]") + b"junk\r\n\r\n" + post(EVENT))
        assert [status for status, _ in answers(read_all(sock))] == [200, 200, 400]
    assert len(served.publisher.records) == 1


def test_many_pipelined_requests_hold_no_more_than_a_buffer(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(EVENT) * 500 + post(EVENT, b"connection: close"))
        assert [status for status, _ in answers(read_all(sock))] == [200] * 501
    assert len(served.publisher.records) == 501


def test_lingering_ends(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(b"", length=10**9))
        assert status(read_answer(sock)) == 413
        assert drip(sock, b"x" * 1000) < BOUNDS.linger_s + SLACK_S
