"""Which core a process runs on, and what it has used of it."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def pinned(core: int) -> None:
    """This process onto `core`, as far as the machine has as many."""
    os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, all its threads, kernel included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
