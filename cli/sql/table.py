"""Draws a result as a table: the first rows of it, numbers to the right, whatever comes from outside made harmless."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.sql.server import Answer
from cli.tail.safe_text import shown

FORMAT: Final = "JSONCompactStringsEachRowWithNamesAndTypes"
MAX_ROWS: Final = 1_000
_NULL: Final = "ᴺᵁᴸᴸ"  # how ClickHouse itself draws it
_MAX_CELL: Final = 2_000  # characters; more of a value is for a file
_NUMBER_TYPES: Final = ("Int", "UInt", "Float", "Decimal", "BFloat")


@dataclass(frozen=True, slots=True)
class Drawn:
    rows: int
    is_cut: bool  # there were more than MAX_ROWS; the answer was closed after them


def draw(answer: Answer, console: Console, *, vertical: bool, before: Callable[[], None]) -> Drawn | None:
    """None for an answer without columns. Memory is bounded by MAX_ROWS rows. `before` is called before it draws."""
    lines = answer.lines()
    heading = [msgspec.json.decode(line, type=list[str]) for _, line in zip(range(2), lines, strict=False)]
    if len(heading) < 2:
        return None
    names, types = heading
    rows: list[list[str]] = []
    is_cut = False
    for line in lines:
        if len(rows) == MAX_ROWS:
            is_cut = True
            answer.close()
            break
        rows.append(msgspec.json.decode(line, type=list[str]))
    before()
    if vertical:
        _draw_vertical(names, rows, console)
    else:
        _draw_table(names, types, rows, console)
    return Drawn(len(rows), is_cut)


def _draw_table(names: list[str], types: list[str], rows: list[list[str]], console: Console) -> None:
    table = Table(header_style="bold")
    for name, kind in zip(names, types, strict=True):
        table.add_column(Text(shown(name)), justify="right" if _is_number(kind) else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def _draw_vertical(names: list[str], rows: list[list[str]], console: Console) -> None:
    width = max(map(len, names))
    for number, row in enumerate(rows, start=1):
        console.print(Text(f"Row {number}:", style="bold"))
        for name, value in zip(names, row, strict=True):
            console.print(Text(f"{shown(name):<{width}}  ") + _cell(value), soft_wrap=True)


def _cell(value: str) -> Text:
    if value == _NULL:
        return Text(value, style="dim")
    return Text(shown(value if len(value) <= _MAX_CELL else f"{value[:_MAX_CELL]}…"))


def _is_number(kind: str) -> bool:
    for wrapper in ("LowCardinality(", "Nullable("):
        kind = kind.removeprefix(wrapper)
    return kind.startswith(_NUMBER_TYPES)
