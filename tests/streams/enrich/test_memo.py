"""The bounded cache: right, bounded, and what is asked for often stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.enrich.memo import Memo


@given(st.lists(st.integers(0, 30)), st.integers(1, 5))
def test_answers_are_those_of_the_function_and_memory_is_bounded(keys: list[int], size: int) -> None:
    memo: Memo[int, int] = Memo(lambda key: key * 7, size=size)
    for key in keys:
        assert memo[key] == key * 7
        assert memo.remembered <= 2 * size
    assert list(map(memo.__getitem__, keys)) == [key * 7 for key in keys]


def test_what_is_asked_for_often_is_worked_out_once() -> None:
    asked: list[int] = []

    def compute(key: int) -> int:
        asked.append(key)
        return key

    memo = Memo(compute, size=4)
    for other in range(1, 100):
        assert (memo[0], memo[other]) == (0, other)
    assert asked.count(0) == 1
    assert memo.misses == len(asked) == 100


def test_a_failure_is_not_remembered() -> None:
    divisors = [0, 2]
    memo: Memo[int, float] = Memo(lambda key: key / divisors.pop(0), size=2)
    with pytest.raises(ZeroDivisionError):
        memo[10]
    assert (memo[10], memo[10]) == (5, 5)


def test_long_keys_are_known_by_their_beginning() -> None:
    memo: Memo[str, str] = Memo(str.upper, size=10, cut=lambda key: key[:3])
    assert [memo["abc"], memo["abcd"], memo["abce"], memo["ab"]] == ["ABC", "ABC", "ABC", "AB"]
    assert (memo.remembered, memo.misses) == (2, 2)


def test_forgetting_asks_again() -> None:
    memo: Memo[int, int] = Memo(lambda key: key, size=1)
    assert [memo[1], memo[2]] == [1, 2]
    memo.forget()
    assert memo.remembered == 0
    assert (memo[1], memo.misses) == (1, 3)
