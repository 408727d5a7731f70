"""The rejects file: one JSON object for each line that did not become an accepted event, with the line itself.

It holds the lines as they were, addresses included, and so stays on this machine, readable by its owner only.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO, Literal

import msgspec

from cli.importer.batches import Origin
from core.errors import DiskFullError, StateError

# Enough to find and judge the line; a garbage line must not fill the disk.
MAX_RAW_BYTES = 16 * 1024

RejectReason = Literal["malformed", "refused"]


class Reject(msgspec.Struct, frozen=True):
    file: str
    line: int
    reason: RejectReason
    code: str
    field: str
    message: str
    raw: str


class RejectsFile:
    """Written from the first reject on; replaces the file of an earlier run, also when there is nothing to reject.
    Of a run that is resumed, the first `keep_bytes` stay.

    Raises, in all methods:
        DiskFullError, StateError: the file cannot be written.
    """

    def __init__(self, path: Path, *, keep_bytes: int = 0) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        try:
            if keep_bytes:
                os.truncate(path, keep_bytes)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise _failure(path, error) from error

    def write(self, origin: Origin, *, reason: RejectReason, code: str, field: str, message: str) -> None:
        raw = origin.raw[:MAX_RAW_BYTES].decode("utf-8", "replace")
        reject = Reject(origin.file, origin.number, reason, code, field, message, raw)
        try:
            self._open().write(msgspec.json.encode(reject) + b"\n")
        except OSError as error:
            raise _failure(self.path, error) from error

    def sync(self) -> int:
        """Make durable what was written, and say how long the file is."""
        if self._file is None:
            return self.path.stat().st_size if self.path.exists() else 0
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()
        except OSError as error:
            raise _failure(self.path, error) from error

    def close(self) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                raise _failure(self.path, error) from error

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
        return self._file


def _failure(path: Path, error: OSError) -> DiskFullError | StateError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"no room left for the rejects file {path}")
    return StateError(f"the rejects file {path} cannot be written: {error.strerror}")
