"""Makes legal but hostile JSON digestible before it is decoded. Changes nothing in ordinary text.

- Lone surrogate escapes (`"\\ud83d"`, what browsers send of an emoji cut in half) become U+FFFD; the library would
  refuse the whole body for one.
- A byte order mark is dropped (RFC 8259 section 8.1 allows that).
- What is nested deeper than `PRUNE_DEPTH` is cut out, so that one absurd event does not cost its batch: what is left
  of it is still far too deep for the contract and is refused as that event alone.
"""

from __future__ import annotations

import re

_BOM = b"\xef\xbb\xbf"
_REPLACEMENT = rb"\ufffd"
# Above every limit of the contract (plus its envelope), below what the decoder's recursion stands.
PRUNE_DEPTH = 100

# Escapes are read from left to right, so that the second backslash of `\\ud800` starts none.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a proper pair
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one
    rb"|\\.",
    re.DOTALL,
)
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
_OPENING = b"[{"


def clean(body: bytes) -> bytes:
    """`body` without byte order mark and lone surrogates; the same object if it has neither."""
    body = body.removeprefix(_BOM)
    # The single byte is looked for ten times faster than two or three, and most bodies have none.
    if b"\\" in body and (b"\\ud" in body or b"\\uD" in body):
        body = _ESCAPE.sub(lambda m: _REPLACEMENT if m.group(1) else m.group(), body)
    return body


def depth(raw: bytes) -> int:
    """How deep `raw` is nested: 0 for a scalar, 1 for `{}`."""
    level = deepest = 0
    for match in _STRUCTURE.finditer(raw):
        first = raw[match.start()]
        if first in _OPENING:
            level += 1
            deepest = max(deepest, level)
        elif first != 0x22:
            level -= 1
    return deepest


def prune(body: bytes) -> bytes:
    """`body` with everything inside containers at `PRUNE_DEPTH` removed."""
    kept: list[bytes] = []
    level = start = 0
    for match in _STRUCTURE.finditer(body):
        first = body[match.start()]
        if first in _OPENING:
            level += 1
            if level == PRUNE_DEPTH:
                kept.append(body[start : match.end()])
        elif first != 0x22:
            if level == PRUNE_DEPTH:
                start = match.start()
            level -= 1
    return b"".join((*kept, body[start:])) if level == 0 else body
