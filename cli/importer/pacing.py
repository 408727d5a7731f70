"""Not more than so many events a second, evenly: a token bucket that says how long to wait and does not wait itself."""

from __future__ import annotations

from core.clock import Clock


class TokenBucket:
    """`rate` tokens a second flow in, and no more than `burst` are kept.

    What is taken beyond that is owed: whoever takes it waits until it has flowed in, and the next one after that. So
    the rate holds from the second call on, whatever the sizes are.
    """

    def __init__(self, rate: float, *, burst: float, clock: Clock) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._at = clock.monotonic()

    def take(self, tokens: int) -> float:
        """Seconds to wait before doing what the tokens are for."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - tokens
        self._at = now
        return max(0.0, -self._tokens / self._rate)
