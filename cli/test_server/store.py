"""The events that were received, in memory: the latest ones, and counts of all. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Iterator

from cli.test_server.item import Item, Kind, Outcome


class Store:
    """At most `max_events` items; the oldest go first and stay counted. Belongs to one event loop."""

    def __init__(self, *, max_events: int) -> None:
        self._max_events = max_events
        self._items: deque[Item] = deque()
        self._kinds: Counter[Kind] = Counter()
        self._outcomes: Counter[Outcome] = Counter()
        self._forgotten = 0
        self._changed = asyncio.Event()

    def add(self, items: Iterable[Item]) -> None:
        for item in items:
            self._items.append(item)
            self._kinds[item.kind] += 1
            self._outcomes[item.outcome] += 1
        while len(self._items) > self._max_events:
            self._items.popleft()
            self._forgotten += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def reset(self) -> None:
        self._items.clear()
        self._kinds.clear()
        self._outcomes.clear()
        self._forgotten = 0

    def items(self, kind: Kind | None = None) -> Iterator[Item]:
        """Oldest first."""
        return (item for item in self._items if kind in {None, item.kind})

    def counts(self) -> dict[str, int]:
        """`total` = `good` + `bad` + `duplicate`; `bad` = `dead_letter` + `rejected` + `consent_dropped`."""
        return {
            "total": self._kinds.total(),
            "good": self._kinds["good"],
            "bad": self._kinds["bad"],
            "duplicate": self._kinds["duplicate"],
            "dead_letter": self._outcomes["dead_letter"],
            "rejected": self._outcomes["rejected"],
            "consent_dropped": self._outcomes["consent_dropped"],
            "forgotten": self._forgotten,
        }

    async def wait_for_more(self, *, timeout_s: float) -> bool:
        """Whether anything was added within the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
