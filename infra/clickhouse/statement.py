"""Reads what a statement is: an insert with data behind it, a read that can stream, or anything else.

`INSERT INTO t FORMAT x <data>` is cut into the head (what the engine is told) and the place where data begins. It
decides nothing about permission (`guards`) and knows no formats (`formats`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from infra.clickhouse.lexer import Kind, Token, tokens


class StatementKind(Enum):
    EMPTY = "empty"
    INSERT = "insert"  # rows follow, in the statement or in the body
    READ = "read"  # SELECT and its kin
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Statement:
    """`head` is the text without data; `format` is what the text itself names, else None.

    `data_at` is where the rows begin in the text of an insert (its length when none are in it). `complete` is False
    for an insert that names neither FORMAT nor VALUES: what follows may still say which.
    """

    kind: StatementKind
    text: bytes
    head: bytes
    verb: bytes = b""
    format: str | None = None
    data_at: int = 0
    complete: bool = True
    words: frozenset[bytes] = frozenset()

    @property
    def inline_data(self) -> bytes:
        return self.text[self.data_at :] if self.kind is StatementKind.INSERT else b""


_SELECTING: Final = frozenset({b"SELECT", b"WITH", b"FROM"})
_READING: Final = _SELECTING | {b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"VALUES"}
_WRITING_INSIDE_WITH: Final = frozenset({b"INSERT", b"CREATE", b"DELETE", b"UPDATE"})


def parse(text: bytes) -> Statement:
    stream = tokens(text)
    first = next((token for token in stream if token.kind is Kind.WORD), None)
    if first is None:
        return Statement(StatementKind.EMPTY if not text.strip() else StatementKind.OTHER, text, text)
    if first.upper == b"INSERT":
        return _insert(text)
    rest = list(stream)
    words = frozenset(token.upper for token in rest if token.kind is Kind.WORD)
    reads = first.upper in _READING and not (first.upper == b"WITH" and _writes(rest))
    kind = StatementKind.READ if reads else StatementKind.OTHER
    return Statement(kind, text, text, first.upper, _named_format(rest), words=words)


def selects(statement: Statement) -> bool:
    """Whether its rows can be fetched piece by piece (SHOW and EXPLAIN cannot)."""
    return statement.kind is StatementKind.READ and statement.verb in _SELECTING


def _insert(text: bytes) -> Statement:
    previous = b""
    format_word: Token | None = None
    for token in tokens(text):
        if token.depth:
            previous = b""
            continue
        word = token.upper
        if format_word is not None and token.kind in (Kind.WORD, Kind.QUOTED):
            head = text[: format_word.start]
            at = _after_format(text, token.end)
            return Statement(StatementKind.INSERT, text, head, b"INSERT", token.name, at)
        format_word = None
        if previous in (b"INTO", b"TABLE", b"."):
            # A table may be called `values` or `format`; `INSERT INTO TABLE t` has one more keyword.
            previous = word if word == b"TABLE" and previous == b"INTO" else b"name"
            continue
        if word in (b"SELECT", b"WITH", b"INFILE", b"WATCH"):
            return _insert_select(text)
        if word == b"VALUES":
            return Statement(StatementKind.INSERT, text, text[: token.start], b"INSERT", "Values", token.end)
        if word == b"FORMAT":
            format_word = token
        previous = word or token.text
    head = text.rstrip().removesuffix(b";")
    return Statement(StatementKind.INSERT, text, head, b"INSERT", None, len(text), complete=False)


def _insert_select(text: bytes) -> Statement:
    rest = list(tokens(text))
    words = frozenset(token.upper for token in rest if token.kind is Kind.WORD)
    return Statement(StatementKind.OTHER, text, text, b"INSERT", _named_format(rest), words=words)


def _after_format(text: bytes, position: int) -> int:
    """Rows begin after the format's name, blanks and one line end, or one semicolon."""
    while text[position : position + 1] in (b" ", b"\t", b"\r"):
        position += 1
    if text[position : position + 1] == b";":
        position += 1
    while text[position : position + 1] in (b" ", b"\t", b"\r"):
        position += 1
    return position + 1 if text[position : position + 1] == b"\n" else position


def _named_format(rest: list[Token]) -> str | None:
    """The name in a FORMAT clause at the end of a query; `format(...)` the function has brackets behind it."""
    for index in range(len(rest) - 2, -1, -1):
        token = rest[index]
        if token.upper == b"FORMAT" and token.depth == 0:
            name = rest[index + 1]
            called = index + 2 < len(rest) and rest[index + 2].text == b"("
            if name.kind in (Kind.WORD, Kind.QUOTED) and not called:
                return name.name
    return None


def _writes(rest: list[Token]) -> bool:
    return any(token.depth == 0 and token.upper in _WRITING_INSIDE_WITH for token in rest)
