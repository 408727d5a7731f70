"""What failpoints cost when they are off: `.venv/bin/python -m bench.failpoints`.

A failpoint is reached once a batch, not once an event; even so it is set against the cheapest thing an event can cost.
"""

from __future__ import annotations

from pathlib import Path

from bench.timing import cpu_us, show
from core import failpoints
from core.failpoints import hit

_CALLS = 200_000


def _nothing() -> None:
    pass


def _call_nothing() -> None:
    for _ in range(_CALLS):
        _nothing()


def _call_hit() -> None:
    for _ in range(_CALLS):
        hit("sink.after_insert")


def main() -> None:
    failpoints.arm("", state_dir=Path())
    empty = cpu_us(_call_nothing, events=_CALLS)
    off = cpu_us(_call_hit, events=_CALLS)
    show([("an empty function", empty), ("a failpoint that is off", off)], against="an empty function")
    per_batch = 3 * off
    print(f"\nthree a batch of 10,000 events: {per_batch / 10_000 * 1000:.4f} ns an event")


if __name__ == "__main__":
    main()
