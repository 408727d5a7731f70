"""What the front does to clients that send too much, too slowly, too often, or leave."""

from __future__ import annotations

import gzip
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.infra.clickhouse.front import PASSWORD, Front, Reply, eventually

LONG = "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(sipHash64(number))"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    options = {
        "max_body_mib": 1, "max_inflated_mib": 2, "max_header_kib": 16, "max_buffered_mib": 1, "max_held_mib": 2,
        "max_concurrent": 2, "queue_seconds": 0.3, "header_seconds": 0.5, "body_idle_seconds": 0.5, "send_seconds": 1.0,
    }  # fmt: skip
    with Front(tmp_path_factory.mktemp("small") / "data", options) as front:
        front.post("CREATE TABLE t (s String) ENGINE = MergeTree ORDER BY s")
        yield front


def running(front: Front) -> int:
    return int(
        front.value(
            "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'"
        )
    )


def resident_bytes(front: Front) -> int:
    assert front.process is not None
    return int(Path(f"/proc/{front.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def raw_request(query: str, *, length: int) -> bytes:
    return (
        f"POST /?query={quote(query)} HTTP/1.1\r\nHost: x\r\nX-ClickHouse-User: default\r\n"
        f"X-ClickHouse-Key: {PASSWORD}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def read_to_end(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def test_a_body_too_large_is_refused(small: Front) -> None:
    reply = small.post(b"x" * (3 << 20), query="INSERT INTO t FORMAT LineAsString")
    assert (reply.status, reply.code) == (413, 307)
    assert "larger than 1048576 bytes" in reply.text
    assert small.value("SELECT count() FROM t") == "0"


def test_a_body_too_large_without_a_length_is_refused(small: Front) -> None:
    with small.connection() as connection:
        head = raw_request("INSERT INTO t FORMAT LineAsString", length=0)
        connection.sendall(head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        for _ in range(24):
            connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert b" 413 " in connection.recv(65536).split(b"\r\n")[0]
    assert small.value("SELECT count() FROM t") == "0"


def test_a_body_that_inflates_too_far_is_refused(small: Front) -> None:
    bomb = gzip.compress(bytes(50 << 20))
    reply = small.post(bomb, query="INSERT INTO t FORMAT LineAsString", headers={"Content-Encoding": "gzip"})
    assert (reply.status, reply.code) == (413, 307)
    assert small.value("SELECT count() FROM t") == "0"


def test_headers_too_large_are_refused(small: Front) -> None:
    with small.connection() as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nX-Long: " + b"x" * 40_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("said", [b"", b"GET /ping HT", b"GET /ping HTTP/1.1\r\nHost: x\r\n"])
def test_headers_that_do_not_come_end_the_connection(small: Front, said: bytes) -> None:
    with small.connection() as connection:
        connection.sendall(said)
        began = time.monotonic()
        assert connection.recv(100) == b""
        assert 0.2 < time.monotonic() - began < 5


def test_a_body_that_stops_is_refused_and_stores_nothing(small: Front) -> None:
    with small.connection() as connection:
        connection.sendall(raw_request("INSERT INTO t FORMAT LineAsString", length=100) + b"half\n")
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Code: 209." in answer
    assert small.value("SELECT count() FROM t") == "0"


def test_a_result_too_large_to_buffer_is_refused(small: Front) -> None:
    reply = small.post("SELECT * FROM numbers(1000000) FORMAT JSON")
    assert reply.code == 396
    reply = small.post("SELECT * FROM numbers(1000000) FORMAT TSV", wait_end_of_query=1)
    assert reply.code == 396
    assert len(small.post("SELECT * FROM numbers(1000000) FORMAT TSV").body) > 6_000_000


def test_too_many_at_once_are_told_to_come_back(small: Front) -> None:
    replies: list[Reply] = []

    def ask() -> None:
        replies.append(small.post("SELECT sleep(1.5)"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status for reply in replies) == [200, 200, 503, 503]
    refused = [reply for reply in replies if reply.status == 503]
    assert [(reply.code, reply.headers["retry-after"]) for reply in refused] == [(202, "1")] * 2
    assert small.value("SELECT 1") == "1"


@pytest.mark.parametrize("form", ["TSV", "JSON"])
def test_a_client_that_leaves_cancels_its_read(front: Front, form: str) -> None:
    connection = front.connection()
    connection.sendall(raw_request(f"{LONG} FORMAT {form}", length=0))
    eventually(lambda: running(front) == 1)
    connection.close()
    eventually(lambda: running(front) == 0)
    assert "client_left" in front.log


def test_a_client_that_leaves_in_its_rows_stores_nothing(front: Front, table: str) -> None:
    connection = front.connection()
    rows = b"1\ta\n" * 100_000
    connection.sendall(raw_request(f"INSERT INTO {table} FORMAT TSV", length=2 * len(rows)) + rows)
    query = f"SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO {table}%'"
    eventually(lambda: front.value(query) == "1")
    connection.close()
    eventually(lambda: front.value(query) == "0")
    assert front.value(f"SELECT count() FROM {table}") == "0"


def test_a_client_that_does_not_read_frees_its_place(small: Front) -> None:
    stuck = []
    for _ in range(2):
        connection = small.connection()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(raw_request("SELECT * FROM numbers(100000000) FORMAT TSV", length=0))
        stuck.append(connection)
    eventually(lambda: small.post("SELECT 1").status == 200, seconds=15)
    for connection in stuck:
        connection.close()


def test_a_statement_is_killed_by_its_comment(front: Front) -> None:
    """How a sink makes sure that its first attempt is dead before it counts."""
    replies: list[Reply] = []
    asking = threading.Thread(target=lambda: replies.append(front.post(LONG, log_comment="attempt 1")))
    asking.start()
    eventually(lambda: running(front) == 1)
    front.post("KILL QUERY WHERE Settings['log_comment'] = 'attempt 1' SYNC")
    asking.join()
    assert replies[0].code == 394


@pytest.mark.parametrize("form", ["RowBinary", "ArrowStream"])
def test_memory_does_not_follow_a_streamed_result(front: Front, form: str) -> None:
    before = resident_bytes(front)
    with front.connection() as connection:
        connection.sendall(raw_request(f"SELECT * FROM numbers(30000000) FORMAT {form}", length=0))
        seen = peak = 0
        while seen < 100_000_000 and (piece := connection.recv(1 << 20)):
            seen += len(piece)
            peak = max(peak, resident_bytes(front))
    assert seen >= 100_000_000
    assert peak - before < 150 << 20


def test_the_front_refuses_to_start_without_a_password(make_front: Callable[..., Front]) -> None:
    front = make_front(password="")
    front.start(wait=False)
    assert front.process is not None
    assert front.process.wait(20) != 0
    assert "without a password" in front.log
