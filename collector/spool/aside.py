"""Where records are kept that Kafka refuses for their size, each with the reason, until somebody looks."""

from __future__ import annotations

from pathlib import Path

from collector.publisher import Record
from collector.spool.disk import Disk
from collector.spool.folders import Folders, HeldFolder
from collector.spool.log import SpoolFailedError, SpoolFullError, SpoolLog
from core.clock import Clock
from core.errors import StateError

FOLDER = "set_aside"
_UNBOUNDED = 1 << 62


class SetAside:
    """Makes a folder when there is something to keep. Call it from one thread at a time."""

    def __init__(self, root: Path, *, clock: Clock, disk: Disk | None = None) -> None:
        self._folders = Folders(root / FOLDER)
        self._clock = clock
        self._disk = disk
        self._held: tuple[HeldFolder, SpoolLog] | None = None

    def keep(self, record: Record, reason: str) -> None:
        """Return when it is on the disk. Blocks.

        Raises:
            OSError: it could not be kept.
        """
        now_ms = self._clock.now_ms()
        try:
            if self._held is None:
                folder = self._folders.create(now_ms=now_ms)
                self._held = folder, SpoolLog(folder.path, max_bytes=_UNBOUNDED, disk=self._disk)
            self._held[1].append([record], now_ms=now_ms, note=reason)
            self._held[1].commit()
        except (SpoolFullError, SpoolFailedError, StateError) as error:
            raise OSError(f"a record could not be set aside: {error.message}") from error

    def close(self) -> None:
        if self._held is not None:
            folder, log = self._held
            log.close()
            folder.release(remove=log.empty)
            self._held = None
