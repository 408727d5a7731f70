"""Who runs on a state folder: the process that holds its lock. Looks only; taking the lock, even for a moment, could
make a start at that moment fail.

The lock file names its holder and stays behind when that ends, so the number alone proves nothing: a process counts
as holder only while it has this very file open.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from infra import pids
from infra.state import LOCK_FILE

# As `infra.state` names it.
_COMMAND = "up"


def of(folder: Path) -> int | None:
    """The holder's pid, or None."""
    path = folder / LOCK_FILE
    try:
        text = path.read_text(encoding="ascii").strip()
        identity = path.stat()
    except (OSError, UnicodeDecodeError):
        return None
    # A damaged file may hold any number; the kernel takes none larger.
    if not text.isdecimal() or not 0 < int(text) < 1 << 31 or not pids.alive(int(text)):
        return None
    pid = int(text)
    if not Path("/proc/self/fd").is_dir():
        return pid if _is_locked(path) else None
    return pid if _has_open(pid, identity) else None


def is_up(pid: int) -> bool:
    """Whether the process looks like `sluice up`."""
    return _COMMAND in pids.command(pid).split()


def _has_open(pid: int, identity: os.stat_result) -> bool:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            found = descriptor.stat()
        except OSError:
            continue  # closed meanwhile
        if (found.st_dev, found.st_ino) == (identity.st_dev, identity.st_ino):
            return True
    return False


def _is_locked(path: Path) -> bool:
    """For systems without /proc, where there is no other way than to try."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
