"""Bytes of an answer that wait for its end: in memory up to a bound, then in an unnamed file of the data folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MEMORY_BYTES: Final = 8 << 20  # per answer, so times `max_concurrent` at worst
_PIECE_BYTES: Final = 1 << 20


class Held:
    def __init__(self, folder: Path) -> None:
        self._file = tempfile.SpooledTemporaryFile(_MEMORY_BYTES, dir=str(folder))  # noqa: SIM115  closed by `close`
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._size += len(data)

    def take(self) -> Iterator[bytes]:
        """Everything written, once, in pieces of a megabyte."""
        self._file.seek(0)
        self._size = 0
        while piece := self._file.read(_PIECE_BYTES):
            yield piece
        self.close()

    def close(self) -> None:
        self._file.close()
