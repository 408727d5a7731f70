"""Text that strangers wrote, made safe to show: nothing in it moves the cursor, reorders or hides other text.

Knows nothing of events. Width is counted in terminal cells, so that wide characters keep columns aligned.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import msgspec
from rich.cells import cell_len, set_cell_size

# Controls, invisible formatting, surrogates, private and unassigned code points, line and paragraph separators.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LEAST_WIDTH = 10
# JSON leaves these as they are; inside its strings they may as well be written as escapes.
_BEYOND_ASCII = re.compile("[\x7f-\U0010ffff]")


def shown(text: str) -> str:
    """`text` with everything that is not plainly visible written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _UNSEEN_CATEGORIES else c for c in text)


def cut(text: str, *, width: int) -> str:
    """The beginning of a shown text in at most `width` cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def column(text: str, *, width: int) -> str:
    """Exactly `width` cells of a shown text."""
    return set_cell_size(cut(text, width=width), width)


def wrapped(text: str, *, width: int, indent: str = "") -> list[str]:
    """A shown text in lines of at most `width` cells, broken between words where that is possible.

    Lines begin with `indent`, later ones with two spaces more.
    """
    room = max(_LEAST_WIDTH, width - cell_len(indent) - 2)
    words = [piece for word in text.split() for piece in _pieces(word, room)]
    lines: list[str] = []
    for word in words:
        if lines and cell_len(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [f"{indent}{'  ' if number else ''}{line}" for number, line in enumerate(lines)]


def _pieces(word: str, room: int) -> list[str]:
    # rich's chop_cells loses characters without a width at the beginning of a line.
    pieces = [""]
    for char in word:
        if pieces[-1] and cell_len(pieces[-1] + char) > room:
            pieces.append(char)
        else:
            pieces[-1] += char
    return pieces


def json_line(document: Any) -> str:
    """JSON on one line that any terminal shows as it is. Parses to the same value."""
    text = msgspec.json.encode(document).decode()
    return _BEYOND_ASCII.sub(_json_escaped, text)


def _escaped(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escaped(found: re.Match[str]) -> str:
    char = found[0]
    if unicodedata.category(char) not in _UNSEEN_CATEGORIES:
        return char
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
