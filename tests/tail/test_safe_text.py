"""Whatever a stranger wrote: a terminal shows it and obeys none of it."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from cli.tail.safe_text import column, cut, json_line, shown, wrapped

_ANY = st.text(st.characters(exclude_categories=()), max_size=60)
_UTF8 = st.text(max_size=60)
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _UTF8,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_UTF8, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("line\u2028end", "line\\u2028end"),
        ("Grüße 日本 😀 ~", "Grüße 日本 😀 ~"),
    ],
)
def test_what_is_not_visible_is_written_out(text: str, expected: str) -> None:
    assert shown(text) == expected


@given(_ANY)
def test_nothing_shown_is_a_control(text: str) -> None:
    assert not {unicodedata.category(char) for char in shown(text)} & _UNSEEN


@given(_ANY, st.integers(0, 30))
def test_a_column_has_its_width_and_a_cut_at_most(text: str, width: int) -> None:
    visible = shown(text)
    assert cell_len(column(visible, width=width)) == width
    assert cell_len(cut(visible, width=width)) <= width
    if cell_len(visible) <= width:
        assert cut(visible, width=width) == visible


@given(_ANY, st.integers(20, 60))
@example("\U0001f3fb", 20)
@example("\U0001f3fb" + "a" * 60, 20)
def test_wrapping_loses_nothing_and_stays_within_the_width(text: str, width: int) -> None:
    visible = shown(text)
    lines = wrapped(visible, width=width, indent="  ")
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(visible.split())


def test_wrapping_breaks_between_words() -> None:
    assert wrapped("one two-three four", width=16, indent=" ") == [" one two-three", "   four"]
    assert wrapped("a" * 25, width=13, indent=" ") == [" " + "a" * 10, "   " + "a" * 10, "   " + "a" * 5]


@given(_VALUES)
def test_json_is_one_safe_line_and_the_same_value(value: Any) -> None:
    line = json_line(value)
    assert json.loads(line) == value
    assert not {unicodedata.category(char) for char in line} & _UNSEEN
