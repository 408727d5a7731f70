"""Group commit: one sync for many, the event loop never waits for the disk, and what is not stored is said."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from collector.publisher import Failure, Fate, Record
from collector.spool import commits
from collector.spool.commits import GroupCommit
from collector.spool.log import SpoolLog
from core.clock import ManualClock
from tests.collector.spool.disks import EIO, FailingDisk

Result = TypeVar("Result")


class SlowDisk(FailingDisk):
    """Syncs take as long as told."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.go_on.set()

    def sync(self, descriptor: int) -> None:
        self.go_on.wait(10)
        super().sync(descriptor)


def run(
    folder: Path,
    use: Callable[[GroupCommit, SlowDisk, SpoolLog, ManualClock], Awaitable[Result]],
    *,
    max_bytes: int = 1 << 20,
) -> Result:
    async def inside() -> Result:
        disk, clock = SlowDisk(), ManualClock()
        log = SpoolLog(folder, max_bytes=max_bytes, disk=disk)
        group = GroupCommit(log, clock=clock)
        try:
            return await use(group, disk, log, clock)
        finally:
            disk.go_on.set()
            await group.close()

    return asyncio.run(inside())


def record(number: int) -> Record:
    return Record(b"demo|v", b"%d" % number)


def stored(fates: Sequence[Fate]) -> list[bool]:
    return [isinstance(fate, str) for fate in fates]


def test_requests_that_wait_share_a_sync(tmp_path: Path) -> None:
    async def use(group: GroupCommit, disk: SlowDisk, log: SpoolLog, _: ManualClock) -> Any:
        disk.go_on.clear()
        first = asyncio.create_task(group.store([record(0)]))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(group.store([record(n), record(n)])) for n in range(1, 100)]
        await asyncio.sleep(0.05)
        assert not first.done(), "nothing is promised before the sync"
        disk.go_on.set()
        fates = [await first, *await asyncio.gather(*others)]
        return disk.syncs, {fate for each in fates for fate in each}, log.records, group.stored

    syncs, receipts, records, count = run(tmp_path, use)
    assert syncs == 2
    assert (len(receipts), records, count) == (199, 199, 199)


def test_the_event_loop_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    async def use(group: GroupCommit, disk: SlowDisk, _: SpoolLog, __: ManualClock) -> float:
        disk.go_on.clear()
        task = asyncio.create_task(group.store([record(1)]))
        longest, before = 0.0, time.perf_counter()
        for _turn in range(50):
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            longest, before = max(longest, now - before), now
        disk.go_on.set()
        await task
        return longest

    assert run(tmp_path, use) < 1.0  # it would be 10


def test_a_failed_sync_fails_its_round_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def use(group: GroupCommit, disk: SlowDisk, log: SpoolLog, clock: ManualClock) -> Any:
        before = await group.store([record(1)])
        disk.fail["sync"] = EIO
        failed = await group.store([record(2), record(3)])
        syncs = disk.syncs
        at_once = await group.store([record(4)])
        assert disk.syncs == syncs, "a disk that has just failed is left alone"
        trouble = group.trouble()
        clock.advance(commits.FAILURE_PAUSE_S)
        after = await group.store([record(5)])
        batch = log.read(10)
        assert batch is not None
        return [*before, *failed, *at_once, *after], trouble, group.trouble(), batch.records

    fates, trouble, healed, first_file = run(tmp_path, use)
    assert stored(fates) == [True, False, False, False, True]
    assert "Input/output error" in trouble
    assert healed == ""
    assert first_file == [record(1)], "what follows a failed sync is in another file"
    caplog.clear()


def test_a_disk_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(commits, "COMMIT_DEADLINE_S", 0.1)

    async def use(group: GroupCommit, disk: SlowDisk, log: SpoolLog, clock: ManualClock) -> Any:
        disk.go_on.clear()
        hangs = await group.store([record(1)])
        clock.advance(0.2)
        trouble = group.trouble()
        at_once = await group.store([record(2)])
        disk.go_on.set()
        while group.busy:  # noqa: ASYNC110 (nothing tells of its end)
            await asyncio.sleep(0.01)
        after = await group.store([record(3)])
        return [*hangs, *at_once, *after], trouble, group.trouble(), log.records

    fates, trouble, healed, records = run(tmp_path, use)
    assert stored(fates) == [False, False, True]
    assert "has not answered" in trouble
    assert healed == ""
    assert records == 2, "the one that was given up arrived late; sending it again must be safe anyway"
    caplog.clear()


def test_a_full_spool_says_so_and_keeps_what_fits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def use(group: GroupCommit, disk: SlowDisk, log: SpoolLog, _: ManualClock) -> Any:
        disk.go_on.clear()
        waiting = [asyncio.create_task(group.store([record(0)]))]
        await asyncio.sleep(0.02)
        waiting += [asyncio.create_task(group.store([record(n)] * size)) for n, size in ((1, 3), (2, 50), (3, 2))]
        await asyncio.sleep(0.02)
        disk.go_on.set()
        return [stored(await task) for task in waiting], log.records, group.trouble()

    fates, records, trouble = run(tmp_path, use, max_bytes=400)
    assert fates == [[True], [True] * 3, [False] * 50, [True] * 2]
    assert records == 6
    assert "reached 400 bytes" in trouble
    caplog.clear()


def test_what_waits_in_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MAX_WAITING_BYTES", 1_000)

    async def use(group: GroupCommit, disk: SlowDisk, _: SpoolLog, __: ManualClock) -> Any:
        disk.go_on.clear()
        running = asyncio.create_task(group.store([record(0)]))
        await asyncio.sleep(0.02)
        waiting = asyncio.create_task(group.store([Record(b"k", b"x" * 900)]))
        await asyncio.sleep(0)
        refused = await group.store([Record(b"k", b"x" * 900)])
        disk.go_on.set()
        return stored([*await running, *await waiting, *refused])

    assert run(tmp_path, use) == [True, True, False]


def test_a_defect_is_an_answer_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(group: GroupCommit, _: SlowDisk, log: SpoolLog, clock: ManualClock) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(log, "commit", lambda: 1 / 0)
            broken = await group.store([record(1)])
        clock.advance(commits.FAILURE_PAUSE_S)
        return stored([*broken, *await group.store([record(2)])])

    assert run(tmp_path, use) == [False, True]
    assert Failure.RETRY.value == "retry"
    assert "spool.commit_failed" in caplog.text
    caplog.clear()
