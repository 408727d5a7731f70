from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.clickhouse.body import Peekable
from infra.clickhouse.statement import StatementKind, parse, selects
from infra.clickhouse.statement_source import read


@pytest.mark.parametrize(
    ("sql", "head", "form", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2", b"INSERT INTO t ", "CSV", b"1,2"),
        (b"insert into t format CSV  \r\n1,2", b"insert into t ", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT JSONEachRow {}", b"INSERT INTO t ", "JSONEachRow", b"{}"),
        (b"INSERT INTO t FORMAT `CSV`;1,2", b"INSERT INTO t ", "CSV", b"1,2"),
        (b"INSERT INTO t (a, format, values) VALUES (1)", b"INSERT INTO t (a, format, values) ", "Values", b" (1)"),
        (b"INSERT INTO format FORMAT TSV\n1", b"INSERT INTO format ", "TSV", b"1"),
        (b"INSERT INTO TABLE values VALUES (1)", b"INSERT INTO TABLE values ", "Values", b" (1)"),
        (b"INSERT INTO db.format VALUES (1)", b"INSERT INTO db.format ", "Values", b" (1)"),
        (b"/* FORMAT x */ INSERT INTO t -- VALUES\n VALUES(1)", b"/* FORMAT x */ INSERT INTO t -- VALUES\n ",
         "Values", b"(1)"),
        (b"INSERT INTO t SETTINGS a='FORMAT b' FORMAT Native\n\x00\xff", b"INSERT INTO t SETTINGS a='FORMAT b' ",
         "Native", b"\x00\xff"),
        (b"INSERT INTO FUNCTION null('x Int8') VALUES", b"INSERT INTO FUNCTION null('x Int8') ", "Values", b""),
    ],
)  # fmt: skip
def test_an_insert_is_cut_before_its_rows(sql: bytes, head: bytes, form: str, data: bytes) -> None:
    statement = parse(sql)
    assert (statement.kind, statement.complete) == (StatementKind.INSERT, True)
    assert (statement.head, statement.format, statement.inline_data) == (head, form, data)


@pytest.mark.parametrize("sql", [b"INSERT INTO t", b"INSERT INTO t (a, b)", b"INSERT INTO t SETTINGS a = 1;"])
def test_an_insert_without_a_format_may_go_on(sql: bytes) -> None:
    statement = parse(sql)
    assert (statement.kind, statement.complete, statement.format) == (StatementKind.INSERT, False, None)


@pytest.mark.parametrize(
    ("sql", "kind", "form"),
    [
        (b"SELECT 1", StatementKind.READ, None),
        (b"(SELECT 1) UNION ALL (SELECT 2) FORMAT JSON;", StatementKind.READ, "JSON"),
        (b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1", StatementKind.READ, "CSV"),
        (b"SELECT format('{}', 1)", StatementKind.READ, None),
        (b"WITH 1 AS x SELECT x", StatementKind.READ, None),
        (b"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", StatementKind.OTHER, None),
        (b"INSERT INTO t SELECT 1", StatementKind.OTHER, None),
        (b"INSERT INTO t WITH 1 AS x SELECT x", StatementKind.OTHER, None),
        (b"CREATE TABLE t (a Int8) ENGINE = Memory", StatementKind.OTHER, None),
        (b"SHOW TABLES FORMAT TSV", StatementKind.READ, "TSV"),
        (b"  -- nothing\n", StatementKind.OTHER, None),
        (b" \n", StatementKind.EMPTY, None),
    ],
)
def test_other_statements_keep_their_text(sql: bytes, kind: StatementKind, form: str | None) -> None:
    statement = parse(sql)
    assert (statement.kind, statement.format, statement.head) == (kind, form, sql)


def test_only_selects_can_go_in_pieces() -> None:
    assert selects(parse(b"SELECT 1"))
    assert not selects(parse(b"SHOW TABLES"))
    assert not selects(parse(b"WITH 1 AS x INSERT INTO t SELECT x"))


@given(
    data=st.binary(max_size=400),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=8),
    head=st.sampled_from([b"INSERT INTO t (a) FORMAT RowBinary\n", b"INSERT INTO t VALUES"]),
)
def test_rows_are_the_same_however_the_body_is_cut(data: bytes, sizes: list[int], head: bytes) -> None:
    body = head + data
    if data[:1] in (b" ", b"\t", b"\r", b"\n", b";") or (data and head.endswith(b"S") and data[:1].isalnum()):
        return  # would belong to the head
    if data[:1] in (b"_", b"$"):
        return
    statement, rows = read(b"", Peekable(iter(_cut(body, sizes))))
    assert statement.format in ("RowBinary", "Values")
    assert b"".join(rows) == data


def test_url_and_body_make_one_statement() -> None:
    statement, rows = read(b"SELECT 1,", Peekable(iter([b" 2"])))
    assert (statement.text, list(rows)) == (b"SELECT 1,\n 2", [])
    statement, rows = read(b"INSERT INTO t", Peekable(iter([b" VAL", b"UES (1)"])))
    assert (statement.format, b"".join(rows)) == ("Values", b" (1)")
    statement, rows = read(b"INSERT INTO t FORMAT CSV\n1,", Peekable(iter([b"2"])))
    assert (statement.format, b"".join(rows)) == ("CSV", b"1,2")
    statement, rows = read(b"INSERT INTO t", Peekable(iter([b'{"a": 1}'])))
    assert (statement.format, b"".join(rows)) == (None, b'{"a": 1}')


def test_a_head_longer_than_the_first_look_is_found() -> None:
    columns = b", ".join(b"column_%d" % number for number in range(20_000))
    body = b"INSERT INTO t (" + columns + b") FORMAT TSV\n1\t2\n"
    statement, rows = read(b"", Peekable(iter(_cut(body, [4096]))))
    assert (statement.format, b"".join(rows)) == ("TSV", b"1\t2\n")


def _cut(body: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    position = turn = 0
    while position < len(body):
        size = sizes[turn % len(sizes)]
        pieces.append(body[position : position + size])
        position += size
        turn += 1
    return pieces
