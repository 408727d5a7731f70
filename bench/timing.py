"""CPU time of a call per event: the median of repeated runs, because these machines are shared."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable


def cpu_us(call: Callable[[], object], *, events: int, runs: int = 7) -> float:
    """Microseconds of CPU time per event."""
    call()
    gc.collect()
    # Processes of ours keep the collector calm, or would like to: what it costs depends on all that is alive.
    gc.disable()
    times = []
    for _ in range(runs):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    gc.enable()
    return statistics.median(times) / events * 1e6


def show(rows: list[tuple[str, float]], *, against: str = "") -> None:
    """Print rows of (name, µs); `against` names the row that the ratios refer to."""
    base = dict(rows).get(against, 0.0)
    for name, value in rows:
        ratio = f"  {value / base:6.2f} x {against}" if base and name != against else ""
        print(f"{name:44} {value:9.3f} us/event{ratio}")
