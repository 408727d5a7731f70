"""The calls that durability hangs on. Tests put a disk that is full, fails or forgets in their place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

_OWNER_ONLY = 0o600


class Disk(Protocol):
    """Every call raises OSError when the operating system says no."""

    def create(self, path: Path) -> int:
        """A descriptor of a new, empty file for appending."""

    def write(self, descriptor: int, data: bytes) -> None:
        """Append all of `data`."""

    def sync(self, descriptor: int) -> None:
        """Return when everything written is on the disk."""

    def sync_folder(self, path: Path) -> None:
        """Return when the names in the folder are on the disk."""


class SystemDisk:
    def create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _OWNER_ONLY)

    def write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def sync_folder(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
