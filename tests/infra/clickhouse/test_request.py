from __future__ import annotations

import base64
from urllib.parse import urlencode

import pytest

from infra.clickhouse import errors, formats, sql_text
from infra.clickhouse import request as requests
from infra.clickhouse.auth import Gate
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.formats import Heading
from infra.clickhouse.request import Credentials, Request


def request(headers: dict[str, str] | None = None, **values: str) -> Request:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return requests.read("POST", "/", urlencode(values).encode(), encoded)


def test_settings_are_what_is_not_for_the_front() -> None:
    asked = request(query="x", database="d", max_threads="2", param_a="1", ext_structure="a Int8", session_id="s")
    assert asked.settings(external=["ext"]) == {"max_threads": "2"}
    assert asked.parameters == {"a": "1"}
    assert asked.settings() == {"max_threads": "2", "ext_structure": "a Int8"}


@pytest.mark.parametrize("name", ["max_threads = 1, readonly", "a'b", "1a", "", "a b"])
def test_no_setting_name_reaches_sql_that_is_not_a_word(name: str) -> None:
    asked = requests.read("POST", "/", urlencode({name: "1"}).encode(), [])
    with pytest.raises(ClickHouseError) as caught:
        asked.settings()
    assert caught.value.code == 115


def test_headers_stand_in_for_parameters() -> None:
    asked = request({"X-ClickHouse-Database": "d", "X-ClickHouse-Format": "JSON"})
    assert (asked.database, asked.default_format) == ("d", "JSON")
    assert request({"X-ClickHouse-Database": "d"}, database="e").database == "e"


def test_sessions_have_bounds() -> None:
    session = request(session_id="s", session_timeout="10", session_check="1").session
    assert session is not None
    assert (session.id, session.seconds, session.must_exist) == ("s", 10.0, True)
    for text in ("x", "-1", "3601"):
        with pytest.raises(ClickHouseError) as caught:
            _ = request(session_id="s", session_timeout=text).session
        assert caught.value.code == 374


def test_three_ways_to_say_who_one_is() -> None:
    basic = base64.b64encode(b"u:p:q").decode()
    assert requests.credentials(request({"Authorization": f"Basic {basic}"})) == Credentials("u", "p:q")
    key = {"X-ClickHouse-User": "u", "X-ClickHouse-Key": "k"}
    assert requests.credentials(request(key)) == Credentials("u", "k")
    assert requests.credentials(request(user="u", password="p")) == Credentials("u", "p")
    assert requests.credentials(request()) == Credentials("default", "")
    with pytest.raises(ClickHouseError) as caught:
        requests.credentials(request({"Authorization": "Basic !!"}))
    assert caught.value.status == 403


def test_the_gate_takes_one_pair_only() -> None:
    gate = Gate(user="default", password="p")
    gate.check(Credentials("default", "p"))
    for user, password in (("default", "q"), ("other", "p"), ("default", ""), ("default", "p\udcff")):
        with pytest.raises(ClickHouseError) as caught:
            gate.check(Credentials(user, password))
        assert caught.value.code == 516


@pytest.mark.parametrize(
    ("text", "code", "name"),
    [
        ("Code: 60. DB::Exception: Unknown table x. (UNKNOWN_TABLE) (version 1.2)", 60, "UNKNOWN_TABLE"),
        ("Streaming insert finish failed: Code: 27. DB::Exception: bad\n: row 1 (CANNOT_PARSE)", 27, "CANNOT_PARSE"),
        ("finish failed: std::exception. Code: 1001, type: avro::Exception, e.what() = x", 1001, "STD_EXCEPTION"),
        ("boom", 1002, "UNKNOWN_EXCEPTION"),
    ],
)
def test_the_engines_words_become_one_error(text: str, code: int, name: str) -> None:
    error = errors.from_engine(RuntimeError(text))
    assert (error.code, error.name) == (code, name)
    rendered = error.render("26.9").decode()
    assert rendered.startswith(f"Code: {code}. DB::Exception: ")
    assert rendered.count(f"({name})") == 1
    assert rendered.endswith("(version 26.9 (sluice embedded))\n")


def test_statuses_follow_the_servers_table() -> None:
    expected = {62: 400, 60: 404, 115: 404, 516: 403, 194: 401, 48: 501, 159: 408, 241: 500, 202: 503, 373: 500}
    assert {code: errors.http_status(code) for code in expected} == expected


def test_quoting_survives_quotes_and_backslashes() -> None:
    assert sql_text.literal("a'b\\") == r"'a\'b\\'"
    assert sql_text.identifier("a`b\\") == r"`a\`b\\`"


@pytest.mark.parametrize(
    ("heading", "piece", "length"),
    [
        (Heading.NONE, b"1\n", 0),
        (Heading.ONE_LINE, b"n\ts\n1\t2\n", 4),
        (Heading.TWO_LINES, b"n\nInt8\n1\n", 7),
        (Heading.CSV_ONE, b'"a\n""b","c"\n1,2\n', 12),
        (Heading.CSV_TWO, b'"a"\n"Int8"\n1\n', 11),
        (Heading.BINARY_NAMES, b"\x02\x01a\x02bcREST", 6),
        (Heading.BINARY_NAMES_AND_TYPES, b"\x01\x01a\x04Int8REST", 8),
        (Heading.ARROW_SCHEMA, b"\xff\xff\xff\xff\x02\x00\x00\x00mmREST", 10),
    ],
)
def test_where_a_heading_ends(heading: Heading, piece: bytes, length: int) -> None:
    assert formats.heading_length(heading, piece) == length
