"""Rows of one partition of a topic: waiting, and the block in hand. Decides when a block is due; sends nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, takewhile

from core.errors import InvariantError
from sinks.plan import Plan
from sinks.row import Row
from sinks.writer import Block

_DAY_MS = 86_400_000
# The engine forms one block of an insert only below 256 MB and 1,048,449 rows.
MAX_BLOCK_BYTES = 32 * 1024 * 1024
# Rows that wait beyond this are not asked for yet: as much as goes out while the next block is gathered, and a row.
MAX_WAITING_BYTES = 2 * MAX_BLOCK_BYTES
_MAX_WAITING_BLOCKS = 2
# Shorter asks a server that starts again for nothing; a longest wait beyond some seconds shows in freshness.
RETRY_FIRST_S = 0.2
RETRY_MAX_S = 5.0
_MOST_DOUBLINGS = 10


@dataclass(slots=True)
class PartitionBuffer:
    """`next_offset` is where the partition continues once everything in hand is stored.

    `pending` is a plan found at assignment: its exact records are due first, and may already have been sent.
    """

    topic: str
    number: int
    next_offset: int
    pending: Plan | None = None
    waiting: list[Row] = field(default_factory=list)
    waiting_bytes: int = 0
    waiting_since: float = 0.0
    block: Block | None = None
    retry_at: float = 0.0
    failures: int = 0  # tries that failed since a block was stored
    at_most: int | None = None  # rows in a block, while rows that are refused are looked for
    committed: bool = True  # whether `next_offset` is what the group has committed

    def extend(self, rows: Sequence[Row], *, now: float) -> None:
        """Add rows that follow those that wait, in offset order."""
        if not self.waiting:
            self.waiting_since = now
        self.waiting += rows
        self.waiting_bytes += _size(rows)

    def full(self, *, max_rows: int) -> bool:
        """Whether no more rows should come. Never before a pending plan has all of its own."""
        if self.pending is not None:
            return False
        return len(self.waiting) >= max_rows * _MAX_WAITING_BLOCKS or self.waiting_bytes >= MAX_WAITING_BYTES

    def due(self, *, now: float, max_rows: int, linger_s: float) -> bool:
        if self.pending is not None:
            return len(self.waiting) >= self.pending.rows
        if self.at_most is not None and self.waiting:
            return True
        return bool(self.waiting) and (len(self.waiting) >= max_rows or now - self.waiting_since >= linger_s)

    def take(self, *, max_rows: int) -> list[Row]:
        """Remove the next block's rows: the pending plan's, or as many of one arrival day as fit."""
        if self.pending is not None:
            return self._take_planned(self.pending)
        rows = self.waiting[:max_rows]
        day = rows[0].arrival_ms // _DAY_MS
        if {row.arrival_ms // _DAY_MS for row in rows} != {day}:
            rows = list(takewhile(lambda row: row.arrival_ms // _DAY_MS == day, rows))
        if _size(rows) > MAX_BLOCK_BYTES:
            fits = sum(1 for size in accumulate(map(_size_of_one, rows)) if size <= MAX_BLOCK_BYTES)
            rows = rows[: max(1, fits)]
        del self.waiting[: len(rows)]
        return rows

    def _take_planned(self, plan: Plan) -> list[Row]:
        rows = self.waiting[: plan.rows]
        del self.waiting[: plan.rows]
        if rows[0].offset != plan.first or rows[-1].offset != plan.last:
            raise InvariantError(
                f"partition {self.number}: the plan {plan} names other records than Kafka has: "
                f"{rows[0].offset} to {rows[-1].offset}"
            )
        return rows

    def plan_block(self, *, max_rows: int) -> Block:
        """The next block, its plan not committed yet unless it was pending."""
        resumed = self.pending
        rows = self.take(max_rows=max_rows if self.at_most is None else min(max_rows, self.at_most))
        self.waiting_bytes -= _size(rows)
        plan = resumed or Plan(rows[0].offset, rows[-1].offset, len(rows))
        self.pending = None
        return Block(self.number, rows, plan, uncertain=resumed is not None)

    def give_back(self, block: Block) -> None:
        """Put the rows of a block that was never sent back in front."""
        self.waiting[:0] = block.rows
        self.waiting_bytes += _size(block.rows)
        self.pending = block.plan if block.uncertain else None

    def narrow(self, block: Block) -> None:
        """Put the rows of a block that was refused back in front, to be taken in two halves."""
        self.give_back(block)
        self.pending = None
        self.at_most = len(block.rows) // 2

    def put_off(self, *, now: float) -> float:
        """Have the block wait before its next try; returns for how many seconds.

        At random up to a bound that doubles, so that inserts which got into each other's way do not meet again ("full
        jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        """
        bound_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(self.failures, _MOST_DOUBLINGS))
        wait_s = random.uniform(0, bound_s)  # noqa: S311 (spreads load, guards nothing)
        self.failures += 1
        self.retry_at = now + wait_s
        return wait_s

    def widen(self, *, max_rows: int) -> None:
        """A block went through: the next may be twice as large."""
        if self.at_most is not None:
            self.at_most = self.at_most * 2 if self.at_most * 2 < max_rows else None


def _size(rows: Sequence[Row]) -> int:
    """Bytes that they take, about."""
    return sum([len(row.value) for row in rows if row.value])


def _size_of_one(row: Row) -> int:
    return len(row.value or b"")
