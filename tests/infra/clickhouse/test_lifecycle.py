"""Start, stop, kill, and everything that can be in the way of a start."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.clickhouse import exit_codes
from tests.infra.clickhouse.front import PASSWORD, REPOSITORY, Front, Reply, eventually, free_port

DEDUPLICATED = "SETTINGS non_replicated_deduplication_window = 100"


def test_the_command_line(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    front = Front(tmp_path / "data", port=free_port())
    command = [sys.executable, "-m", "infra.clickhouse", "--data", str(front.data), "--port", str(front.port),
               "--password-file", str(password), "--max-concurrent", "4"]  # fmt: skip
    with (tmp_path / "data.log").open("wb") as log:
        front.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
    try:
        front.wait_ready()
        assert front.value("SELECT 1") == "1"
        assert front.stop() == exit_codes.OK
    finally:
        if front.process.poll() is None:
            front.kill()
    password.write_text("\n")
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False)
    assert run.returncode == exit_codes.USAGE
    assert "password" in run.stderr


def test_help_loads_no_engine() -> None:
    code = "import sys, infra.clickhouse.server, infra.clickhouse.__main__; sys.exit('chdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False, timeout=30).returncode == 0


def test_rows_acknowledged_before_a_kill_are_there_after_it(make_front: Callable[..., Front]) -> None:
    front = make_front()
    front.start()
    front.post(f"CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id {DEDUPLICATED}")
    acknowledged: list[int] = []
    stop = threading.Event()

    def insert() -> None:
        number = 0
        while not stop.is_set():
            try:
                reply = front.post(
                    str(number), query="INSERT INTO t FORMAT TSV", insert_deduplication_token=number, async_insert=0
                )
            except OSError:
                return
            if reply.status == 200:
                acknowledged.append(number)
                number += 1

    writer = threading.Thread(target=insert)
    writer.start()
    eventually(lambda: len(acknowledged) > 40)
    front.kill()
    stop.set()
    writer.join()
    front.start()  # no stale lock is in the way
    stored = {int(row[0]) for row in front.rows("SELECT id FROM t")}
    assert set(acknowledged) <= stored
    for number in (*acknowledged, len(acknowledged)):
        front.post(str(number), query="INSERT INTO t FORMAT TSV", insert_deduplication_token=number, async_insert=0)
    assert front.rows("SELECT count(), uniqExact(id) FROM t") == [[str(len(acknowledged) + 1)] * 2]


def test_sigterm_lets_a_running_statement_finish(make_front: Callable[..., Front]) -> None:
    front = make_front()
    front.start()
    replies: list[Reply] = []
    asking = threading.Thread(target=lambda: replies.append(front.post("SELECT sleep(1.5), 'done'")))
    asking.start()
    eventually(lambda: front.value("SELECT count() FROM system.processes") == "2")
    assert front.stop() == exit_codes.OK
    asking.join()
    assert replies[0].text == "0\tdone\n"
    with pytest.raises(OSError, match="refused"):
        front.connection()


def test_sigterm_ends_what_outlasts_the_grace(make_front: Callable[..., Front]) -> None:
    front = make_front(grace_seconds=1)
    front.start()
    connection = front.connection()
    query = "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(sipHash64(number))"
    head = f"POST / HTTP/1.1\r\nHost: x\r\nX-ClickHouse-Key: {PASSWORD}\r\nContent-Length: {len(query)}\r\n\r\n"
    connection.sendall(head.encode() + query.encode())
    eventually(lambda: front.value("SELECT count() FROM system.processes") == "2")
    began = time.monotonic()
    assert front.stop() == exit_codes.OK
    assert time.monotonic() - began < 10
    assert "clickhouse.stopped" in front.log
    connection.close()


def test_a_second_sigterm_leaves_at_once(make_front: Callable[..., Front]) -> None:
    front = make_front()
    front.start()
    assert front.process is not None
    asking = threading.Thread(target=lambda: _ignore_errors(lambda: front.post("SELECT sleep(3), sleep(3)")))
    asking.start()
    eventually(lambda: front.value("SELECT count() FROM system.processes") == "2")
    front.process.send_signal(signal.SIGTERM)
    eventually(lambda: "clickhouse.stopping" in front.log)
    began = time.monotonic()
    front.process.send_signal(signal.SIGTERM)
    assert front.process.wait(10) == exit_codes.INTERRUPTED
    assert time.monotonic() - began < 1.5
    asking.join()


def test_a_folder_belongs_to_one_process(make_front: Callable[..., Front]) -> None:
    first = make_front()
    first.start()
    assert first.process is not None
    second = Front(first.data)
    second.start(wait=False)
    assert second.process is not None
    assert second.process.wait(20) == exit_codes.FOLDER_LOCKED
    assert f"in use by process {first.process.pid}" in first.log
    assert first.value("SELECT 1") == "1"


def test_a_folder_opened_by_something_else_is_told_apart(make_front: Callable[..., Front]) -> None:
    front = make_front()
    code = "import chdb, sys; c = chdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(front.data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        front.start(wait=False)
        assert front.process is not None
        assert front.process.wait(20) == exit_codes.FOLDER_LOCKED
        assert f"in use by process {other.pid}" in front.log


def test_a_port_in_use_is_told(make_front: Callable[..., Front]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        front = make_front()
        front.port = listener.getsockname()[1]
        front.start(wait=False)
        assert front.process is not None
        assert front.process.wait(20) == exit_codes.PORT_IN_USE
    assert f"port {front.port} on 127.0.0.1 is in use" in front.log
    assert "Traceback" not in front.log


def test_a_table_that_bricks_the_folder_is_moved_aside(make_front: Callable[..., Front]) -> None:
    front = make_front()
    code = """
import chdb, sys
c = chdb.connect(sys.argv[1])
c.query("CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a")
c.query("INSERT INTO kept VALUES (7)")
for name in ("k", "`k two`"):
    try:
        c.query(f"CREATE TABLE {name} (a Int8) ENGINE = Kafka('127.0.0.1:1', 't', 'g', 'CSV')")
    except Exception:
        pass
"""
    subprocess.run([sys.executable, "-c", code, str(front.data)], check=True, timeout=60)
    front.start()
    assert front.value("SELECT a FROM kept") == "7"
    moved = sorted(path.name.partition("-")[2] for path in (front.data / "bricked").iterdir())
    assert moved == ["default.k%20two.sql", "default.k.sql"]
    assert front.log.count("clickhouse.table_moved_aside") == 2
    assert "default.k two" in front.log
    assert front.stop() == exit_codes.OK
    front.start()
    assert front.value("SELECT count() FROM system.tables WHERE database = 'default'") == "1"


def _ignore_errors(work: Callable[[], object]) -> None:
    with contextlib.suppress(OSError):
        work()
