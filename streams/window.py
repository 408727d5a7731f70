"""The dedupe window of one partition: which event ids were seen, bounded by time and by count.

Time is arrival time (the raw log's), so that a rebuilt window equals the one that was lost. Ids enter only after the
transaction that wrote them committed: an aborted batch is processed again and must not meet its own ids.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from core.ids import DEDUPE_ID_BYTES


class DedupeWindow:
    """Not thread-safe: one batch is processed at a time."""

    def __init__(self, *, max_age_ms: int, max_ids: int) -> None:
        self._max_age_ms = max_age_ms
        self._max_ids = max_ids
        self._ids: set[bytes] = set()
        self._added: deque[tuple[int, list[bytes]]] = deque()  # (arrival time, ids), oldest first
        self._again: Counter[bytes] = Counter()  # how many older batches hold an id besides its latest

    def __contains__(self, dedupe_id: bytes) -> bool:
        return dedupe_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def horizon_ms(self) -> int | None:
        """Arrival time of the oldest remembered ids; None while empty."""
        return self._added[0][0] if self._added else None

    def add(self, dedupe_ids: list[bytes], *, arrival_ms: int) -> None:
        """Remember ids of a committed batch and forget what the bounds no longer cover."""
        if dedupe_ids:
            # Rare: an id that was forgotten under tighter bounds and seen again, when the window is rebuilt under wider
            # ones. Its older batch must not take it away.
            self._again.update(self._ids.intersection(dedupe_ids))
            self._ids.update(dedupe_ids)
            self._added.append((arrival_ms, dedupe_ids))
        while self._added and (
            self._added[0][0] < arrival_ms - self._max_age_ms
            # A batch is forgotten whole: never below the bound while a later batch would do.
            or len(self._ids) - len(self._added[0][1]) >= self._max_ids
        ):
            self._forget(self._added.popleft()[1])

    def _forget(self, dedupe_ids: list[bytes]) -> None:
        if not self._again:
            self._ids.difference_update(dedupe_ids)
            return
        for dedupe_id in dedupe_ids:
            if self._again[dedupe_id] > 1:
                self._again[dedupe_id] -= 1
            elif dedupe_id in self._again:
                del self._again[dedupe_id]
            else:
                self._ids.discard(dedupe_id)


def unpack(packed: bytes) -> list[bytes]:
    """The ids of an outcome record."""
    return [packed[i : i + DEDUPE_ID_BYTES] for i in range(0, len(packed), DEDUPE_ID_BYTES)]


def pack(dedupe_ids: Iterable[bytes]) -> bytes:
    return b"".join(dedupe_ids)
