from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.oddities import PRUNE_DEPTH, clean, depth, prune

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=25,
)


@pytest.mark.parametrize(
    ("sent", "cleaned"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uDE00x"', rb'"\ufffdx"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\ud83"', rb'"\ud83"'),
        (b"\xef\xbb\xbf{}", b"{}"),
        (b"{}", b"{}"),
    ],
)
def test_clean(sent: bytes, cleaned: bytes) -> None:
    assert clean(sent) == cleaned


@given(st.text(st.characters(), max_size=20) | st.text(st.sampled_from("\\u\ud83d\ude00dx"), max_size=20))
def test_clean_replaces_lone_surrogates_and_nothing_else(text: str) -> None:
    wanted = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert json.loads(clean(json.dumps(text).encode())) == wanted


@given(JSON_VALUES)
def test_clean_leaves_ordinary_json_alone(value: Any) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only).encode()
        assert clean(text) == text


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(JSON_VALUES)
def test_depth_is_what_a_walk_finds(value: Any) -> None:
    assert depth(json.dumps(value).encode()) == _depth(value)


@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"]":', b"}]")])  # noqa: PT006 (reads better)
def test_prune_leaves_valid_json_of_the_depth(opening: bytes, closing: bytes) -> None:
    pruned = prune(opening * 3000 + b"1" + closing * 3000)
    assert depth(pruned) == PRUNE_DEPTH
    json.loads(pruned)


def test_prune_keeps_neighbours_as_they_are() -> None:
    deep = b"[" * 2000 + b"]" * 2000
    pruned = prune(b'[{"a":1},' + deep + b',{"b":"]["}]')
    assert pruned.startswith(b'[{"a":1},[')
    assert pruned.endswith(b'],{"b":"]["}]')


@given(JSON_VALUES)
def test_prune_does_not_touch_what_is_shallow(value: Any) -> None:
    text = json.dumps(value).encode()
    assert prune(text) == text


@given(st.binary(max_size=300))
def test_any_bytes_pass(data: bytes) -> None:
    assert isinstance(clean(data), bytes)
    assert isinstance(prune(data), bytes)
    assert depth(data) >= 0
