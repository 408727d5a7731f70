"""`sluice query`: formats, rows from standard input, parameters, limits, exit codes, and the terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.clickhouse.access import users
from infra.clickhouse.access.users import Role
from tests.infra.clickhouse.front import REPOSITORY, eventually
from tests.sql_cli.conftest import Shop
from tests.sql_cli.terminal import Terminal


def ran(shop: Shop, *arguments: str, given: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    own = {**os.environ, **shop.environment, **environment}
    command = [sys.executable, "-m", "cli", "query", *arguments]
    return subprocess.run(command, input=given, cwd=REPOSITORY, env=own, capture_output=True, timeout=60, check=False)


def test_formats(shop: Shop) -> None:
    assert ran(shop, "SELECT 1 AS a, 'x' AS b").stdout == b"a\tb\n1\tx\n"
    assert ran(shop, "SELECT 1 AS a", "--format", "CSV").stdout == b"1\n"
    assert ran(shop, "SELECT 1 AS a FORMAT JSONEachRow").stdout == b'{"a":1}\n'
    lines = ran(shop, "SELECT id FROM visits ORDER BY id", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert ran(shop, "SELECT number FROM numbers(3)", "--format", "Parquet").stdout[:4] == b"PAR1"
    assert ran(shop, "SELECT 1", "--json", "--format", "CSV").returncode == 64


def test_statements_from_standard_input(shop: Shop) -> None:
    text = b"CREATE TEMPORARY TABLE t (n UInt8);\nINSERT INTO t VALUES (1), (2); -- a ; here\nSELECT sum(n) FROM t"
    assert ran(shop, "--format", "TSV", given=text).stdout == b"3\n"
    assert ran(shop, "-", "--format", "TSV", given=b"USE system; SELECT currentDatabase();").stdout == b"system\n"
    assert ran(shop, given=b" ; -- nothing\n").returncode == 65


def test_rows_from_standard_input(shop: Shop) -> None:
    shop.front.post("CREATE OR REPLACE TABLE sluice.notes (id UInt32, note String) ENGINE = MergeTree ORDER BY id")
    rows = b"".join(b'%d,"note; %d"\n' % (number, number) for number in range(200_000))
    assert ran(shop, "INSERT INTO notes FORMAT CSV", given=rows).returncode == 0
    assert shop.front.value("SELECT (count(), sum(id)) FROM sluice.notes") == "(200000,19999900000)"
    assert ran(shop, "INSERT INTO notes FORMAT CSV", given=b"not a number,x\n").returncode == 65
    assert ran(shop, given=b"INSERT INTO notes FORMAT CSV").returncode == 65
    assert ran(shop, "INSERT INTO notes VALUES (1, 'a'); SELECT 1 FORMAT TSV").stdout == b"1\n"


def test_parameters_are_values(shop: Shop) -> None:
    hostile = "x' OR 1 --\t\\n"
    done = ran(shop, "SELECT {s:String} AS s, {n:UInt8} AS n", "--param", f"s={hostile}", "--param", "n=7", "--json")
    assert json.loads(done.stdout) == {"s": hostile, "n": 7}
    assert ran(shop, "SELECT 1", "--param", "novalue").returncode == 64
    assert ran(shop, "SELECT getSetting('max_threads') FORMAT TSV", "--set", "max_threads=3").stdout == b"3\n"
    assert ran(shop, "SELECT currentDatabase() FORMAT TSV", "--database", "system").stdout == b"system\n"


@pytest.mark.parametrize(
    ("sql", "code", "words"),
    [
        ("SELECT * FROM nothing", 65, b"UNKNOWN_TABLE"),
        ("SELECT 1; SELECT nothing; SELECT 2", 65, b"UNKNOWN_IDENTIFIER"),
        ("SELECT throwIf(number = 3000000, 'boom') FROM numbers(5000000) FORMAT TSV", 65, b"boom"),
    ],
)
def test_a_failure_has_its_exit_code(shop: Shop, sql: str, code: int, words: bytes) -> None:
    done = ran(shop, sql)
    assert done.returncode == code
    assert words in done.stderr
    assert b"__exception__" not in done.stdout


def test_what_is_not_there(shop: Shop) -> None:
    assert ran(shop, "SELECT 1", SLUICE_CLICKHOUSE_URL="http://127.0.0.1:1").returncode == 69
    done = ran(shop, "SELECT 1", SLUICE_CLICKHOUSE_PASSWORD="wrong")
    assert (done.returncode, b"AUTHENTICATION_FAILED" in done.stderr) == (65, True)
    assert b"--user" in done.stderr


def test_a_time_limit(shop: Shop) -> None:
    began = time.monotonic()
    done = ran(shop, "SELECT sum(sleepEachRow(0.01)) FROM numbers(100000)", "--max-seconds", "0.5", "--set",
               "max_block_size=1")  # fmt: skip
    assert (done.returncode, b"TIMEOUT_EXCEEDED" in done.stderr) == (65, True)
    assert time.monotonic() - began < 20


def test_an_interrupt_kills_the_statement(shop: Shop) -> None:
    sql = "SELECT sum(sleepEachRow(0.01)) AS query_waits FROM numbers(100000) SETTINGS max_block_size = 1"
    running = "SELECT count() FROM system.processes WHERE query LIKE '%query_waits%' AND query NOT LIKE '%processes%'"
    process = subprocess.Popen([sys.executable, "-m", "cli", "query", sql], cwd=REPOSITORY,
                               env={**os.environ, **shop.environment}, stdout=subprocess.DEVNULL)  # fmt: skip
    eventually(lambda: shop.front.value(running) == "1", seconds=20)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    eventually(lambda: shop.front.value(running) == "0", seconds=20)


def test_a_reader_that_stops_ends_it_quietly(shop: Shop) -> None:
    command = f"{sys.executable} -m cli query 'SELECT * FROM numbers(100000000)' | head -n 2"
    own = {**os.environ, **shop.environment}
    done = subprocess.run(
        ["bash", "-c", command], cwd=REPOSITORY, env=own, capture_output=True, timeout=60, check=False
    )
    assert done.stdout == b"number\n0\n"
    assert done.stderr == b""


def test_a_table_and_progress_on_a_terminal(shop: Shop) -> None:
    sql = "SELECT sum(sleepEachRow(0.001)) AS slept FROM numbers(2500) SETTINGS max_block_size = 50"
    with Terminal(["query", sql], environment=shop.environment, folder=REPOSITORY) as terminal:
        assert "%" in terminal.until("of about 2,500 rows")
        terminal.until("slept")
        assert terminal.end() == 0


def test_a_reader_with_a_password_of_its_own(shop: Shop) -> None:
    user, password = users.make("ana", Role.ANALYST)
    users.write(Path(shop.front.options["access"]) / users.FILE_NAME, [user])
    shop.front.post("CREATE OR REPLACE VIEW sluice.v_visits AS SELECT 5 AS n")
    done = ran(shop, "SELECT n FROM v_visits FORMAT TSV", "--user", "ana", SLUICE_CLICKHOUSE_PASSWORD=password)
    assert done.stdout == b"5\n"
    done = ran(shop, "SELECT n FROM v_visits; SELECT 2", "--user", "ana", SLUICE_CLICKHOUSE_PASSWORD=password)
    assert done.returncode == 0, done.stderr
    done = ran(shop, "SELECT * FROM sluice.visits", "--user", "ana", SLUICE_CLICKHOUSE_PASSWORD=password)
    assert done.returncode == 65
