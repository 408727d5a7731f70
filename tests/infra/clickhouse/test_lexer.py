from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from infra.clickhouse.lexer import Kind, tokens

SQL_PIECES = st.sampled_from([
    b"select", b" ", b"\n", b"'", b'"', b"`", b"--x\n", b"/*", b"*/", b"\\", b"(", b")", b";", b"$a$", b"1.5", b"# x\n",
    b"\xe2\x80\x98", b"\xe2\x80\x99", b"\xff", b"format", b",",
])  # fmt: skip


@given(st.lists(SQL_PIECES, max_size=40).map(b"".join))
def test_tokens_follow_each_other_and_lose_only_blanks_and_comments(sql: bytes) -> None:
    position = 0
    for token in tokens(sql):
        skipped = sql[position : token.start]
        assert token.text == sql[token.start : token.end]
        assert skipped.strip() == b"" or skipped.lstrip()[:1] in (b"-", b"#", b"/")
        assert token.end > token.start >= position
        position = token.end


@given(st.binary(max_size=300))
def test_any_bytes_are_read_to_their_end(sql: bytes) -> None:
    assert sum(token.end - token.start for token in tokens(sql)) <= len(sql)


@given(st.text(st.characters(exclude_characters="\\'", exclude_categories=["Cs"]), max_size=50))
def test_a_string_is_one_token_whatever_is_in_it(text: str) -> None:
    quoted = b"'" + text.encode() + b"'"
    assert [token.text for token in tokens(b"select " + quoted + b" from t")] == [b"select", quoted, b"from", b"t"]


def test_quoted_names_lose_their_quotes_and_escapes() -> None:
    found = list(tokens(rb'`a``b` "c\"d" e'))
    assert [token.name for token in found] == ["a`b", 'c"d', "e"]
    assert [token.upper for token in found] == [b"", b"", b"E"]


def test_what_is_never_closed_is_one_open_token() -> None:
    assert [token.kind for token in tokens(b"select 'abc -- engine")] == [Kind.WORD, Kind.OPEN]
    assert [token.kind for token in tokens(b"select /* engine")] == [Kind.WORD, Kind.OPEN]


def test_heredocs_end_at_their_own_tag_only() -> None:
    assert [token.text for token in tokens(b"$a$ $b$ ; $a$ x")] == [b"$a$ $b$ ; $a$", b"x"]


def test_depth_counts_round_brackets() -> None:
    assert [(token.text, token.depth) for token in tokens(b"a (b (c)) d")] == [
        (b"a", 0), (b"(", 0), (b"b", 1), (b"(", 1), (b"c", 2), (b")", 1), (b")", 0), (b"d", 0)
    ]  # fmt: skip


def test_hostile_text_takes_linear_time() -> None:
    began = time.perf_counter()
    for hostile in (b"'" * 200_001, b"`\\" * 100_000, b"/*" * 100_000, b"$a" * 100_000, b"(" * 100_000):
        list(tokens(hostile))
    assert time.perf_counter() - began < 5
