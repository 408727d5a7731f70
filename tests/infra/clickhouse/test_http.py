"""The front as `curl` sees it."""

from __future__ import annotations

import base64
import http.client
import json
import time
from urllib.parse import quote

import pyarrow.ipc
import pytest

from tests.infra.clickhouse.front import PASSWORD, Front


def test_what_needs_no_password(front: Front) -> None:
    for target in ("/ping", "/replicas_status", "/"):
        reply = front.get(target)
        assert (reply.status, reply.body) == (200, b"Ok.\n")
    assert front.get("/nope").status == 404


def test_everything_else_needs_it(front: Front) -> None:
    target = "/?query=" + quote("SELECT 1")
    assert front.get(target).code == 516
    assert front.get(target + "&password=wrong").status == 403
    assert front.get(target + f"&user=default&password={quote(PASSWORD)}").body == b"1\n"
    basic = base64.b64encode(f"default:{PASSWORD}".encode()).decode()
    assert front.get(target, headers={"Authorization": f"Basic {basic}"}).body == b"1\n"
    reply = front.get(target, headers={"X-ClickHouse-User": "other", "X-ClickHouse-Key": PASSWORD})
    assert reply.status == 403
    assert PASSWORD not in front.log


def test_an_answers_headers(front: Front) -> None:
    reply = front.post("SELECT number FROM numbers(3) FORMAT JSONEachRow", query_id="mine")
    assert reply.headers["x-clickhouse-query-id"] == "mine"
    assert reply.headers["x-clickhouse-format"] == "JSONEachRow"
    assert reply.headers["x-clickhouse-timezone"] == front.value("SELECT timezone()")
    assert reply.headers["x-clickhouse-server-display-name"] == "sluice-embedded"
    assert (reply.summary["result_rows"], reply.summary["read_rows"]) == (3, 3)
    assert [json.loads(line)["number"] for line in reply.text.splitlines()] == [0, 1, 2]


def test_no_header_can_be_forged(front: Front) -> None:
    reply = front.post("SELECT 1", query_id="a\r\nX-Forged: 1")
    assert "x-forged" not in reply.headers
    assert reply.status == 200


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELEC 1", 400, 62),
        ("SELECT * FROM no_such_table", 404, 60),
        ("SELECT no_such_column", 404, 47),
        ("SELECT 1 FORMAT NoSuchFormat", 404, 73),
        ("SELECT * FROM numbers(10) FORMAT Native SETTINGS no_such_setting = 1", 404, 115),
        ("SELECT 1; SELECT 2", 400, 62),
        ("", 400, 62),
        ("SELECT throwIf(1, 'boom')", 500, 395),
        ("INSERT INTO no_such_table FORMAT CSV\n1", 404, 60),
        ("CREATE TABLE k (a Int8) ENGINE = Kafka('b', 't', 'g', 'CSV')", 400, 344),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", 500, 358),
    ],
)
def test_errors_have_the_servers_form(front: Front, query: str, status: int, code: int) -> None:
    reply = front.post(query)
    assert (reply.status, reply.code) == (status, code), reply.text
    assert reply.text.startswith(f"Code: {code}. DB::Exception: ")
    assert "(version 2" in reply.text
    assert reply.text.endswith("\n")


def test_strings_need_not_be_text(front: Front, table: str) -> None:
    assert front.post(b"SELECT hex('\xff\x00\xfe')").text == "FF00FE\n"
    assert front.post(b"INSERT INTO %s SELECT 1, '\xff'" % table.encode()).status == 200
    assert front.post(b"SELECT id FROM %s WHERE s = '\xff'" % table.encode()).text == "1\n"


def test_settings_in_the_url(front: Front) -> None:
    assert front.value("SELECT getSetting('max_threads')", max_threads=3) == "3"
    reply = front.post("SELECT 1", no_such_setting=1)
    assert (reply.status, reply.code) == (404, 115)
    key = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD}
    assert front.get("/?query=SELECT+1&" + quote("max_threads = 1, readonly") + "=1", headers=key).code == 115
    assert front.post("SELECT sleep(3)", max_execution_time="0.2").code == 159
    assert front.post("INSERT INTO FUNCTION null('a Int8') VALUES (1)", readonly=1).code == 164


def test_parameters_are_not_sql(front: Front) -> None:
    hostile = "a'; DROP TABLE x; -- \\"
    escaped = hostile.replace("\\", "\\\\")  # values are in TSV's escaping, as with a real server
    assert front.value("SELECT {v:String} = unhex({h:String})", param_v=escaped, param_h=hostile.encode().hex()) == "1"
    assert front.post("SELECT {v:UInt8}").code == 456


def test_database_and_format_by_parameter_or_header(front: Front) -> None:
    assert front.value("SELECT currentDatabase()", database="system") == "system"
    assert front.post("SELECT 1", headers={"X-ClickHouse-Database": "nope"}).code == 81
    assert front.post("SELECT 1 AS a", default_format="JSONEachRow").text == '{"a":1}\n'
    assert front.post("SELECT 1 AS a", headers={"X-ClickHouse-Format": "CSV"}).text == "1\n"
    assert front.post("SELECT 1 AS a FORMAT TSVWithNames", default_format="JSONEachRow").text == "a\n1\n"


def test_get_reads_only(front: Front, table: str) -> None:
    def get(query: str) -> int:
        key = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD}
        return front.get("/?query=" + quote(query), headers=key).code

    assert get(f"SELECT * FROM {table}") == 0
    assert get(f"INSERT INTO {table} VALUES (1, 'a')") == 164
    assert get(f"DROP TABLE {table}") == 164
    assert get("SELECT getSetting('readonly') = throwIf(getSetting('readonly') != 2)") == 0


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("INSERT INTO {t} FORMAT JSONEachRow", '{"id":1,"s":"a"}\n{"id":2,"s":"b"}'),
        ("", 'INSERT INTO {t} FORMAT JSONEachRow {"id":1,"s":"a"}{"id":2,"s":"b"}'),
        ("INSERT INTO {t} VALUES", "(1,'a'),(2,'b')"),
        ("INSERT INTO {t}", "VALUES (1,'a'),(1+1,'b');"),
        ("INSERT INTO {t} (s, id) FORMAT CSV", "a,1\nb,2\n"),
        ("INSERT INTO {t} SELECT number + 1, char(97 + number) FROM numbers(2)", ""),
        ("INSERT INTO {t} SETTINGS input_format_skip_unknown_fields = 1 FORMAT JSONEachRow",
         '{"id":1,"s":"a","x":0}{"id":2,"s":"b"}'),
    ],
)  # fmt: skip
def test_ways_to_insert(front: Front, table: str, query: str, body: str) -> None:
    reply = front.post(body.replace("{t}", table), query=query.replace("{t}", table))
    assert reply.status == 200, reply.text
    assert front.rows(f"SELECT id, s FROM {table} ORDER BY id") == [["1", "a"], ["2", "b"]]


def test_an_insert_tells_what_it_wrote(front: Front, table: str) -> None:
    reply = front.post("1\ta\n2\tb\n", query=f"INSERT INTO {table}", default_format="TSV")
    assert reply.summary["written_rows"] == 2
    assert front.value(f"SELECT count() FROM {table}") == "2"
    assert front.post("", query=f"INSERT INTO {table} FORMAT TSV").code == 108
    assert front.post("", query=f"INSERT INTO {table} FORMAT TSV", throw_if_no_data_to_insert=0).status == 200


def test_a_large_insert_is_one_block_and_all_or_nothing(front: Front, table: str) -> None:
    rows = b"".join(b'{"id":%d,"s":"%d"}\n' % (number, number) for number in range(60_000))
    reply = front.post(rows + b'{"id":"torn', query=f"INSERT INTO {table} FORMAT JSONEachRow", async_insert=0)
    assert reply.status >= 400
    assert front.value(f"SELECT count() FROM {table}") == "0"
    reply = front.post(rows, query=f"INSERT INTO {table} FORMAT JSONEachRow", async_insert=0)
    assert reply.status == 200, reply.text
    parts = front.rows(f"SELECT name, rows FROM system.parts WHERE table = '{table}' AND active")
    assert [rows for _, rows in parts] == ["60000"]
    assert len(rows) > 1 << 20  # so it came in many pieces


def test_a_token_is_stored_once(front: Front) -> None:
    settings = "SETTINGS non_replicated_deduplication_window = 100"
    front.post(f"CREATE TABLE once (a Int8) ENGINE = MergeTree ORDER BY a {settings}")
    for _ in range(2):
        front.post("1", query="INSERT INTO once FORMAT TSV", insert_deduplication_token="t1", async_insert=0)
    front.post("1", query="INSERT INTO once FORMAT TSV", insert_deduplication_token="t2", async_insert=0)
    assert front.value("SELECT count() FROM once") == "2"


@pytest.mark.parametrize(
    "form",
    ["Native", "RowBinary", "RowBinaryWithNamesAndTypes", "TSV", "TSVWithNames", "TSVWithNamesAndTypes", "CSV",
     "CSVWithNames", "CSVWithNamesAndTypes", "JSONEachRow", "JSONCompactEachRowWithNamesAndTypes", "MsgPack",
     "JSON", "Parquet", "ArrowStream", "Values", "Pretty"],
)  # fmt: skip
def test_pieces_make_the_same_whole(front: Front, form: str) -> None:
    """The engine reads back what it wrote: a heading in the middle or a lost row shows in the sums."""
    query = f"SELECT number AS n, toString(number) AS s FROM numbers(150000) ORDER BY n FORMAT {form}"
    reply = front.post(query, output_format_pretty_max_rows=10)
    assert reply.status == 200
    if form in ("Pretty", "Values"):
        assert len(reply.body) > 100
        return
    front.post("DROP TABLE IF EXISTS back")
    front.post("CREATE TABLE back (n UInt64, s String) ENGINE = Memory")
    back = front.post(reply.body, query=f"INSERT INTO back FORMAT {form}")
    assert back.status == 200, back.text
    total = str(sum(range(150_000)))
    assert front.rows("SELECT count(), sum(n), sum(toUInt64(s)) FROM back") == [["150000", total, total]]


def test_an_arrow_stream_ends_once(front: Front) -> None:
    query = "SELECT number AS n, toLowCardinality('x') AS l FROM numbers(150000) FORMAT ArrowStream"
    for as_dictionary in (0, 1):
        body = front.post(query, output_format_arrow_low_cardinality_as_dictionary=as_dictionary).body
        with pyarrow.ipc.open_stream(body) as reader:
            assert reader.read_all().num_rows == 150_000
        assert body.count(b"\xff\xff\xff\xff\x00\x00\x00\x00") == 1


@pytest.mark.parametrize("form", ["CSVWithNames", "RowBinaryWithNamesAndTypes", "JSONEachRow", "Native", "TSV"])
def test_no_rows_still_have_their_heading(front: Front, form: str) -> None:
    reply = front.post(f"SELECT 1 AS n WHERE 0 FORMAT {form}")
    expected = {"CSVWithNames": b'"n"\n', "RowBinaryWithNamesAndTypes": b"\x01\x01n\x05UInt8"}
    assert (reply.status, reply.body) == (200, expected.get(form, b""))


def test_totals_are_not_lost(front: Front) -> None:
    reply = front.post("SELECT number % 2 AS k, count() FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k FORMAT TSV")
    assert reply.text == "0\t5\n1\t5\n\n0\t10\n"


def test_an_error_in_the_middle_is_told_at_the_end(front: Front) -> None:
    reply = front.post("SELECT throwIf(number = 3000000, 'boom') FROM numbers(5000000) FORMAT TSV")
    assert reply.status == 200
    tag = reply.headers["x-clickhouse-exception-tag"]
    block = reply.text.rpartition(f"__exception__\r\n{tag}\r\n")[2]
    assert "Code: 395. DB::Exception: boom" in block
    assert block.endswith(f" {tag}\r\n__exception__\r\n")
    reply = front.post("SELECT throwIf(number = 3000000, 'boom') FROM numbers(5000000) FORMAT TSV", wait_end_of_query=1)
    assert (reply.status, reply.code) == (500, 395)


def test_a_long_answer_waits_for_its_end_on_disk(front: Front) -> None:
    reply = front.post("SELECT * FROM numbers(3000000) FORMAT RowBinary", wait_end_of_query=1)
    assert (reply.status, len(reply.body)) == (200, 24_000_000)
    assert reply.summary["result_rows"] == 3_000_000
    assert reply.body[:9] == bytes(8) + b"\x01"


def test_a_slow_answer_begins_before_it_ends(front: Front) -> None:
    """So an error after a while comes in the middle, even when little was sent."""
    query = "SELECT sleepEachRow(0.02), throwIf(number = 20) FROM numbers(30) FORMAT TSV"
    reply = front.post(query, max_block_size=1)
    assert (reply.status, reply.text.count("0\t0\n")) == (200, 20)
    assert "Code: 395." in reply.text
    assert front.post(query, max_block_size=1, wait_end_of_query=1).status == 500


def test_external_tables_and_form_fields(front: Front) -> None:
    boundary = "b0undary"
    parts = {
        'name="query"': "SELECT sum(a) + {n:UInt8}, any(b) FROM ext",
        'name="param_n"': "5",
        'name="ext"; filename="ext.csv"': "1,x\n2,x\n",
    }
    body = "".join(f"--{boundary}\r\nContent-Disposition: form-data; {n}\r\n\r\n{v}\r\n" for n, v in parts.items())
    reply = front.post(
        body + f"--{boundary}--\r\n",
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        ext_structure="a UInt8, b String",
        ext_format="CSV",
    )
    assert (reply.status, reply.text) == (200, "8\tx\n")
    hostile = front.post(
        body + f"--{boundary}--\r\n",
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        ext_structure="a UInt8) ENGINE = Kafka('b', 't', 'g', 'CSV') --",
    )
    assert hostile.code == 344


def test_sessions_keep_temporary_tables_and_settings(front: Front) -> None:
    assert front.post("CREATE TEMPORARY TABLE tmp (a Int8)", session_id="s1").status == 200
    assert front.post("INSERT INTO tmp VALUES (7)", session_id="s1").status == 200
    assert front.value("SELECT a FROM tmp", session_id="s1", session_check=1) == "7"
    assert front.post("SELECT a FROM tmp", session_id="s2").code == 60
    assert front.post("SELECT a FROM tmp").code == 60
    assert front.post("SELECT 1", session_id="never", session_check=1).code == 372
    front.post("SET max_threads = 2", session_id="s1")
    assert front.value("SELECT getSetting('max_threads')", session_id="s1") == "2"


def test_a_request_leaves_its_session_as_it_was(front: Front) -> None:
    front.post("SET max_threads = 2", session_id="s3")
    front.post("USE system", session_id="s3")
    assert front.value("SELECT getSetting('max_threads')", session_id="s3", max_threads=4) == "4"
    assert front.value("SELECT currentDatabase()", session_id="s3", database="default") == "default"
    assert front.post("SELECT throwIf(1)", session_id="s3", max_threads=5, database="default").code == 395
    assert front.value("SELECT getSetting('max_threads')", session_id="s3") == "2"
    assert front.value("SELECT currentDatabase()", session_id="s3") == "system"


def test_a_session_is_free_when_its_answer_is_read(front: Front) -> None:
    for number in range(60):
        form = ("TSV", "JSON", "Native")[number % 3]
        reply = front.post(f"SELECT * FROM numbers(70000) FORMAT {form}", session_id="busy")
        assert reply.status == 200, reply.text


def test_a_session_ends(front: Front) -> None:
    front.post("CREATE TEMPORARY TABLE tmp (a Int8)", session_id="short")
    front.post("SELECT 1", session_id="short", close_session=1)
    assert front.post("SELECT 1", session_id="short", session_check=1).code == 372


def test_the_go_drivers_hello(front: Front) -> None:
    query = "SELECT displayName(), version(), revision(), timezone()"
    reply = front.post(query, default_format="Native", client_protocol_version=54483)
    assert reply.body.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00\x04\x01\x0ddisplayName()\x06String\x00")
    assert b"\x0arevision()\x06UInt32\x00\x00\x00\x00\x00" in reply.body
    assert front.post(query, default_format="Native").body[:2] == b"\x04\x01"


def test_the_query_id_finds_a_statement(front: Front) -> None:
    query = "SELECT Settings['log_comment'] FROM system.processes WHERE query LIKE '%find me%'"
    assert front.value(query, query_id="findable") == "findable"
    assert front.value(query, query_id="findable", log_comment="my own") == "my own"


def test_small_answers_do_not_wait_for_the_network(front: Front) -> None:
    """40 ms each would be Nagle's algorithm: the head and the body of an answer are two writes."""
    client = http.client.HTTPConnection("127.0.0.1", front.port, timeout=30)
    began = time.perf_counter()
    for _ in range(40):
        client.request("POST", "/", b"SELECT 1", {"X-ClickHouse-Key": PASSWORD})
        assert client.getresponse().read() == b"1\n"
    client.close()
    assert time.perf_counter() - began < 40 * 0.03
