"""The dedupe window against a model that remembers everything and decides by the two bounds alone."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.errors import InvariantError
from core.ids import DEDUPE_ID_BYTES
from streams import window as module
from streams.dedupe_table import DedupeTable
from streams.records import Outcome, OutcomeKind, Run, decode_outcome, encode_outcome, runs_of
from streams.recovery import curated_offsets, remember
from streams.window import NOT_SEEN, DedupeWindow, first_positions, pack, unpack

# All of them share two buckets of any table, so that most find both full, and halves of the id with one another.
CROWD = [struct.pack("<IIQ", (n & 1) << 31, (n & 2) << 30, n >> 2) for n in range(24)]
# Small numbers in the first bytes: no two in the same bucket of a small table.
SPREAD = [struct.pack(">QQ", n << 57 | n << 25, 7) for n in range(24)]
IDS = CROWD + SPREAD


class Model:
    """Batches in order of arrival; an id is in the one that is forgotten last."""

    def __init__(self, *, max_age_ms: int, max_ids: int) -> None:
        self.max_age_ms, self.max_ids = max_age_ms, max_ids
        self.batches: list[tuple[int, dict[bytes, int]]] = []

    def add(self, ids: list[bytes], offsets: list[int], arrival_ms: int) -> None:
        batch: dict[bytes, int] = {}
        for dedupe_id, offset in zip(ids, offsets, strict=True):
            if not any(dedupe_id in held for at, held in self.batches if at > arrival_ms):
                batch.setdefault(dedupe_id, offset)
        for _, held in self.batches:
            for dedupe_id in batch:
                held.pop(dedupe_id, None)
        self.batches.append((arrival_ms, batch))
        self.batches.sort(key=lambda each: each[0])  # stable: equal times stay in the order they came in
        while self.batches and (
            not self.batches[0][1]
            or self.batches[0][0] < arrival_ms - self.max_age_ms
            or len(self.held()) - len(self.batches[0][1]) >= self.max_ids
        ):
            self.batches.pop(0)

    def held(self) -> dict[bytes, int]:
        return {dedupe_id: offset for _, batch in self.batches for dedupe_id, offset in batch.items()}


class WindowAgainstModel(RuleBasedStateMachine):
    @initialize(max_age_ms=st.integers(0, 50), max_ids=st.integers(1, 40), segment_ids=st.integers(6, 12))
    def start(self, max_age_ms: int, max_ids: int, segment_ids: int) -> None:
        self.table = DedupeTable(segment_ids=segment_ids, segments=128)
        self.window = DedupeWindow(max_age_ms=max_age_ms, max_ids=max_ids, table=self.table)
        self.model = Model(max_age_ms=max_age_ms, max_ids=max_ids)
        self.now, self.offset = 1_000, 0

    @rule(ids=st.lists(st.sampled_from(IDS), unique=True, max_size=6), later_ms=st.integers(0, 30))
    def add_new(self, ids: list[bytes], later_ms: int) -> None:
        """A committed batch: only ids that the window did not hold."""
        self.now += later_ms
        self._add([i for i in ids if i not in self.window], self.now)

    @rule(ids=st.lists(st.sampled_from(IDS), max_size=6), later_ms=st.integers(0, 30))
    def add_again(self, ids: list[bytes], later_ms: int) -> None:
        """A rebuild may meet an id twice, when the bounds were tighter while it was written."""
        self.now += later_ms
        self._add(ids, self.now)

    @rule(ids=st.lists(st.sampled_from(IDS), max_size=6), earlier_ms=st.integers(0, 60))
    def restate(self, ids: list[bytes], earlier_ms: int) -> None:
        """A replay brings ids in with the arrival times of their own events."""
        self._add(ids, self.now - earlier_ms)

    @rule()
    def grow(self) -> None:
        if self.table.nbytes < 1 << 20:
            self.table._split()

    @rule()
    def renumber(self) -> None:
        self.table._renumber()

    def _add(self, ids: list[bytes], arrival_ms: int) -> None:
        offsets = list(range(self.offset, self.offset + len(ids)))
        self.offset += len(ids)
        self.window.add(pack(ids), offsets=offsets, arrival_ms=arrival_ms)
        self.model.add(ids, offsets, arrival_ms)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        held = self.model.held()
        assert len(self.window) == len(held)
        assert self.window.find(pack(IDS)).tolist() == [held.get(i, NOT_SEEN) for i in IDS]

    @invariant()
    def reaches_back_as_far_as_its_oldest_batch(self) -> None:
        assert self.window.horizon_ms == (self.model.batches[0][0] if self.model.batches else None)


TestWindowAgainstModel = WindowAgainstModel.TestCase


def batch(*numbers: int) -> list[bytes]:
    return [n.to_bytes(DEDUPE_ID_BYTES, "big") for n in numbers]


def add(window: DedupeWindow, ids: Iterable[bytes], *, arrival_ms: int, first_offset: int = 0) -> None:
    packed = pack(ids)
    count = len(packed) // DEDUPE_ID_BYTES
    window.add(packed, offsets=range(first_offset, first_offset + count), arrival_ms=arrival_ms)


def held(window: DedupeWindow, *numbers: int) -> list[int]:
    return [n for n in numbers if batch(n)[0] in window]


def random_ids(count: int, seed: int = 1) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(DEDUPE_ID_BYTES) for _ in range(count)]


def test_age_is_counted_by_arrival() -> None:
    window = DedupeWindow(max_age_ms=100, max_ids=1_000)
    add(window, batch(1), arrival_ms=0)
    add(window, batch(2), arrival_ms=100)
    assert held(window, 1) == [1]
    add(window, [], arrival_ms=101)  # a batch without new ids still tells the time
    assert held(window, 1, 2) == [2]


def test_an_id_that_came_again_is_remembered_from_then() -> None:
    window = DedupeWindow(max_age_ms=100, max_ids=1_000)
    for at in (0, 50, 90):
        add(window, batch(1, at + 2), arrival_ms=at, first_offset=at)
    assert window.find(batch(1)[0]).tolist() == [90]
    add(window, [], arrival_ms=160)
    assert held(window, 1) == [1]
    add(window, [], arrival_ms=191)
    assert len(window) == 0


def test_one_batch_beyond_the_bound_is_kept_whole() -> None:
    window = DedupeWindow(max_age_ms=100, max_ids=2)
    add(window, batch(1, 2, 3), arrival_ms=0)
    assert len(window) == 3
    add(window, batch(4), arrival_ms=1)
    assert held(window, 1, 2, 3, 4) == [1, 2, 3, 4], "one id alone is below the bound"
    add(window, batch(5), arrival_ms=2)
    assert held(window, 1, 2, 3, 4, 5) == [4, 5]


def test_restated_ids_never_drive_out_newer_ones() -> None:
    window = DedupeWindow(max_age_ms=1_000, max_ids=4)
    add(window, batch(1, 2), arrival_ms=900)
    add(window, batch(3, 4), arrival_ms=1_000)
    for day in range(10):
        add(window, batch(100 + day, 200 + day), arrival_ms=500 + day)
    assert held(window, 1, 2, 3, 4) == [1, 2, 3, 4]
    add(window, batch(5, 6), arrival_ms=950)
    assert held(window, 1, 2, 3, 4, 5, 6) == [3, 4, 5, 6], "forgotten by arrival, not in the order they were added"


def test_a_restated_id_does_not_shorten_a_longer_memory() -> None:
    window = DedupeWindow(max_age_ms=100, max_ids=1_000)
    add(window, batch(1), arrival_ms=200, first_offset=7)
    add(window, batch(1, 2), arrival_ms=120)
    assert window.find(pack(batch(1, 2))).tolist() == [7, 1]
    add(window, [], arrival_ms=260)
    assert held(window, 1, 2) == [1]


def test_a_clock_that_steps_back_costs_nothing() -> None:
    window = DedupeWindow(max_age_ms=100, max_ids=1_000)
    for number, at in enumerate((1_000, 990, 1_001, 995, 1_080)):
        add(window, batch(number), arrival_ms=at)
    assert held(window, *range(5)) == [0, 1, 2, 3, 4]
    add(window, [], arrival_ms=1_096)
    assert held(window, *range(5)) == [0, 2, 4]


def test_a_clock_that_leapt_ahead_leaves_no_lasting_mark() -> None:
    window = DedupeWindow(max_age_ms=100, max_ids=1_000)
    add(window, batch(1), arrival_ms=10**12)
    add(window, batch(2), arrival_ms=1_000)
    add(window, batch(3), arrival_ms=1_100)
    assert held(window, 2, 3) == [2, 3], "right again, they count by the clock that is right"
    add(window, [], arrival_ms=1_101)
    assert held(window, 2, 3) == [3]


def test_more_steps_back_than_open_segments_remember_longer_and_never_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_OPEN_SEGMENTS", 2)
    window = DedupeWindow(max_age_ms=100, max_ids=1_000)
    for number, at in enumerate((300, 290, 280)):
        add(window, batch(number), arrival_ms=at)
    add(window, [], arrival_ms=385)
    assert held(window, 0, 1, 2) == [0, 1, 2], "the third arrived, so to speak, with the second"
    add(window, batch(2), arrival_ms=289, first_offset=7)
    assert window.find(batch(2)[0]).tolist() == [0]
    add(window, [], arrival_ms=391)
    assert held(window, 0, 1, 2) == [0]


def test_segments_are_filled_before_another_is_opened() -> None:
    table = DedupeTable(segment_ids=10)
    window = DedupeWindow(max_age_ms=10**6, max_ids=10**6, table=table)
    for number in range(100):
        add(window, batch(number), arrival_ms=5_000)
    assert len(table._segments) == 10
    add(window, batch(1_000), arrival_ms=5_100)
    for step in range(9):
        add(window, batch(2_000 + step), arrival_ms=4_000 + step)  # an older run beside a newer one
        add(window, batch(3_000 + step), arrival_ms=5_200 + step)
    assert len(table._segments) == 12


def test_segment_numbers_are_given_out_anew_when_used_up() -> None:
    table = DedupeTable(segment_ids=2, segments=8)
    window = DedupeWindow(max_age_ms=10**6, max_ids=6, table=table)
    ids = [*CROWD, *SPREAD, *random_ids(100)]
    for at in range(0, len(ids), 2):
        add(window, ids[at : at + 2], arrival_ms=at, first_offset=at)
        kept = range(max(0, at - 4), at + 2)
        assert [offset for offset in window.find(pack(ids)).tolist() if offset != NOT_SEEN] == list(kept)


def test_ids_are_told_apart_by_all_their_bits() -> None:
    """Ids that differ in one bit, in the same table: a false match would lose an event."""
    (base,) = random_ids(1)
    near = [(int.from_bytes(base, "big") ^ 1 << bit).to_bytes(DEDUPE_ID_BYTES, "big") for bit in range(128)]
    window = DedupeWindow(max_age_ms=10, max_ids=1_000)
    add(window, [base], arrival_ms=0)
    assert window.find(pack([base, *near])).tolist() == [0] + [NOT_SEEN] * 128
    add(window, near, arrival_ms=1, first_offset=1)
    assert window.find(pack([base, *near])).tolist() == list(range(129))


@pytest.mark.parametrize("of_a_batch", [1, 700, 10_000])
def test_it_grows_and_slides_like_a_dict(of_a_batch: int) -> None:
    """Up to 40,000 random ids at batches of any size: through several doublings, then sliding at a constant size."""
    ids = random_ids(90_000 if of_a_batch > 1 else 3_000)
    bound = len(ids) * 4 // 9
    window = DedupeWindow(max_age_ms=10**9, max_ids=bound, table=DedupeTable(segment_ids=12_345))
    for start in range(0, len(ids), of_a_batch):
        add(window, ids[start : start + of_a_batch], arrival_ms=start, first_offset=start)
    offsets = window.find(pack(ids)).tolist()
    assert bound <= len(window) < bound + of_a_batch
    assert offsets == [NOT_SEEN] * (len(ids) - len(window)) + list(range(len(ids) - len(window), len(ids)))


def test_an_id_takes_at_most_sixty_bytes_at_every_size() -> None:
    window = DedupeWindow(max_age_ms=10**9, max_ids=10**9)
    fixed = window.nbytes
    ids = random_ids(400_000)
    for start in range(0, len(ids), 10_000):
        add(window, ids[start : start + 10_000], arrival_ms=start)
        assert window.nbytes - fixed <= 60 * len(window)


def test_random_ids_find_a_slot_at_any_time() -> None:
    """A window that slides at seven tenths of its table doubles it, rather than look ids up one by one."""
    table = DedupeTable()
    window = DedupeWindow(max_age_ms=10**9, max_ids=21_000, table=table)
    ids = random_ids(300_000)
    for start in range(0, len(ids), 2_000):
        add(window, ids[start : start + 2_000], arrival_ms=start)
    assert not table._set_aside
    assert len(window) > 21_000
    assert table._slots.size == 65_536


def test_what_is_forgotten_gives_its_memory_back() -> None:
    window = DedupeWindow(max_age_ms=100, max_ids=10**9, table=DedupeTable(segment_ids=1_000))
    add(window, random_ids(100_000), arrival_ms=0)
    full = window.nbytes
    add(window, random_ids(1, seed=2), arrival_ms=101)
    assert full - window.nbytes >= 100_000 * 24


def test_offsets_that_do_not_fit_the_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="2 ids have 1 offsets"):
        DedupeWindow(max_age_ms=1, max_ids=1).add(pack(batch(1, 2)), offsets=[0], arrival_ms=0)


@given(st.lists(st.sampled_from(IDS), max_size=60))
def test_first_positions_name_the_first_occurrence(ids: list[bytes]) -> None:
    assert first_positions(pack(ids)).tolist() == [ids.index(i) for i in ids]


KINDS = st.lists(st.sampled_from(["curated", "duplicate", "dead_letter"]), min_size=1, max_size=30)


@given(KINDS)
def test_offsets_of_curated_records_are_read_from_the_runs(kinds: list) -> None:
    offsets = dict(enumerate(kinds, start=100))
    outcome = Outcome(0, 100, 99 + len(kinds), runs_of(list(offsets), offsets), b"", {})
    expected = [offset for offset, kind in offsets.items() if kind == "curated"]
    assert curated_offsets(outcome).tolist() == list(outcome.offsets("curated")) == expected


def test_an_outcome_whose_ids_and_runs_disagree_is_refused() -> None:
    outcome = Outcome(0, 5, 6, [Run("curated", 5, 2)], pack(batch(1)), {})
    with pytest.raises(InvariantError, match="5 to 6"):
        remember(DedupeWindow(max_age_ms=1, max_ids=1), outcome, arrival_ms=0)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.lists(st.sampled_from(IDS), unique=True, max_size=5)), max_size=20),
    st.integers(1, 10),
)
def test_a_rebuilt_window_equals_the_one_that_was_lost(batches: list[tuple[int, list[bytes]]], max_ids: int) -> None:
    """The log holds what was new; read from any point that the age covers, it leads to the same window."""
    lost, now, next_offset, written = DedupeWindow(max_age_ms=60, max_ids=max_ids), 0, 0, []
    for later, ids in batches:
        now += later
        repeats: dict[int, OutcomeKind] = {}
        new, offsets, firsts = [], [], []
        for offset, dedupe_id in enumerate(ids, start=next_offset):
            if dedupe_id in lost:
                repeats[offset] = "duplicate"
                firsts += lost.find(dedupe_id).tolist()
                continue
            new.append(dedupe_id)
            offsets.append(offset)
        lost.add(pack(new), offsets=offsets, arrival_ms=now)
        runs = runs_of(range(next_offset, next_offset + len(ids)), repeats)
        outcome = Outcome(0, next_offset, next_offset + len(ids), runs, pack(new), {}, firsts)
        next_offset += len(ids)
        written.append((now, encode_outcome(outcome)))
    rebuilt = DedupeWindow(max_age_ms=60, max_ids=max_ids)
    for at, value in written:
        if at >= now - 60:
            remember(rebuilt, decode_outcome(value), arrival_ms=at)
    assert len(rebuilt) == len(lost)
    assert rebuilt.horizon_ms == lost.horizon_ms
    assert rebuilt.find(pack(IDS)).tolist() == lost.find(pack(IDS)).tolist()


@given(st.lists(st.binary(min_size=DEDUPE_ID_BYTES, max_size=DEDUPE_ID_BYTES)))
def test_packed_ids_are_read_back(ids: list[bytes]) -> None:
    assert unpack(pack(ids)) == ids
