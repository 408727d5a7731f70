"""One live process per data folder, and a message that names it.

The lock is the kernel's (`flock`), so a killed process leaves none behind; the process id in the file is only for the
message. The engine has a lock of its own, which says nothing about who holds it.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Final, Self

FILE_NAME: Final = "front.lock"
_ENGINE_STATUS_FILE: Final = "status"


class FolderLockedError(Exception):
    """`holder` is the process id of the one that has the folder, when it can be told."""

    def __init__(self, folder: Path, holder: int | None) -> None:
        who = f"process {holder}" if holder is not None else "another process"
        super().__init__(f"the data folder {folder} is in use by {who}; stop it or choose another folder")
        self.holder = holder


class FolderLock:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Creates the folder when it is missing. Raises `FolderLockedError` at once, never waits."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self._folder / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _number(os.pread(file, 64, 0))
            os.close(file)
            raise FolderLockedError(self._folder, holder) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """The file stays: removing it would let two processes lock two files of one name."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def engine_holder(folder: Path) -> int | None:
    """The process that the engine's own lock file names, for a folder opened by something else than this front."""
    try:
        found = re.search(rb"PID: (\d+)", (folder / _ENGINE_STATUS_FILE).read_bytes())
    except OSError:
        return None
    return int(found[1]) if found else None


def _number(data: bytes) -> int | None:
    text = data.strip()
    return int(text) if text.isdigit() else None
