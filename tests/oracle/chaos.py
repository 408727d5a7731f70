"""Faults at random, from a seed: kill -9, and freezes by SIGSTOP, over all processes of a stack."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cli.stack import RunningStack
from infra.supervisor import Supervisor


@dataclass(slots=True)
class Chaos:
    """Runs in a thread until `faults` are done. Each fault waits for the last victim to have been started again."""

    stack: RunningStack
    seed: int
    faults: int
    between_s: tuple[float, float] = (0.3, 2.5)
    freeze_share: float = 0.15
    freeze_s: tuple[float, float] = (0.5, 4.0)
    victims: Sequence[str] = ()
    done: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self, *, timeout_s: float) -> None:
        assert self._thread is not None
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"only {sum(self.done.values())} of {self.faults} faults in {timeout_s:g} s"

    def _run(self) -> None:
        random_ = random.Random(self.seed)
        began = time.monotonic()
        names = sorted(self.victims or self._owners())
        for _ in range(self.faults):
            time.sleep(random_.uniform(*self.between_s))
            name = random_.choice(names)
            how = "freeze" if random_.random() < self.freeze_share else "kill"
            self.log.append(f"{time.monotonic() - began:6.1f} s  {how} {name}")
            self._strike(name, how, random_.uniform(*self.freeze_s))
            self.done[f"{how} {name}"] += 1

    def _strike(self, name: str, how: str, seconds: float) -> None:
        supervisor = self._owners()[name]
        if how == "kill":
            supervisor.kill(name)
            return
        supervisor.freeze(name)
        time.sleep(seconds)
        supervisor.thaw(name)

    def _owners(self) -> dict[str, Supervisor]:
        return {s.name: owner for owner in (self.stack.engines, self.stack.flow) for s in owner.status()}
