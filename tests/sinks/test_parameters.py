"""Bound values arrive as they are, whatever is in them. On a real engine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.settings import Settings
from sinks.clickhouse import ClickHouse, parameter

HOSTILE = [
    "a'b",
    "a\\b",
    "\\'",
    "\\\\",
    "\\N",
    "NULL",
    "a\tb",
    "a\nb\r\n",
    "\0\b\f\v\x7f",
    "é\u2028",
    "[x,y]",
    "a,b",
    "{x:String}",
    "%27",
    " x ",
    '"',
    "",
]
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@pytest.fixture(scope="module")
def server(engine_settings: Settings) -> ClickHouse:
    return ClickHouse(engine_settings, database="")


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
@pytest.mark.parametrize("type_", ["String", "LowCardinality(String)", "Nullable(String)"])
def test_text_arrives_as_it_is(server: ClickHouse, text: str, type_: str) -> None:
    assert server.scalar(f"SELECT {{x:{type_}}}", x=text) == text


@pytest.mark.parametrize("kind", [list, tuple])
def test_sequences_arrive_as_they_are(server: ClickHouse, kind: type) -> None:
    assert server.scalar("SELECT {x:Array(String)}", x=kind(HOSTILE)) == HOSTILE
    assert server.scalar("SELECT {x:Array(Array(String))}", x=[kind(HOSTILE), kind([])]) == [HOSTILE, []]
    assert server.scalar("SELECT {x:Array(Int64)}", x=kind([-(2**63), 0, 2**53 + 1])) == [-(2**63), 0, 2**53 + 1]


def test_numbers_arrive_as_they_are(server: ClickHouse) -> None:
    assert server.scalar("SELECT {x:Int64}", x=-(2**63)) == -(2**63)
    assert server.execute("SELECT {x:UInt64}", x=2**64 - 1) == f"{2**64 - 1}\n"


@given(TEXT, st.lists(TEXT, max_size=5))
def test_any_text_arrives_as_it_is(server: ClickHouse, text: str, texts: list[str]) -> None:
    row = server.rows("SELECT {x:String}, {xs:Array(String)}", x=text, xs=texts)[0]
    assert row == [text, texts]


def test_a_value_cannot_end_its_literal() -> None:
    assert parameter("a'\n\\") == "a'\\n\\\\"
    assert parameter(["a'\n\\", ("b",), 1]) == "['a\\'\\n\\\\',['b'],1]"
