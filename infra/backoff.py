"""How long to wait before a fallen child is started again."""

from __future__ import annotations

# Shorter gains nothing over a process's own start time; longer first waits would show in every takeover.
FIRST_S = 0.2
# Longer leaves a repaired dependency unused; shorter burns a core on a child that cannot start.
LONGEST_S = 15.0
# A child that lived this long had a working start: its next fall is a new story.
STEADY_AFTER_S = 30.0


class Backoff:
    """0.2 s, doubled at each fall up to 15 s, from the start again after a life of 30 s."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait after a child that lived `lived_s`."""
        if lived_s >= STEADY_AFTER_S:
            self._next_s = FIRST_S
        delay = self._next_s
        self._next_s = min(delay * 2, LONGEST_S)
        return delay
