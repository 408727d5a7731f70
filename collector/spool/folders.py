"""One folder a process under the spool's root, locked for as long as the process lives (flock(2)).

A folder whose lock nobody holds is an orphan: its process is gone, and whoever takes the lock owes what lies in it. A
new folder gets its name only once it is locked, and a lock counts only while its file is still the one in the folder,
so nobody meets a folder half made or half removed, and nobody waits for anybody.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import StateError

_LOCK = "lock"
_UNBORN = ".new-"
_OWNER_ONLY = 0o700


@dataclass(frozen=True, slots=True)
class HeldFolder:
    """A folder that this process alone may change, until `release`."""

    path: Path
    _lock: int

    def release(self, *, remove: bool = False) -> None:
        """Let go; with `remove`, delete the folder unless something lies in it."""
        with suppress(OSError):
            if remove and {entry.name for entry in self.path.iterdir()} <= {_LOCK}:
                (self.path / _LOCK).unlink()
                self.path.rmdir()
        os.close(self._lock)


@dataclass(frozen=True, slots=True)
class Listed:
    """A folder as somebody sees it who does not hold it. `pid` is 0 for an orphan."""

    path: Path
    pid: int


class Folders:
    """The folders under `root`. Names sort by age."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, *, now_ms: int) -> HeldFolder:
        """A new folder.

        Raises:
            StateError: it cannot be made.
        """
        name = f"{now_ms:013d}-{os.getpid()}-{secrets.token_hex(3)}"
        unborn = self.root / f"{_UNBORN}{name}"
        try:
            unborn.mkdir(mode=_OWNER_ONLY, parents=True)
            lock = _take(unborn)
            if lock is None:
                raise StateError(f"{unborn} is held by another process")
            unborn.rename(self.root / name)
        except OSError as error:
            raise StateError(
                f"the spool cannot use {self.root}: {error.strerror or error}",
                hint="SLUICE_SPOOL_DIR names a folder on a disk that can be written.",
            ) from error
        return HeldFolder(self.root / name, lock)

    def adopt(self) -> list[HeldFolder]:
        """All orphans, oldest first. A folder that cannot be locked, for whatever reason, is none."""
        held = []
        for path in self._paths():
            with suppress(OSError):
                lock = _take(path)
                if lock is not None:
                    held.append(HeldFolder(path, lock))
        return held

    def hold(self, path: Path) -> HeldFolder | None:
        """One folder, or None if another process has it."""
        lock = _take(path)
        return None if lock is None else HeldFolder(path, lock)

    def listed(self) -> list[Listed]:
        return [Listed(path, _owner(path)) for path in self._paths()]

    def _paths(self) -> list[Path]:
        with suppress(OSError):
            return sorted(p for p in self.root.iterdir() if p.name[0].isdigit() and p.is_dir())
        return []


def _take(folder: Path) -> int | None:
    """The lock of `folder` as a descriptor; None if another has it or the folder is gone."""
    path = folder / _LOCK
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == path.stat().st_ino:
            os.truncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


def _owner(folder: Path) -> int:
    """The process that holds `folder`; 0 if none does."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        # Shared: others may look at the same time. Whoever adopts meanwhile comes back.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(lock, 20, 0) or b"1")
    finally:
        os.close(lock)
    return 0
