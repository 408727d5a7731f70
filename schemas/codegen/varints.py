"""Avro's numbers: zig-zag, then seven bits a byte. Tables and memos of those that events repeat.

Generated code looks them up: a small or negative number in `V`; of a large one the low 13 bits in `LOW` and the rest in
`HIGH`; the length of a text in `LENGTH`, as far as that goes. Clients choose the keys, so the memos `V` and `HIGH` are
bounded: a full one starts anew, as the parts of clock times that it holds do move on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

_LIMIT = 32_768  # entries; about 3 MiB a memo, at most
LENGTHS = 8_192  # longer texts are encoded the slower way; each entry costs 80 bytes

Piece = TypeVar("Piece", bytes, str)


def varint(value: int) -> bytes:
    """Zig-zag variable-length integer."""
    return _unsigned((value << 1) ^ (value >> 63))


def _unsigned(rest: int) -> bytes:
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _low(low: int) -> bytes:
    """The first 14 of a zig-zag number's bits, more to follow: the sign's, which is 0, and 13 of its own."""
    return bytes((low << 1 & 127 | 128, low >> 6 | 128))


class Memo(dict[int, Piece], Generic[Piece]):
    """What `make` gives for a number, remembered."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[int], Piece]) -> None:
        super().__init__()
        self._make: Callable[[int], Piece] = make

    def __missing__(self, number: int) -> Piece:
        if len(self) >= _LIMIT:
            self.clear()
        piece: Piece = self._make(number)
        self[number] = piece
        return piece


def _text(make: Callable[[int], bytes]) -> Callable[[int], str]:
    return lambda number: make(number).decode("latin-1")


# Names that generated code uses, made when the first is compiled.


@cache
def for_bytes() -> dict[str, Any]:
    return {"V": Memo(varint), "LOW": [*map(_low, range(8192))], "HIGH": Memo(_unsigned)}


@cache
def for_text() -> dict[str, Any]:
    """The same as text of one character a byte."""
    return {
        "V": Memo(_text(varint)),
        "LOW": [*map(_text(_low), range(8192))],
        "HIGH": Memo(_text(_unsigned)),
        "LENGTH": [*map(_text(varint), range(LENGTHS))],
    }
