"""The rows of one partition: what is waiting, what is due, and what a pending plan asks for."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.errors import InvariantError
from sinks.partition import MAX_BLOCK_BYTES, MAX_WAITING_BYTES, PartitionBuffer
from sinks.plan import Plan
from sinks.row import Row
from sinks.writer import Block
from tests.sinks.curated import DAY_MS, NOON_MS, row, rows


class BufferAgainstLog(RuleBasedStateMachine):
    """Rows come with gaps in their offsets and over days; every row leaves once, in order, in the block planned."""

    @initialize(planned=st.none() | st.integers(1, 5))
    def start(self, planned: int | None) -> None:
        self.log: list[Row] = []
        self.taken: list[Row] = []
        self.now = 0.0
        self.offset = 100
        self.day = 0
        self.block: Block | None = None
        self.planned: Plan | None = None
        if planned is not None:
            # The plan names the first records that will come: gaps of one, for its offsets must be known.
            self.planned = Plan(101, 100 + planned, planned, 2)
        self.gap_free = planned or 0
        self.buffer = PartitionBuffer("t", 0, 100, pending=self.planned)

    @rule(gap=st.integers(1, 3), days=st.sampled_from([0, 0, 0, 0, 1]), later=st.floats(0, 1))
    def add(self, gap: int, days: int, later: float) -> None:
        if self.gap_free:
            gap, days, self.gap_free = 1, 0, self.gap_free - 1
        self.offset += gap
        self.day += days
        self.now += later
        new = row(self.offset, arrival_ms=NOON_MS + self.day * DAY_MS)
        self.buffer.extend([new], now=self.now)
        self.log.append(new)

    @precondition(lambda self: self.block is None)
    @rule(max_rows=st.integers(1, 4))
    def plan(self, max_rows: int) -> None:
        waiting = len(self.log) - len(self.taken)
        due = self.buffer.due(now=self.now + 10, max_rows=max_rows, linger_s=5)
        if self.planned is not None:
            assert due == (waiting >= self.planned.rows)
        else:
            assert due == (waiting > 0)
        if not due:
            return
        block = self.buffer.plan_block(max_rows=max_rows)
        expected = self.log[len(self.taken) : len(self.taken) + len(block.rows)]
        assert list(block.rows) == expected
        assert (block.plan.first, block.plan.last, block.plan.rows) == (
            expected[0].offset,
            expected[-1].offset,
            len(expected),
        )
        assert block.uncertain == (self.planned is not None)
        if self.planned is not None:
            assert block.plan == self.planned
        else:
            assert len(expected) <= max_rows
            assert len({r.arrival_ms // DAY_MS for r in expected}) == 1
            left = self.log[len(self.taken) + len(expected) :]
            full = len(expected) == max_rows
            assert full or not left or left[0].arrival_ms // DAY_MS != expected[0].arrival_ms // DAY_MS
        self.block = block

    @precondition(lambda self: self.block is not None)
    @rule()
    def give_back(self) -> None:
        assert self.block is not None
        self.buffer.give_back(self.block)
        self.block = None

    @precondition(lambda self: self.block is not None)
    @rule()
    def store(self) -> None:
        assert self.block is not None
        self.taken += self.block.rows
        self.block = self.planned = None

    @invariant()
    def nothing_is_lost(self) -> None:
        in_hand = list(self.block.rows) if self.block else []
        assert [*self.taken, *in_hand, *self.buffer.waiting] == self.log
        assert self.buffer.waiting_bytes == sum(len(row.value or b"") for row in self.buffer.waiting)


TestBufferAgainstLog = BufferAgainstLog.TestCase


def test_a_block_is_due_when_full_or_old() -> None:
    buffer = PartitionBuffer("t", 0, 0)
    assert not buffer.due(now=100, max_rows=1, linger_s=0)
    buffer.extend([row(0)], now=10)
    buffer.extend([row(1)], now=11)
    assert not buffer.due(now=11, max_rows=3, linger_s=2)
    assert buffer.due(now=12, max_rows=3, linger_s=2), "the oldest row has waited long enough"
    assert buffer.due(now=11, max_rows=2, linger_s=2)


def test_a_pending_plan_waits_for_all_of_its_records_whatever_the_time() -> None:
    buffer = PartitionBuffer("t", 0, 0, pending=Plan(0, 2, 3))
    for record in rows(0, 2):
        buffer.extend([record], now=0)
    assert not buffer.due(now=10_000, max_rows=1, linger_s=0)
    buffer.extend([row(2)], now=0)
    assert buffer.due(now=0, max_rows=10, linger_s=100)
    buffer.extend([row(3)], now=0)
    block = buffer.plan_block(max_rows=1)
    assert [r.offset for r in block.rows] == [0, 1, 2]
    assert block.uncertain
    assert buffer.pending is None
    following = buffer.plan_block(max_rows=10)
    assert (following.plan, following.uncertain) == (Plan(3, 3, 1), False)


def test_a_planned_block_may_cross_midnight() -> None:
    """It was written so: other rows under its token would be dropped without a word."""
    buffer = PartitionBuffer("t", 0, 0, pending=Plan(0, 1, 2))
    buffer.extend([row(0)], now=0)
    buffer.extend([row(1, arrival_ms=NOON_MS + DAY_MS)], now=0)
    assert len(buffer.plan_block(max_rows=10).rows) == 2


@pytest.mark.parametrize("plan", [Plan(1, 2, 2), Plan(0, 2, 2), Plan(0, 9, 2)])
def test_a_plan_for_other_records_is_refused(plan: Plan) -> None:
    buffer = PartitionBuffer("t", 4, 0, pending=plan)
    for record in rows(0, 2):
        buffer.extend([record], now=0)
    with pytest.raises(InvariantError, match="other records"):
        buffer.plan_block(max_rows=10)


def test_a_block_is_bounded_in_bytes() -> None:
    buffer = PartitionBuffer("t", 0, 0)
    big = row(0, properties="x" * (MAX_BLOCK_BYTES // 3))
    for offset in range(5):
        buffer.extend([Row(offset, big.arrival_ms, big.value)], now=0)
    assert [len(buffer.take(max_rows=100)) for _ in range(3)] == [2, 2, 1]


def test_one_row_larger_than_a_block_still_goes() -> None:
    buffer = PartitionBuffer("t", 0, 0)
    buffer.extend([Row(0, NOON_MS, b"x" * (MAX_BLOCK_BYTES + 1))], now=0)
    buffer.extend([row(1)], now=0)
    assert [r.offset for r in buffer.take(max_rows=100)] == [0]


def test_rows_wait_within_bounds_of_number_and_bytes() -> None:
    buffer = PartitionBuffer("t", 0, 0)
    for record in rows(0, 3):
        buffer.extend([record], now=0)
    assert buffer.full(max_rows=1)
    assert not buffer.full(max_rows=2)
    buffer.extend([Row(4, NOON_MS, b"x" * MAX_WAITING_BYTES)], now=0)
    assert buffer.full(max_rows=1_000)


def test_a_partition_with_a_plan_pending_is_never_full() -> None:
    """It would wait for rows that it does not let in: the plan may be of times with larger blocks."""
    buffer = PartitionBuffer("t", 0, 0, pending=Plan(0, 9, 10))
    for record in rows(0, 9):
        buffer.extend([record], now=0)
    assert not buffer.full(max_rows=1)


def test_rows_that_are_refused_are_taken_in_halves_until_blocks_go_through_again() -> None:
    buffer = PartitionBuffer("t", 0, 0)
    for record in rows(0, 16):
        buffer.extend([record], now=0)
    taken = []
    block = buffer.plan_block(max_rows=16)
    for _ in range(4):
        taken.append(len(block.rows))
        buffer.narrow(block)
        assert buffer.due(now=0, max_rows=16, linger_s=100), "what is looked for is not waited for"
        block = buffer.plan_block(max_rows=16)
        assert not block.uncertain
    assert taken == [16, 8, 4, 2]
    assert [r.offset for r in block.rows] == [0]
    sizes = []
    while buffer.waiting:
        buffer.widen(max_rows=16)
        sizes.append(len(buffer.plan_block(max_rows=16).rows))
    assert sizes == [2, 4, 8, 1]


def test_a_block_waits_at_random_up_to_a_bound_that_doubles() -> None:
    longest = [0.0] * 8
    for _ in range(300):
        buffer = PartitionBuffer("t", 0, 0)
        for number in range(len(longest)):
            wait_s = buffer.put_off(now=10.0)
            assert buffer.retry_at == 10.0 + wait_s
            longest[number] = max(longest[number], wait_s)
    for bound_s, seen_s in zip((0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0), longest, strict=True):
        assert 0.9 * bound_s < seen_s <= bound_s
