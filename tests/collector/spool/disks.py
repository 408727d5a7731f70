"""Disks that fail on demand, and remember what would survive a loss of power."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from collector.spool.disk import SystemDisk


class FailingDisk(SystemDisk):
    """`fail` holds the calls that fail next time: create, write, tear (half of the bytes arrive), sync, sync_folder.

    `synced` is, for each file, how much of it a loss of power leaves for certain. Nothing is really synced: the power
    stays on.
    """

    def __init__(self) -> None:
        self.fail: dict[str, int] = {}
        self.synced: dict[Path, int] = {}
        self.torn = 0
        self.syncs = 0
        self._paths: dict[int, Path] = {}

    def create(self, path: Path) -> int:
        self._maybe_fail("create")
        descriptor = super().create(path)
        self._paths[descriptor] = path
        self.synced[path] = 0
        return descriptor

    def write(self, descriptor: int, data: bytes) -> None:
        if "tear" in self.fail:
            super().write(descriptor, data[: self.torn])
        self._maybe_fail("tear")
        self._maybe_fail("write")
        super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        self._maybe_fail("sync")
        self.synced[self._paths[descriptor]] = os.fstat(descriptor).st_size

    def sync_folder(self, path: Path) -> None:  # noqa: ARG002 (the name is the protocol's)
        self._maybe_fail("sync_folder")

    def _maybe_fail(self, call: str) -> None:
        number = self.fail.pop(call, None)
        if number is not None:
            raise OSError(number, os.strerror(number))


EIO, ENOSPC = errno.EIO, errno.ENOSPC
