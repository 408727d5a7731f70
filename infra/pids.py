"""What can be learned about a process by its number. Knows nothing of who started it."""

from __future__ import annotations

import os
from pathlib import Path

_COMMAND_CHARACTERS = 120


def alive(pid: int) -> bool:
    """Whether a process has this number; a zombie counts as gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return not Path("/proc/self").exists()  # it ended just now, or there is no /proc to tell a zombie by


def command(pid: int) -> str:
    """The command line, unshortened; empty if it cannot be read."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def describe(pid: int) -> str:
    """For messages: `pid 4711 (java -Xmx384m …)`."""
    text = command(pid)
    if len(text) > _COMMAND_CHARACTERS:
        text = text[:_COMMAND_CHARACTERS] + "…"
    return f"pid {pid} ({text})" if text else f"pid {pid}"
