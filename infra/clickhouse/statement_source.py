"""Finds the statement of a request, in its URL, its body or both, and the rows that follow it.

A statement that is not an insert takes the whole body; of an insert only the head is read, so its rows stay a stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from infra.clickhouse.body import Peekable
from infra.clickhouse.statement import Statement, StatementKind, parse

# The head of an insert is looked for in this much first. Longer ones (column lists) make it look again in more.
_FIRST_LOOK_BYTES: Final = 64 << 10
_CONTINUES: Final = re.compile(rb"\s*(?:VALUES|FORMAT|SELECT|WITH|SETTINGS)\b", re.IGNORECASE)


def read(query: bytes, body: Peekable) -> tuple[Statement, Iterator[bytes]]:
    """`query` is the URL's text. The iterator gives the rows of an insert, pieces never empty."""
    if not query.strip():
        return _from_body(b"", body)
    statement = parse(query)
    if statement.kind is not StatementKind.INSERT:
        rest = body.read_all()
        return (parse(query + b"\n" + rest) if rest.strip() else statement), iter(())
    if not statement.complete and _CONTINUES.match(body.peek(64)):
        return _from_body(query + b"\n", body)
    inline = statement.inline_data
    return statement, chain([inline] if inline.strip() else [], body.rest())


def _from_body(lead: bytes, body: Peekable) -> tuple[Statement, Iterator[bytes]]:
    size = _FIRST_LOOK_BYTES
    while True:
        text = lead + body.peek(size)
        statement = parse(text)
        # At the very end of what is here, a name may only be the beginning of a longer one.
        certain = body.ended or statement.data_at < len(text)
        if statement.kind is StatementKind.INSERT and statement.complete and certain:
            return statement, body.rest(skip=statement.data_at - len(lead))
        if body.ended:
            return statement, iter(())
        size = max(size, len(text)) * 4
