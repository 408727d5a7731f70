"""A plan's records in parts that the engine can hold, none twice and none left out."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from replay.scratch import parts_of

_MOST = 100
_STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(1, 60)), unique_by=lambda each: each[:2], max_size=30
)


@given(_STEPS)
def test_every_step_is_in_one_part(found: list[tuple[int, int, int]]) -> None:
    steps = [(number, step * 10, step * 10 + 9, records) for number, step, records in sorted(found)]
    parts = parts_of(steps, most=_MOST)
    assert sum(part.records for part in parts) == sum(records for *_, records in steps)
    assert all(part.records <= _MOST for part in parts)
    held = [
        (int(number), offset)
        for part in parts
        for number, first, last in re.findall(
            r"raw_partition = (\d+) AND raw_offset BETWEEN (\d+) AND (\d+)", part.condition
        )
        for offset in range(int(first), int(last) + 1)
    ]
    assert len(held) == len(set(held))
    assert {(number, offset) for number, first, last, _ in steps for offset in range(first, last + 1)} <= set(held)


def test_a_step_with_more_than_most_is_a_part_of_its_own() -> None:
    steps = [(0, 0, 9, 50), (0, 10, 19, 500), (0, 20, 29, 50)]
    assert [part.records for part in parts_of(steps, most=_MOST)] == [50, 500, 50]
