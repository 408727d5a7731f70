"""The dedupe window against a model that remembers everything and decides by the two bounds alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.ids import DEDUPE_ID_BYTES
from streams.window import DedupeWindow, pack, unpack

IDS = st.integers(0, 40).map(lambda n: n.to_bytes(DEDUPE_ID_BYTES, "big"))


class WindowAgainstModel(RuleBasedStateMachine):
    """The model keeps every batch ever added and asks: which suffix of them do the bounds cover?"""

    @initialize(max_age_ms=st.integers(0, 50), max_ids=st.integers(1, 12))
    def start(self, max_age_ms: int, max_ids: int) -> None:
        self.window = DedupeWindow(max_age_ms=max_age_ms, max_ids=max_ids)
        self.max_age_ms, self.max_ids = max_age_ms, max_ids
        self.kept: list[tuple[int, list[bytes]]] = []
        self.now = 1_000

    @rule(ids=st.lists(IDS, unique=True, max_size=6), later_ms=st.integers(0, 30))
    def add_new(self, ids: list[bytes], later_ms: int) -> None:
        """A committed batch: only ids that the window did not hold."""
        self._add([i for i in ids if i not in self.window], later_ms)

    @rule(ids=st.lists(IDS, unique=True, max_size=6), later_ms=st.integers(0, 30))
    def add_again(self, ids: list[bytes], later_ms: int) -> None:
        """A rebuild may meet an id twice, when the bounds were tighter while it was written."""
        self._add(ids, later_ms)

    def _add(self, ids: list[bytes], later_ms: int) -> None:
        self.now += later_ms
        self.window.add(ids, arrival_ms=self.now)
        if ids:
            self.kept.append((self.now, ids))
        while self.kept and (
            self.kept[0][0] < self.now - self.max_age_ms
            or len(self._remembered()) - len(self.kept[0][1]) >= self.max_ids
        ):
            self.kept.pop(0)

    def _remembered(self) -> set[bytes]:
        return {i for _, ids in self.kept for i in ids}

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        expected = self._remembered()
        assert len(self.window) == len(expected)
        for n in range(41):
            dedupe_id = n.to_bytes(DEDUPE_ID_BYTES, "big")
            assert (dedupe_id in self.window) == (dedupe_id in expected)

    @invariant()
    def reaches_back_as_far_as_its_oldest_batch(self) -> None:
        assert self.window.horizon_ms == (self.kept[0][0] if self.kept else None)

    @invariant()
    def stays_within_its_bounds(self) -> None:
        if self.kept:
            assert self.now - self.kept[0][0] <= self.max_age_ms
            # A batch is forgotten whole, so the oldest may reach over the bound.
            assert len(self.window) < self.max_ids + len(self.kept[0][1]) or len(self.kept) == 1


TestWindowAgainstModel = WindowAgainstModel.TestCase


def batch(*numbers: int) -> list[bytes]:
    return [n.to_bytes(DEDUPE_ID_BYTES, "big") for n in numbers]


def test_age_is_counted_by_arrival() -> None:
    window = DedupeWindow(max_age_ms=100, max_ids=1_000)
    window.add(batch(1), arrival_ms=0)
    window.add(batch(2), arrival_ms=100)
    assert batch(1)[0] in window
    window.add([], arrival_ms=101)  # a batch without new ids still tells the time
    assert batch(1)[0] not in window
    assert batch(2)[0] in window


def test_an_id_that_came_again_is_remembered_from_then() -> None:
    window = DedupeWindow(max_age_ms=100, max_ids=1_000)
    for at in (0, 50, 90):
        window.add(batch(1, at + 2), arrival_ms=at)
    window.add([], arrival_ms=160)
    assert batch(1)[0] in window
    window.add([], arrival_ms=191)
    assert len(window) == 0


def test_one_batch_beyond_the_bound_is_kept_whole() -> None:
    window = DedupeWindow(max_age_ms=100, max_ids=2)
    window.add(batch(1, 2, 3), arrival_ms=0)
    assert len(window) == 3
    window.add(batch(4), arrival_ms=1)
    assert [n for n in (1, 2, 3, 4) if batch(n)[0] in window] == [1, 2, 3, 4], "one id alone is below the bound"
    window.add(batch(5), arrival_ms=2)
    assert [n for n in (1, 2, 3, 4, 5) if batch(n)[0] in window] == [4, 5]


@given(st.lists(st.tuples(st.integers(0, 30), st.lists(IDS, unique=True, max_size=5)), max_size=20), st.integers(1, 10))
def test_a_rebuilt_window_equals_the_one_that_was_lost(batches: list[tuple[int, list[bytes]]], max_ids: int) -> None:
    """The log holds what was new; read from any point that the age covers, it leads to the same window."""
    lost, now, written = DedupeWindow(max_age_ms=60, max_ids=max_ids), 0, []
    for later, ids in batches:
        now += later
        new = [i for i in ids if i not in lost]
        lost.add(new, arrival_ms=now)
        written.append((now, new))
    rebuilt = DedupeWindow(max_age_ms=60, max_ids=max_ids)
    for at, new in written:
        if at >= now - 60:
            rebuilt.add(unpack(pack(new)), arrival_ms=at)
    assert len(rebuilt) == len(lost)
    assert rebuilt.horizon_ms == lost.horizon_ms
    assert all((n in rebuilt) == (n in lost) for n in batch(*range(41)))


@given(st.lists(st.binary(min_size=DEDUPE_ID_BYTES, max_size=DEDUPE_ID_BYTES)))
def test_packed_ids_are_read_back(ids: list[bytes]) -> None:
    assert unpack(pack(ids)) == ids
