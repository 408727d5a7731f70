"""Takes a text apart into statements, with the engine front's own lexer: a `;` in a string or comment ends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.clickhouse.lexer import Kind, Token, tokens
from infra.clickhouse.statement import StatementKind, parse


@dataclass(frozen=True, slots=True)
class Piece:
    """`sql` without the `;`; `ended` says whether there was one."""

    sql: bytes
    ended: bool


def split(text: str) -> list[Piece]:
    """Empty ones are left out. Rows behind `INSERT … VALUES` belong to their statement."""
    sql = text.encode("utf-8", "surrogateescape")
    found: list[Piece] = []
    start = 0
    seen: Token | None = None
    for token in tokens(sql):
        if token.text == b";":
            if seen is not None:
                found.append(Piece(sql[start : token.start].strip(), ended=True))
            start, seen = token.end, None
        else:
            seen = token
    if seen is not None:
        found.append(Piece(sql[start:].strip(), ended=False))
    return found


def is_open(text: str) -> bool:
    """Whether a string, name or comment in it does not end."""
    return any(token.kind is Kind.OPEN for token in tokens(text.encode("utf-8", "surrogateescape")))


def takes_rows(sql: bytes) -> bool:
    """An INSERT whose rows are not in its text."""
    statement = parse(sql)
    return statement.kind is StatementKind.INSERT and not statement.inline_data.strip()


def has_result(sql: bytes) -> bool:
    return parse(sql).kind is StatementKind.READ


def names_format(sql: bytes) -> bool:
    return parse(sql).format is not None


def words(text: str) -> Iterator[str]:
    return (token.name for token in tokens(text.encode()) if token.kind in (Kind.WORD, Kind.QUOTED))
