"""Statements while they run: progress, KILL QUERY, time limits, and readers beside a writer."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from tests.infra.clickhouse.front import PASSWORD, Front, Reply, eventually

SLOW = "SELECT sum(sleepEachRow(0.01)) FROM numbers(100000) SETTINGS max_block_size = 1"


def asked(front: Front, sql: str, **parameters: Any) -> tuple[threading.Thread, list[Reply]]:
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(front.post(sql, **parameters)))
    thread.start()
    return thread, replies


def runs(front: Front, mark: str) -> bool:
    sql = f"SELECT count() FROM system.processes WHERE query LIKE '%{mark}%' AND query NOT LIKE '%processes%'"
    return front.value(sql) != "0"


def head_lines(front: Front, sql: str, **parameters: object) -> list[tuple[float, bytes]]:
    """Each line of the answer's head with the seconds after which it came."""
    target = "&".join(f"{name}={value}" for name, value in parameters.items())
    with front.connection() as connection:
        connection.sendall(
            f"POST /?{target} HTTP/1.1\r\nHost: x\r\nX-ClickHouse-User: default\r\nX-ClickHouse-Key: {PASSWORD}\r\n"
            f"Content-Length: {len(sql)}\r\n\r\n{sql}".encode()
        )
        began = time.monotonic()
        lines = []
        with connection.makefile("rb") as answer:
            while (line := answer.readline().strip()) != b"":
                lines.append((time.monotonic() - began, line))
    return lines


def test_progress_comes_while_the_statement_runs(front: Front) -> None:
    sql = "SELECT sum(sleepEachRow(0.001)) FROM numbers(1500) SETTINGS max_block_size = 50"
    lines = head_lines(front, sql, send_progress_in_http_headers=1, http_headers_progress_interval_ms=100)
    assert lines[0][1] == b"HTTP/1.1 200 OK"
    assert sum(line.startswith(b"HTTP/") for _, line in lines) == 1
    told = [(at, json.loads(line.split(b": ", 1)[1])) for at, line in lines if b"Progress" in line]
    assert len(told) > 3
    assert told[0][0] < lines[-1][0] - 0.5, "all of it came at the end"
    rows = [int(figures["read_rows"]) for _, figures in told]
    assert rows == sorted(rows)
    assert rows[0] < rows[-1] <= 1500
    assert {figures["total_rows_to_read"] for _, figures in told} == {"1500"}
    assert any(line.startswith(b"x-clickhouse-summary") for _, line in lines)


def test_a_fast_statement_has_no_progress(front: Front) -> None:
    reply = front.post("SELECT 1", send_progress_in_http_headers=1)
    assert (reply.text, "x-clickhouse-progress" in reply.headers) == ("1\n", False)


def test_an_error_after_progress_is_told(front: Front) -> None:
    """The status is out; the code and the words are not."""
    sql = "SELECT throwIf(number + sleepEachRow(0.01) = 60, 'late boom') FROM numbers(100) SETTINGS max_block_size = 10"
    reply = front.post(sql, send_progress_in_http_headers=1, wait_end_of_query=1)
    assert (reply.status, reply.code) == (200, 395)
    assert "late boom" in reply.text
    assert "x-clickhouse-progress" in reply.headers
    assert front.value("SELECT 1") == "1"


def test_progress_leaves_a_kept_connection_usable(front: Front) -> None:
    import http.client

    client = http.client.HTTPConnection("127.0.0.1", front.port, timeout=20)
    headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD}
    for _ in range(2):
        client.request("POST", "/?send_progress_in_http_headers=1", "SELECT sleep(0.3)", headers)
        answer = client.getresponse()
        assert answer.read() == b"0\n"
        assert answer.getheader("X-ClickHouse-Progress")
        client.request("POST", "/", "SELECT nothing", headers)
        answer = client.getresponse()
        assert (answer.status, b"UNKNOWN_IDENTIFIER" in answer.read()) == (404, True)
    client.close()


@pytest.mark.parametrize("session", [{}, {"session_id": "killed"}])
def test_a_statement_is_killed_by_its_clients_id(front: Front, session: dict[str, str]) -> None:
    victim, replies = asked(front, SLOW, query_id="victim'1", **session)
    bystander, others = asked(front, SLOW.replace("100000", "100"), query_id="bystander")
    eventually(lambda: runs(front, "sleepEachRow(0.01)) FROM numbers(100000)"))
    killed = front.post("KILL QUERY WHERE query_id = 'victim\\'1' SYNC")
    assert killed.status == 200, killed.text
    assert len(killed.text.splitlines()) == 1
    victim.join()
    assert replies[0].code == 394
    bystander.join()
    assert others[0].status == 200


@pytest.mark.parametrize("form", ["TSV", "JSON"])
def test_a_statement_has_a_time_limit(front: Front, form: str) -> None:
    began = time.monotonic()
    reply = front.post(f"{SLOW} FORMAT {form}".replace(" SETTINGS max_block_size = 1", ""), max_execution_time=0.5,
                       max_block_size=1)  # fmt: skip
    assert (reply.status, reply.code) == (408, 159)
    assert time.monotonic() - began < 15


def test_an_insert_over_its_time_stores_nothing(front: Front, table: str) -> None:
    sql = f"INSERT INTO {table} SELECT number + sleepEachRow(0.01), '' FROM numbers(100000)"
    reply = front.post(sql, max_execution_time=0.5, max_block_size=1)
    assert reply.code == 159
    assert front.value(f"SELECT count() FROM {table}") == "0"


def test_readers_beside_a_writer_see_whole_blocks(front: Front, table: str) -> None:
    block = "".join(f"{number}\tx\n" for number in range(1000))
    over = threading.Event()
    seen: list[int] = []
    wrong: list[str] = []

    def read() -> None:
        while not over.is_set():
            reply = front.post(f"SELECT count() FROM {table}")
            if reply.status != 200 or int(reply.text) % 1000:
                wrong.append(reply.text)
            else:
                seen.append(int(reply.text))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(20):
            assert front.post(block, query=f"INSERT INTO {table} FORMAT TSV", async_insert=0).status == 200
        eventually(lambda: seen and seen[-1] == 20_000)
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert not wrong
    assert len(set(seen)) > 2
