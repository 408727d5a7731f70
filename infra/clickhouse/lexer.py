"""Splits ClickHouse SQL into tokens: enough to tell keywords from what only looks like them.

Comments (`--`, `# `, `#!`, `/* */`), strings, quoted identifiers and heredocs are each one token, so no later rule can
be fooled by, or hidden in, one of them. It does not parse: meaning is decided in `statement` and `guards`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Kind(Enum):
    WORD = "word"
    QUOTED = "quoted"  # `x`, "x": an identifier
    STRING = "string"
    MARK = "mark"  # one byte of anything else
    OPEN = "open"  # a comment, string or identifier that the text ends inside of


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: bytes
    start: int
    end: int
    depth: int  # of round brackets around it

    @property
    def upper(self) -> bytes:
        """The word in capitals; empty for anything that cannot be a keyword."""
        return self.text.upper() if self.kind is Kind.WORD else b""

    @property
    def name(self) -> str:
        """What an identifier names, quotes and their escapes removed."""
        if self.kind is Kind.WORD:
            return self.text.decode("utf-8", "replace")
        if self.kind is Kind.QUOTED:
            quote = self.text[:1]
            inner = self.text[1:-1].replace(quote * 2, quote)
            return _ESCAPED.sub(rb"\1", inner).decode("utf-8", "replace")
        return ""


_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
# Possessive and atomic forms: an unclosed quote of a megabyte must not backtrack.
_TOKEN: Final = re.compile(
    rb"""
      (?P<skip> [\s\x00]++ | (?:\xc2\xa0|\xe3\x80\x80|\xef\xbb\xbf)++ | --[^\n]*+ | \#[ !][^\n]*+ | /\*(?s:.*?)\*/ )
    | (?P<string> '(?:[^'\\]|\\.|'')*+' | \xe2\x80\x98(?s:.*?)\xe2\x80\x99 )
    | (?P<quoted> `(?:[^`\\]|\\.|``)*+` | "(?:[^"\\]|\\.|"")*+" | \xe2\x80\x9c(?s:.*?)\xe2\x80\x9d )
    | (?P<heredoc> \$(?P<tag>\w*+)\$(?s:.*?)\$(?P=tag)\$ )
    | (?P<open> /\*(?s:.*) | ['`"](?s:.*) )
    | (?P<word> [A-Za-z_][A-Za-z0-9_$]*+ )
    | (?P<number> [0-9][A-Za-z0-9_.]*+ )
    | (?P<mark> (?s:.) )
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS: Final = {
    "string": Kind.STRING,
    "heredoc": Kind.STRING,
    "tag": Kind.STRING,
    "quoted": Kind.QUOTED,
    "open": Kind.OPEN,
    "word": Kind.WORD,
    "number": Kind.MARK,
    "mark": Kind.MARK,
}


def tokens(sql: bytes, *, start: int = 0) -> Iterator[Token]:
    """Lazily, so that the data behind an `INSERT … FORMAT x` is never scanned."""
    depth = 0
    position = start
    while found := _TOKEN.match(sql, position):
        position = found.end()
        group = found.lastgroup
        if group == "skip" or group is None:
            continue
        text = found.group()
        if text == b")":
            depth = max(0, depth - 1)
        yield Token(_KINDS[group], text, found.start(), position, depth)
        if text == b"(":
            depth += 1
