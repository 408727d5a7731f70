"""One file of a spool: frames, one behind the other, under a name that says their order and their marker.

`0000000000000007-91c4b0a7d52e8f36.v1.spool`: the seventh file of its folder, the marker of its frames, the version of
their format. There is no header that a flipped bit could make the whole file unreadable with.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from collector.spool import frames
from collector.spool.frames import Scan

_NAME = re.compile(r"(?P<sequence>[0-9a-f]{16})-(?P<marker>[0-9a-f]{16})\.v1\.spool")
SUFFIX = ".spool"
# What is read at once unless a record, or damage, is larger.
WINDOW_BYTES = 1 << 20


class SegmentName(NamedTuple):
    sequence: int
    marker: bytes

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """None if it is not the name of a file of this version."""
        found = _NAME.fullmatch(name)
        return cls(int(found["sequence"], 16), bytes.fromhex(found["marker"])) if found else None

    @classmethod
    def new(cls, sequence: int) -> SegmentName:
        return cls(sequence, secrets.token_bytes(frames.MARKER_BYTES))

    def __str__(self) -> str:
        return f"{self.sequence:016x}-{self.marker.hex()}.v1{SUFFIX}"


@dataclass(slots=True)
class Segment:
    """What is known of a file. Offsets in bytes; what lies between `read_to` and `committed` is owed to Kafka.

    `oldest_ms` is when the first record that is owed was spooled, as far as it is known.
    """

    path: Path
    name: SegmentName
    committed: int = 0
    read_to: int = 0
    records: int = 0
    oldest_ms: int = 0

    @property
    def drained(self) -> bool:
        return self.read_to >= self.committed

    @property
    def owed_bytes(self) -> int:
        return max(0, self.committed - self.read_to)

    def read(self, most: int) -> Scan:
        """At most `most` records from `read_to` on. Blocks.

        Raises:
            OSError: the file cannot be read.
        """
        left = self.owed_bytes
        for size in (min(left, WINDOW_BYTES), left):
            whole = size == left
            data = read_at(self.path, self.read_to, size)
            found = frames.scan(data, marker=self.name.marker, at=self.read_to, most=most, whole=whole)
            if found.end > self.read_to or whole:
                break
        return found


def read_at(path: Path, offset: int, size: int) -> bytes:
    """`size` bytes from `offset` on, fewer if the file ends before."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while size and (part := os.pread(descriptor, size, offset)):
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def listed(folder: Path) -> list[tuple[SegmentName, Path]]:
    """The files of this version in `folder`, oldest first."""
    found = ((SegmentName.parse(path.name), path) for path in folder.iterdir())
    return sorted((name, path) for name, path in found if name is not None)
