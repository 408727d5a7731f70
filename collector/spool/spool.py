"""The spool of one process: a folder of its own that grows, and folders of dead processes that only shrink.

What was adopted is older than what comes now, so it is drained first. A disk that cannot be used leaves a spool that
stores nothing and says why: while Kafka answers, the collector works without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from collector.publisher import Failure, Fate, Record
from collector.spool.aside import SetAside
from collector.spool.commits import GroupCommit
from collector.spool.disk import Disk
from collector.spool.folders import Folders, HeldFolder
from collector.spool.log import SpoolLog
from core import metrics
from core.clock import Clock, SystemClock
from core.errors import StateError
from core.log import get_logger
from core.settings import Settings

log = get_logger(__name__)


def root_of(settings: Settings) -> Path:
    return Path(settings.spool_dir) if settings.spool_dir else settings.state_dir / "spool"


class Spool:
    """Belongs to one event loop. Call `open` before anything else and `close` at the end."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, disk: Disk | None = None) -> None:
        self._root = root_of(settings)
        self._max_bytes = settings.spool_max_mib << 20
        self._clock = clock or SystemClock()
        self._disk = disk
        self._folders = Folders(self._root)
        self._own: tuple[HeldFolder, SpoolLog, GroupCommit] | None = None
        self._adopted: list[tuple[HeldFolder, SpoolLog]] = []
        self.aside = SetAside(self._root, clock=self._clock, disk=disk)
        self._unusable = "" if self._max_bytes else "the spool is turned off"

    async def open(self) -> None:
        """Take a folder of our own and adopt what the dead have left. Repeat it now and then: disks recover, and
        processes die.
        """
        if self._max_bytes and self._own is None:
            await asyncio.get_running_loop().run_in_executor(None, self._open_own)
        await asyncio.get_running_loop().run_in_executor(None, self._adopt)
        self._share()

    async def store(self, records: Sequence[Record]) -> Sequence[Fate]:
        """Receipts of what is synced; `RETRY` for all if the spool does not take them."""
        if self._own is None:
            return [Failure.RETRY] * len(records)
        return await self._own[2].store(records)

    def trouble(self) -> str:
        """Why the next `store` is likely to fail, "" if it is not."""
        return self._unusable or (self._own[2].trouble() if self._own else "")

    @property
    def stored(self) -> int:
        """Records that this process has spooled since it began."""
        return self._own[2].stored if self._own else 0

    @property
    def records(self) -> int:
        """Owed to Kafka."""
        return sum(log_.records for log_ in self._logs())

    @property
    def bytes(self) -> int:
        return sum(log_.bytes for log_ in self._logs())

    @property
    def oldest_ms(self) -> int:
        """When the oldest record owed was spooled; 0 if none is."""
        return min((log_.oldest_ms for log_ in self._logs() if log_.oldest_ms), default=0)

    @property
    def idle(self) -> bool:
        """Whether nothing is owed to Kafka, and nothing is about to be."""
        return not (self._own and self._own[2].busy) and all(log_.empty for log_ in self._logs())

    async def next_log(self) -> SpoolLog | None:
        """The log with the oldest records. What is drained of the adopted is let go of."""
        while self._adopted and self._adopted[0][1].empty:
            folder, log_ = self._adopted.pop(0)
            await asyncio.get_running_loop().run_in_executor(None, _let_go, folder, log_)
            log.info("spool.adopted_drained", folder=folder.path.name)
            self._share()
        return self._adopted[0][1] if self._adopted else self._own[1] if self._own else None

    async def rest(self) -> None:
        """Everything is drained: delete what is left of it."""
        if self._own:
            await self._own[2].seal()
        await self.next_log()

    async def close(self) -> None:
        """Let go of everything; what is owed stays for whoever comes next."""
        if self._own:
            folder, log_, commits = self._own
            await commits.close()
            folder.release(remove=log_.empty)
        for folder, log_ in self._adopted:
            _let_go(folder, log_)
        self.aside.close()
        self._own = None
        self._adopted.clear()

    def report(self) -> None:
        """Bring the metrics up to date."""
        metrics.gauge("sluice_collector_spool_bytes").set(self.bytes)
        metrics.gauge("sluice_collector_spool_records").set(self.records)
        oldest_ms = self.oldest_ms
        age_s = max(0.0, (self._clock.now_ms() - oldest_ms) / 1000) if oldest_ms else 0.0
        metrics.gauge("sluice_collector_spool_oldest_seconds").set(age_s)

    def _logs(self) -> list[SpoolLog]:
        return [log_ for _, log_ in self._adopted] + ([self._own[1]] if self._own else [])

    def _open_own(self) -> None:
        try:
            folder = self._folders.create(now_ms=self._clock.now_ms())
            own = SpoolLog(folder.path, max_bytes=self._max_bytes, disk=self._disk)
        except (StateError, OSError) as error:
            if not self._unusable:
                log.warning("spool.unusable", folder=str(self._root), error=str(error))
            self._unusable = str(error)
            return
        self._unusable = ""
        self._own = folder, own, GroupCommit(own, clock=self._clock)

    def _adopt(self) -> None:
        for folder in self._folders.adopt():
            try:
                log_ = SpoolLog(folder.path, max_bytes=0, disk=self._disk)
            except OSError as error:
                log.warning("spool.not_adopted", folder=folder.path.name, error=str(error))
                folder.release()
                continue
            if not log_.empty:
                metrics.counter("sluice_collector_spool_adopted_total").inc()
                log.info("spool.adopted", folder=folder.path.name, records=log_.records, bytes=log_.bytes)
            self._adopted.append((folder, log_))

    def _share(self) -> None:
        """The bound is the process's: what it adopted leaves less for its own."""
        if self._own:
            self._own[1].max_bytes = max(0, self._max_bytes - sum(log_.bytes for _, log_ in self._adopted))


def _let_go(folder: HeldFolder, log_: SpoolLog) -> None:
    log_.close()
    folder.release(remove=log_.empty)
