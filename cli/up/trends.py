"""What the figures of the last minute say together: rates, and what grows. Time comes in from outside."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from cli.up.snapshot import Figures, Rates

_KEPT_S = 90.0
# Shorter makes rates jump with every poll; longer shows a stop late.
_RATE_S = 5.0
_LAG_S = 30.0
_SHARE_S = 60.0
# Below this a lag that grows is only the events under way.
_LAG_EVENTS = 1_000
# Fewer events say nothing about a share.
_SHARE_EVENTS = 50
_DISK_S = 60.0


class Trends:
    def __init__(self) -> None:
        self._samples: deque[tuple[float, Figures]] = deque()

    def add(self, now: float, figures: Figures) -> None:
        self._samples.append((now, figures))
        while now - self._samples[0][0] > _KEPT_S:
            self._samples.popleft()

    def rates(self) -> Rates:
        return Rates(**{name: self._rate(name) for name in Rates.__struct_fields__})

    def growing(self, name: str) -> int | None:
        """The figure, if it has been large for a quarter of a minute and grown at each look. A burst has not."""
        values = [self._value(name, ago) for ago in (_LAG_S, _LAG_S / 2, _LAG_S / 4, 0.0)]
        known = [value for value in values if value is not None]
        if len(known) < len(values) or known[1] < _LAG_EVENTS:
            return None
        return known[-1] if all(after > before for before, after in pairwise(known)) else None

    def stuck(self, waiting: str, *, moves: tuple[str, ...]) -> int | None:
        """The number of `waiting`, if events have been waiting for half a minute while all of `moves` stood still."""
        lags = [self._value(waiting, ago) for ago in (_LAG_S, _LAG_S / 2, 0.0)]
        still = all(self._value(name, _LAG_S) == self._value(name, 0.0) is not None for name in moves)
        return lags[-1] if still and all(lags) else None

    def dead_letter_share(self) -> float | None:
        """The share of dead letters among the events of the last minute; None if there were few."""
        decided = [self._gained(name, _SHARE_S) for name in ("curated", "duplicates", "dead_letters")]
        if None in decided:
            return None
        total = sum(count for count in decided if count is not None)
        return (decided[2] or 0) / total if total >= _SHARE_EVENTS else None

    def disk_full_in_s(self) -> float | None:
        """When the disk is full if it goes on like in the last minute; None if it does not fill up."""
        free, before = self._value("disk_free_bytes", 0.0), self._value("disk_free_bytes", _DISK_S)
        if free is None or before is None or free >= before:
            return None
        return free * _DISK_S / (before - free)

    def _rate(self, name: str) -> float | None:
        """By the samples at both ends, so that a late one does not make the rate jump."""
        if not self._samples:
            return None
        newest_at, newest = self._samples[-1]
        oldest = next(
            (s for s in self._samples if newest_at - s[0] <= _RATE_S and getattr(s[1], name) is not None), None
        )
        last = getattr(newest, name)
        if oldest is None or last is None or newest_at - oldest[0] < 1.0:
            return None
        # Counts start anew when the follower does.
        return float(max(0, last - getattr(oldest[1], name)) / (newest_at - oldest[0]))

    def _gained(self, name: str, over_s: float) -> int | None:
        now = self._value(name, 0.0)
        # A young stack has no minute behind it: then the whole of its life counts.
        then = self._value(name, over_s)
        if then is None and self._samples:
            then = next((v for _, f in self._samples if (v := getattr(f, name)) is not None), None)
        return None if now is None or then is None else max(0, now - then)

    def _value(self, name: str, ago_s: float) -> int | None:
        """The figure `ago_s` seconds before the newest sample; None if that is not known."""
        if not self._samples or self._samples[-1][0] - self._samples[0][0] < ago_s:
            return None
        at = self._samples[-1][0] - ago_s
        found: int | None = None
        for when, figures in self._samples:
            if when > at:
                break
            found = getattr(figures, name)
        return found
