"""Matching by example, and giving each example an event of its own."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.test_server.matching import Difference, assign, differences, leaves

_SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
_OBJECTS = st.dictionaries(st.sampled_from("abc"), _VALUES, max_size=3)


@given(_VALUES)
def test_every_value_is_its_own_example(value: Any) -> None:
    assert differences(value, value) == []


@given(_OBJECTS, _OBJECTS)
def test_more_keys_do_not_matter(example: dict[str, Any], more: dict[str, Any]) -> None:
    assert differences(example, more | example) == []


@given(_OBJECTS, st.sampled_from("abc"))
def test_a_key_that_is_missing_differs_unless_null_was_asked(value: dict[str, Any], key: str) -> None:
    actual = {name: each for name, each in value.items() if name != key}
    found = differences(actual | {key: "x"}, actual)
    assert found == [Difference(f"$.{key}", "x", None, absent=True)]
    assert differences(actual | {key: None}, actual) == []


@given(_VALUES, _VALUES)
def test_there_are_never_more_differences_than_leaves(example: Any, actual: Any) -> None:
    assert len(differences(example, actual)) <= leaves(example)


@pytest.mark.parametrize(
    ("example", "actual", "paths"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1.0, "c": 2}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["$.a.b"]),
        ({"a": 1, "b": 2}, {"a": 3}, ["$.a", "$.b"]),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ["$.a[1].b"]),
        ({"a": [1]}, {"a": [1, 2]}, ["$.a"]),
        ({"a": True}, {"a": 1}, ["$.a"]),
        ({"a": 0}, {"a": False}, ["$.a"]),
        ({"a": None}, {"a": ""}, []),
        ({"a": None}, {"a": 0}, ["$.a"]),
        ({"a": {}}, {"a": "x"}, ["$.a"]),
        ({"a": {}}, {"a": {"b": 1}}, []),
        ({"a": "1"}, {"a": 1}, ["$.a"]),
        ([], {}, ["$"]),
    ],
)
def test_where_values_differ(example: Any, actual: Any, paths: list[str]) -> None:
    assert [found.path for found in differences(example, actual)] == paths


def test_a_later_example_does_not_lose_its_only_event() -> None:
    fits = {(0, 0), (0, 1), (1, 0)}
    assert assign(2, 2, fits=lambda e, c: (e, c) in fits) == {0: 1, 1: 0}


@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))))
def test_as_many_examples_as_possible_are_placed(edges: set[tuple[int, int]]) -> None:
    found = assign(5, 5, fits=lambda e, c: (e, c) in edges)
    assert set(found.items()) <= edges
    assert len(set(found.values())) == len(found)
    best = max(sum((e, c) in edges for e, c in enumerate(order)) for order in permutations(range(5)))
    assert len(found) == best
