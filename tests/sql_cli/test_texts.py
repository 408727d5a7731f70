"""Texts taken apart, without a server: statements, commands, progress, exception blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.sql import meta, server, statements
from cli.sql.console import is_complete, piped
from cli.sql.meta import MetaError, Query, Word
from cli.sql.server import Progress
from cli.sql.watching import sentence

_PIECES = st.sampled_from(["SELECT 1", "'a;b'", "`x;y`", "-- c ; d\n", "/* ; */", '"q;"', "$$ ; $$", " ", "\n", "x"])


@given(st.lists(st.lists(_PIECES, min_size=1), min_size=1, max_size=5))
def test_statements_end_at_their_semicolons_only(parts: list[list[str]]) -> None:
    texts = [" ".join(["SELECT", *part, "\n"]) for part in parts]
    found = statements.split(";".join(texts) + ";")
    assert [piece.sql for piece in found] == [text.strip().encode() for text in texts]
    assert all(piece.ended for piece in found)


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", True), ("SELECT 1", False), ("SELECT 1;", True), ("SELECT ';", False), ("SELECT 1; SELECT", False),
        ("SELECT 1; -- done", True), ("\\d", True), ("quit", True), ("SELECT 1 /* ;", False),
        ("INSERT INTO t VALUES (1);", True),
    ],
)  # fmt: skip
def test_when_enter_sends_it(text: str, complete: bool) -> None:
    assert is_complete(text) is complete


def test_piped_texts_are_commands_and_whole_statements() -> None:
    read = piped(iter(["SELECT\n", "1; SELECT 2;\n", "\\x\n", "SELECT '\n", "\\d';\n", "SELECT 3"]))
    for text in ("SELECT\n1; SELECT 2;\n", "\\x\n", "SELECT '\n\\d';\n", "SELECT 3"):
        assert read() == text
    with pytest.raises(EOFError):
        read()


def test_commands() -> None:
    assert meta.read("\\q") == meta.read("exit;") == Word("quit")
    assert meta.read("\\f  CSV ") == Word("format", "CSV")
    described = meta.read('\\d other."my table"')
    assert isinstance(described, Query)
    assert described.parameters == {"database": "other", "table": "my table"}
    for line in ("\\nope", "\\i", "\\c"):
        with pytest.raises(MetaError):
            meta.read(line)


def test_what_progress_says() -> None:
    assert sentence(Progress(500, 1000, 1.25)) == " 50 %  500 of about 1,000 rows, 1.2 s"
    assert sentence(Progress(1500, 1000, 1)).startswith("100 %")
    assert sentence(Progress(1500, 0, 1)) == "1,500 rows read, 1.0 s"


@given(st.binary(max_size=300), st.text(max_size=50))
def test_an_exception_block_is_cut_off(before: bytes, message: str) -> None:
    words = f"Code: 395. DB::Exception: {message}\n".encode()
    block = b"\r\n__exception__\r\ntag\r\n%s%d tag\r\n__exception__\r\n" % (words, len(words))
    assert server._without_exception(before + block, b"tag") == (before, words)
    if not before.endswith(b" tag\r\n__exception__\r\n"):
        assert server._without_exception(before, b"tag") == (before, b"")
