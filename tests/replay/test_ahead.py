"""Work beside the caller's: in order, bounded, and never failing in silence."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from replay.ahead import Behind, ahead


def test_items_come_in_order_and_one_ahead() -> None:
    made: list[int] = []

    def numbers() -> Generator[int, None, None]:
        for number in range(1, 6):
            made.append(number)
            yield number

    items = ahead(numbers())
    assert next(items) == 1
    assert list(items) == [2, 3, 4, 5]
    assert made == [1, 2, 3, 4, 5]


def test_no_more_than_the_next_is_made() -> None:
    made: list[int] = []
    third = threading.Event()

    def numbers() -> Generator[int, None, None]:
        for number in range(1, 6):
            made.append(number)
            if number == 3:
                third.set()
            yield number

    items = ahead(numbers())
    next(items)
    next(items)
    assert third.wait(10)
    assert made == [1, 2, 3]
    items.close()
    assert made == [1, 2, 3]


def test_what_making_them_raises_is_raised() -> None:
    def numbers() -> Generator[int, None, None]:
        yield 1
        raise ValueError("the second")

    items = ahead(numbers())
    assert next(items) == 1
    with pytest.raises(ValueError, match="the second"):
        next(items)


def test_closing_closes_the_items() -> None:
    closed = threading.Event()

    def numbers() -> Generator[int, None, None]:
        try:
            yield from range(1, 100)
        finally:
            closed.set()

    items = ahead(numbers())
    next(items)
    items.close()
    assert closed.is_set()


def test_things_are_done_in_order_and_before_leaving() -> None:
    done: list[int] = []
    with Behind() as behind:
        for number in range(5):
            behind.do(lambda number=number: done.append(number))  # type: ignore[misc]
    assert done == [0, 1, 2, 3, 4]


def test_what_a_thing_raises_is_raised() -> None:
    def fails() -> None:
        raise ValueError("stored nothing")

    with pytest.raises(ValueError, match="stored nothing"), Behind() as behind:
        behind.do(fails)
