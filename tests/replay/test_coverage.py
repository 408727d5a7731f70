"""Every offset of a window is in exactly one span or gap, whatever Kafka and the archive hold of it."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from replay.comparing import RANGE_OFFSETS, ranges
from replay.coverage import Archived, Gap, Kept, Span, cover
from replay.selection import OffsetRange, Selection

ALL = Selection(from_ms=0, to_ms=1)
_OFFSETS = st.sets(st.integers(0, 30))


def as_ranges(offsets: set[int]) -> list[tuple[int, int]]:
    out = []
    for _, run in groupby(enumerate(sorted(offsets)), key=lambda each: each[1] - each[0]):
        found = [offset for _, offset in run]
        out.append((found[0], found[-1]))
    return out


@given(
    low=st.integers(0, 20),
    length=st.integers(0, 20),
    archived=_OFFSETS,
    wanted=st.tuples(st.integers(0, 30), st.integers(0, 10)),
    through=st.integers(-1, 40),
)
def test_named_offsets_are_covered_once(
    low: int, length: int, archived: set[int], wanted: tuple[int, int], through: int
) -> None:
    first, last = wanted[0], sum(wanted)
    high = low + length
    found = cover(
        Selection(from_ms=0, to_ms=1, offsets=(OffsetRange(3, first, last),)),
        in_kafka={3: Kept(low, high, low, high)},
        archived={3: Archived(as_ranges(archived))},
        through={3: through},
    )
    seen: dict[int, str] = {}
    for span in found.spans:
        assert span.first <= span.last
        for offset in range(span.first, span.last + 1):
            assert seen.setdefault(offset, span.place) == span.place
            assert offset in archived if span.place == "archive" else low <= offset < high
    for gap in found.gaps:
        for offset in range(gap.first, gap.last + 1):
            assert offset not in seen
            seen[offset] = "gap"
            assert offset not in archived
            assert not low <= offset < high
    assert sorted(seen) == list(range(first, min(last, through) + 1))
    assert found.behind == last - first + 1 - len(seen)


@given(low=st.integers(0, 20), length=st.integers(1, 20), archived=_OFFSETS)
def test_kafka_is_read_where_both_have_it(low: int, length: int, archived: set[int]) -> None:
    found = cover(
        ALL,
        in_kafka={0: Kept(low, low + length, low, low + length)},
        archived={0: Archived(as_ranges(archived))},
        through={0: 100},
    )
    for span in found.spans:
        if span.place == "archive":
            assert not range(max(span.first, low), min(span.last, low + length - 1) + 1)


def test_a_window_that_begins_before_kafka_and_is_not_archived_has_a_gap() -> None:
    found = cover(ALL, in_kafka={0: Kept(5, 9, 5, 9)}, archived={}, through={0: 100})
    assert found.spans == [Span(0, 5, 8, "kafka")]
    assert found.gaps == [Gap(0, -1, 4, "deleted from Kafka before it was archived")]


def test_between_archive_and_kafka() -> None:
    found = cover(ALL, in_kafka={0: Kept(10, 20, 10, 20)}, archived={0: Archived([(0, 6)])}, through={0: 100})
    assert found.spans == [Span(0, 0, 6, "archive"), Span(0, 10, 19, "kafka")]
    assert found.gaps == [Gap(0, 7, 9, "deleted from Kafka before it was archived")]


def test_a_window_in_the_middle_of_kafka_asks_nothing_else() -> None:
    found = cover(ALL, in_kafka={0: Kept(10, 50, 20, 30)}, archived={}, through={0: 25})
    assert found.spans == [Span(0, 20, 25, "kafka")]
    assert found.gaps == []


def test_one_place_alone() -> None:
    both = {"in_kafka": {0: Kept(0, 10, 0, 10)}, "archived": {0: Archived([(0, 9)])}, "through": {0: 9}}
    assert cover(ALL, **both, place="archive").spans == [Span(0, 0, 9, "archive")]  # type: ignore[arg-type]
    assert cover(ALL, **both, place="kafka").spans == [Span(0, 0, 9, "kafka")]  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=4))
def test_ranges_are_short_and_cover_the_spans(spans: list[tuple[int, int, int]]) -> None:
    made = [Span(number, first, first + length, "kafka") for number, first, length in spans]
    found = ranges(made)
    assert sum(last - first + 1 for _, first, last in found) == sum(span.records for span in made)
    assert all(last - first < RANGE_OFFSETS for _, first, last in found)


def test_a_window_before_what_kafka_has_ends_where_the_archive_says() -> None:
    kept = {0: Kept(50, 60, 50, 50)}
    found = cover(ALL, in_kafka=kept, archived={0: Archived([(10, 19)], before=9, after=20)}, through={0: 100})
    assert (found.spans, found.gaps) == ([Span(0, 10, 19, "archive")], [])
    lost = cover(ALL, in_kafka=kept, archived={0: Archived([(10, 17)], before=8, after=20)}, through={0: 100})
    assert lost.spans == [Span(0, 10, 17, "archive")]
    assert [(gap.first, gap.last) for gap in lost.gaps] == [(9, 9), (18, 19)]


def test_a_window_before_everything_is_empty_where_the_archive_has_the_beginning() -> None:
    found = cover(ALL, in_kafka={0: Kept(50, 60, 50, 50)}, archived={0: Archived([], after=0)}, through={0: 100})
    assert (found.spans, found.gaps) == ([], [])


def test_what_nobody_knows_of_is_a_gap() -> None:
    found = cover(ALL, in_kafka={0: Kept(50, 60, 50, 50)}, archived={0: Archived([(10, 20)])}, through={0: 100})
    assert found.spans == [Span(0, 10, 20, "archive")]
    assert [(gap.first, gap.last) for gap in found.gaps] == [(-1, 9), (21, 49)]
    nothing = cover(ALL, in_kafka={0: Kept(50, 60, 50, 50)}, archived={}, through={0: 100})
    assert [(gap.first, gap.last) for gap in nothing.gaps] == [(-1, 49)]


@given(low=st.integers(0, 12), window=st.tuples(st.integers(0, 20), st.integers(1, 10)), cut=st.integers(0, 20))
def test_times_find_what_is_kept(low: int, window: tuple[int, int], cut: int) -> None:
    """Twenty records, the n-th arrived at time n. Kafka has those from `low` on, the archive those before `cut`."""
    begin, end = window[0], sum(window)
    kept = Kept(low, 20, min(20, max(low, begin)), min(20, max(low, end)))
    before = [n for n in range(cut) if n < begin]
    after = [n for n in range(cut) if n >= end]
    inside = [n for n in range(cut) if begin <= n < end]
    archive = Archived(as_ranges(set(inside)), max(before, default=-1), min(after, default=-1))
    found = cover(ALL, in_kafka={0: kept}, archived={0: archive} if cut else {}, through={0: 19})
    held = {n for span in found.spans for n in range(span.first, span.last + 1)}
    lost = {n for gap in found.gaps for n in range(max(0, gap.first), gap.last + 1)}
    wanted = set(range(begin, min(end, 20)))
    assert held == {n for n in wanted if n < cut or n >= low}
    assert wanted - held <= lost
    if cut >= low:
        assert not lost
