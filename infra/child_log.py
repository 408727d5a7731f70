"""The log file of one child: bounded at each start, read back for the line that explains an end.

The child writes the file itself (it is its standard output), so nothing is lost when the parent is killed, and
nothing here can bound it while the child runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

import msgspec

# Enough to hold days of a calm process; two files of it are kept.
ROTATE_BYTES = 16 * 1024 * 1024
_TAIL_BYTES = 64 * 1024
_LINE_CHARACTERS = 300
_ERROR = re.compile(r"\b(ERROR|FATAL|CRITICAL|[Ee]rror|\w*(Error|Exception)\b|cannot be)")
# Below WARN nothing is an error, whatever it mentions; nor is a line of a Python traceback that says where.
_HARMLESS = re.compile(r'^\s*File |\b(INFO|DEBUG|TRACE)\b|"level":"(info|debug)"')
# Java's stack frames: dozens of lines that push the message out of sight.
_FRAME = re.compile(r"^\s+(at |\.\.\. \d+ more)")


class ChildLog:
    def __init__(self, path: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.path = path
        self._rotate_bytes = rotate_bytes
        self._start = 0

    def open_for_child(self) -> BinaryIO:
        """The file to hand to a new child. What earlier ones wrote is kept, but no longer read by `tail`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and self.path.stat().st_size > self._rotate_bytes:
            self.path.replace(self.path.with_name(self.path.name + ".1"))
        file = self.path.open("ab")
        self._start = file.tell()
        return file

    def tail(self, lines: int = 20) -> list[str]:
        """The last lines that the latest child wrote and that say something, each cut to a readable length."""
        return [line[:_LINE_CHARACTERS] for line in self._said()[-lines:]]

    def last_error(self) -> str:
        """The last line that reads like an error, cut as well; empty if there is none."""
        for line in reversed(self._said()[-200:]):
            if _ERROR.search(line) and not _HARMLESS.search(line):
                return _words(line)[:_LINE_CHARACTERS]
        return ""

    def _said(self) -> list[str]:
        try:
            with self.path.open("rb") as file:
                end = file.seek(0, 2)
                file.seek(max(self._start, end - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip() and not _FRAME.match(line)]


def _words(line: str) -> str:
    """A JSON log line as its event and last words of its exception; any other line as it is."""
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return line.strip()
    if not isinstance(record, dict) or "event" not in record:
        return line.strip()
    detail = record.get("exception") or record.get("error") or ""
    last = str(detail).strip().rpartition("\n")[2]
    return f"{record['event']}: {last}" if last else str(record["event"])
