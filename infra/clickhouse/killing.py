"""`KILL QUERY WHERE query_id = …` with the id that a client gave its statement.

The engine takes no id from outside: it makes its own, and the client's travels in a setting. So in a KILL QUERY, and
only there, `query_id` means what it means on a server.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from infra.clickhouse.engine import QUERY_ID_SQL
from infra.clickhouse.lexer import Kind, Token, tokens
from infra.clickhouse.statement import Statement

_NAMES: Final = frozenset({"query_id", "initial_query_id"})


def by_clients_id(statement: Statement) -> Statement:
    found = list(tokens(statement.head))
    if [token.upper for token in found[:2]] != [b"KILL", b"QUERY"]:
        return statement
    text = bytearray(statement.head)
    for token in reversed(found):
        if _names_the_id(token):
            text[token.start : token.end] = QUERY_ID_SQL.encode()
    return replace(statement, head=bytes(text))


def _names_the_id(token: Token) -> bool:
    return token.kind in (Kind.WORD, Kind.QUOTED) and token.name in _NAMES
