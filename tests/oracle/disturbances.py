"""What is done to stream workers and when, from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from core import kafka
from tests.oracle.fleet import Fleet

Kind = Literal["kill", "short freeze", "long freeze", "away", "replaced", "twin"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_SESSION_S = kafka.SESSION_TIMEOUT_MS / 1000
_TRANSACTION_S = kafka.TRANSACTION_TIMEOUT_MS / 1000
# How long a victim is frozen or away. A long freeze outlasts the session, so that another worker takes over and the
# frozen one wakes as a zombie: some with their transaction still alive, some after it was given up.
_SECONDS: dict[Kind, tuple[float, float]] = {
    "kill": (0, 0),
    "short freeze": (0.3, _SESSION_S - 2),
    "long freeze": (_SESSION_S + 0.7, _TRANSACTION_S + 4),
    "away": (_SESSION_S + 1, _SESSION_S + 4),
    "replaced": (0, 0),
    "twin": (3, _SESSION_S + 5),
}


@dataclass(frozen=True, slots=True)
class Disturbance:
    """`draw` (0 to 1) chooses the victim among the workers that are undisturbed then."""

    at_s: float
    kind: Kind
    seconds: float
    draw: float

    def strike(self, fleet: Fleet) -> bool:
        """Do it; False if there is nobody to do it to."""
        running = [w for w in fleet.workers if w.undisturbed and w.child.poll() is None]
        ready = [w for w in running if w.child.is_ready()]
        # Who was never ready cannot be missed: nobody starts a twin of it.
        able = ready if ready or self.kind == "twin" else running
        if not able:
            return False
        victim = able[int(self.draw * len(able))]
        fleet.fault(self.kind, victim, self.seconds)
        if self.kind == "kill":
            fleet.kill(victim)
        elif self.kind == "away":
            fleet.kill(victim, away_s=self.seconds)
        elif self.kind == "replaced":
            fleet.replace(victim)
        elif self.kind == "twin":
            fleet.twin(victim, self.seconds)
        else:
            fleet.freeze(victim, self.seconds)
        return True


def schedule(seed: int, kinds: Sequence[Kind], *, between_s: tuple[float, float]) -> list[Disturbance]:
    """All of `kinds` once each, in an order and at moments that follow from the seed."""
    random_ = random.Random(f"disturbances:{seed}")
    shuffled = random_.sample(kinds, len(kinds))
    out, at_s = [], 0.0
    for kind in shuffled:
        at_s += random_.uniform(*between_s)
        out.append(Disturbance(at_s, kind, random_.uniform(*_SECONDS[kind]), random_.random()))
    return out
