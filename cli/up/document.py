"""The status document: what `sluice up` writes into its state folder for other processes, and how they read it.

Written whole and renamed, so a reader never sees half of one. Not forced to disk: after a crash it is worth nothing,
and whether its writer lives is asked of the kernel (`cli.up.holder`), never of the document.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from cli.up import holder
from cli.up.snapshot import FORMAT, Snapshot
from core.clock import Clock, SystemClock

_FILE = "status.json"
# It is written every second. A writer that is this late is frozen, or the machine is.
STALE_S = 8.0

# live: its writer runs. silent: it runs, but wrote nothing for a while. starting: it runs and wrote nothing yet.
# other: what runs there is no `sluice up`, or one of another version. none: nothing runs.
Condition = Literal["live", "silent", "starting", "other", "none"]


@dataclass(frozen=True, slots=True)
class Found:
    """`pid` runs on the folder now. The snapshot may be there without it: then it is what a crash left behind."""

    condition: Condition
    pid: int | None = None
    snapshot: Snapshot | None = None


def write(folder: Path, snapshot: Snapshot) -> None:
    """Raises OSError, as when the disk is full."""
    path = folder / _FILE
    part = path.with_suffix(".json.tmp")
    part.touch(mode=0o600)
    part.write_bytes(msgspec.json.encode(snapshot))
    part.replace(path)


def remove(folder: Path, *, pid: int) -> None:
    """Remove what `pid` wrote; a successor's document stays."""
    found = _read(folder)
    if found is not None and found.pid == pid:
        (folder / _FILE).unlink(missing_ok=True)


def find(folder: Path, *, clock: Clock | None = None) -> Found:
    """What runs on the folder, and what it says of itself."""
    now = (clock or SystemClock()).monotonic()
    pid = holder.of(folder)
    snapshot = _read(folder)
    if pid is None:
        return Found("none", None, snapshot)
    if snapshot is None or snapshot.pid != pid:
        # Written by a predecessor, or by nobody: a demo writes none, and a start has not come so far.
        return Found("starting" if holder.is_up(pid) else "other", pid)
    if not 0 <= now - snapshot.monotonic_s <= STALE_S:
        return Found("silent", pid, snapshot)
    return Found("live", pid, snapshot)


def as_json(snapshot: Snapshot) -> dict[str, object]:
    """The snapshot with what follows from it, as every `--json` of `up` and `status` prints it."""
    return {
        "health": snapshot.health,
        "caught_up": snapshot.caught_up,
        "freshness_s": snapshot.freshness_s,
        **msgspec.to_builtins(snapshot),
    }


def _read(folder: Path) -> Snapshot | None:
    try:
        snapshot = msgspec.json.decode((folder / _FILE).read_bytes(), type=Snapshot)
    except (OSError, msgspec.DecodeError):
        return None
    return snapshot if snapshot.format == FORMAT else None
