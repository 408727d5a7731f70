"""A bounded cache for what repeats. Lookups run in C: `map(memo.__getitem__, keys)`."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(dict[K, V]):
    """Remembers `compute(key)` for the keys of late, at most twice `size` of them.

    Two generations instead of an exact LRU: a hit costs one dict lookup and moves nothing. When the young generation
    is full it becomes the old one, and what is asked for again moves back.
    """

    def __init__(self, compute: Callable[[K], V], *, size: int, cut: Callable[[K], K] | None = None) -> None:
        """`cut` bounds a key that is longer than any honest one: it is known by what is left of it."""
        super().__init__()
        self._cut = cut
        self._compute = compute
        self._size = size
        self._old: dict[K, V] = {}
        self.misses = 0

    def __missing__(self, key: K) -> V:
        if self._cut is not None:
            short = self._cut(key)
            if short != key:
                return self[short]
        if key in self._old:
            value = self._old.pop(key)
        else:
            self.misses += 1
            value = self._compute(key)
        if len(self) >= self._size:
            self._old = dict(self)
            self.clear()
        self[key] = value
        return value

    @property
    def remembered(self) -> int:
        return len(self) + len(self._old)

    def forget(self) -> None:
        self.clear()
        self._old.clear()
