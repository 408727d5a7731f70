"""Buckets that processes share: never more than they hold, whatever the order, the clock, the number of processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.limit_table import SETS, Bucket, LimitTable

S = 10**9
START = 10**15


def bucket(name: str, *, per_window: int = 5, window: int = 10 * S) -> Bucket:
    return Bucket(hashlib.blake2b(name.encode(), digest_size=16).digest(), window // per_window, window)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[LimitTable]:
    made = LimitTable(tmp_path / "limits")
    yield made
    made.close()


def test_a_bucket_holds_its_number_and_is_refilled(table: LimitTable) -> None:
    one = bucket("a")
    assert [table.take([one], START)[0] for _ in range(6)] == [0] * 5 + [2 * S]
    assert table.wait(one, START) == 2 * S
    assert table.take([one], START + 2 * S - 1) == (1, 0)
    assert table.take([one], START + 2 * S) == (0, 0)
    assert table.take([one], START + 2 * S) == (2 * S, 0)
    assert table.take([bucket("b")], START) == (0, 0)
    # Full again after a window, and not fuller.
    assert [table.take([one], START + 60 * S)[0] for _ in range(6)] == [0] * 5 + [2 * S]


def test_a_request_is_charged_to_all_of_its_buckets_or_to_none(table: LimitTable) -> None:
    wide, narrow = bucket("wide", per_window=10), bucket("narrow", per_window=1)
    assert table.take([wide, narrow], START) == (0, 0)
    for _ in range(20):
        assert table.take([wide, narrow], START) == (10 * S, 1)
    assert [table.take([wide], START)[0] for _ in range(10)] == [0] * 9 + [S]


def test_buckets_are_there_for_the_next_process(tmp_path: Path) -> None:
    first, second = LimitTable(tmp_path / "limits"), LimitTable(tmp_path / "limits")
    assert [each.take([bucket("a")], START)[0] for each in (first, second, first, second, first)] == [0] * 5
    first.close()
    assert second.take([bucket("a")], START)[0] > 0
    second.last_guess = 7
    third = LimitTable(tmp_path / "limits")
    assert (third.take([bucket("a")], START)[0] > 0, third.last_guess) == (True, 7)
    for each in (second, third):
        each.close()


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 100_000, b"slclim1\nshort"])
def test_a_file_that_is_none_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "limits").write_bytes(content)
    table = LimitTable(tmp_path / "limits")
    assert [table.take([bucket("a")], START)[0] for _ in range(6)] == [0] * 5 + [2 * S]
    table.close()


@pytest.mark.parametrize("back", [60 * S, START])
def test_a_clock_that_was_set_back_locks_nobody_out(table: LimitTable, back: int) -> None:
    """As after a reboot, where the file is older than the clock."""
    for _ in range(5):
        table.take([bucket("a")], START)
    assert table.take([bucket("a")], START - back) == (0, 0)


@pytest.mark.parametrize("late", [1, S])
def test_a_process_that_read_the_clock_before_another_does_not_empty_the_bucket(table: LimitTable, late: int) -> None:
    for _ in range(5):
        table.take([bucket("a")], START)
    assert table.take([bucket("a")], START - late) == (2 * S + late, 0)


def test_clients_that_use_little_give_way_first() -> None:
    table = LimitTable(None, sets=1)
    busy = bucket("busy")
    for _ in range(5):
        table.take([busy], START)
    for number in range(50):
        table.take([bucket(f"n{number}")], START)
    assert table.evicted > 0
    assert table.take([busy], START)[0] > 0


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, S // 10, S, 7 * S, 30 * S])), max_size=120),
)
def test_never_more_than_burst_and_rate(per_window: int, steps: list[tuple[int, int]]) -> None:
    """Of every stretch of time, for each of some clients; and a client that waits as told passes."""
    table = LimitTable(None, sets=64)
    window = 10 * S
    now, passed = START, {which: [] for which in range(4)}  # type: ignore[var-annotated]
    for which, pause in steps:
        now += pause
        one = bucket(f"client {which}", per_window=per_window, window=window)
        wait, _ = table.take([one], now)
        assert wait == 0 or table.wait(one, now + wait) == 0
        if not wait:
            passed[which].append(now)
    for times in passed.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                took = times[last] - times[first]
                assert (last - first + 1 - per_window) * (window // per_window) <= took


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3 * S)), max_size=60))
def test_it_is_a_token_bucket(steps: list[tuple[str, int]]) -> None:
    """The textbook's: so many tokens, refilled steadily, one a request, none saved above the brim."""
    table, window, burst = LimitTable(None, sets=64), 10 * S, 5
    now, tokens = START, dict.fromkeys("abc", (burst * window // burst, START))  # in nanoseconds of refilling
    for name, pause in steps:
        now += pause
        level, at = tokens[name]
        level = min(window, level + now - at)
        expected = level >= window // burst
        tokens[name] = (level - window // burst if expected else level, now)
        assert (table.take([bucket(name)], now) == (0, 0)) == expected


def _hammer(path: Path, ready: Any, seconds: float, out: Any) -> None:
    table = LimitTable(path)
    ready.wait()
    one, passed = bucket("shared", per_window=1000, window=S), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        passed += table.take([one], time.monotonic_ns()) == (0, 0)
    out.put((passed, table.unlocked))
    table.close()


def test_processes_together_pass_no_more_than_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, out, seconds = context.Barrier(4), context.Queue(), 1.0
    workers = [context.Process(target=_hammer, args=(tmp_path / "l", ready, seconds, out)) for _ in range(3)]
    for worker in workers:
        worker.start()
    ready.wait()
    started = time.monotonic_ns()
    found = [out.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(30)
    took_s = (time.monotonic_ns() - started) / S + 0.1  # they read the clock a little before and after us
    passed = sum(each for each, _ in found)
    assert sum(unlocked for _, unlocked in found) == 0
    assert 1000 < passed <= 1000 + 1000 * took_s
    assert min(each for each, _ in found) > 0


def test_who_is_stopped_with_a_lock_does_not_stop_the_others(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(2)
    holder = context.Process(target=_hold_all_locks, args=(tmp_path / "l", ready), daemon=True)
    holder.start()
    table = LimitTable(tmp_path / "l")
    ready.wait()
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGSTOP)
    started = time.process_time()
    assert [table.take([bucket("a")], START)[0] for _ in range(6)] == [0] * 5 + [2 * S]
    assert table.unlocked == 6
    for _ in range(500):
        table.take([bucket("a")], START)
    assert time.process_time() - started < 1
    holder.kill()
    holder.join(10)
    unlocked = table.unlocked
    table.take([bucket("b")], START)
    assert table.unlocked == unlocked
    table.close()


def _hold_all_locks(path: Path, ready: Any) -> None:
    import fcntl

    from collector.limit_table import _LOCKS, _LOCKS_AT

    table = LimitTable(path)
    fcntl.lockf(table._file, fcntl.LOCK_EX, _LOCKS, _LOCKS_AT)
    ready.wait()
    time.sleep(60)


def test_a_million_clients_take_no_more_room(tmp_path: Path) -> None:
    """And one of them that overdoes it is still told so."""
    path = tmp_path / "limits"
    table = LimitTable(path)
    busy = bucket("busy", per_window=300, window=60 * S)
    for _ in range(300):
        table.take([busy], START)
    size = path.stat().st_size
    for at in range(0, SETS * 128, 128):  # all of its pages are in memory
        table._memory[4096 + at]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    interval = 60 * S // 300
    for number in range(1_000_000):
        name = (number * 0x9E3779B97F4A7C15 % 2**128).to_bytes(16, "little")
        # 100,000 a second
        table.take((Bucket(name, interval, 60 * S),), START + number * 10_000)
    assert table.wait(busy, START + 10 * S) == 0  # 50 have come back in ten seconds
    for _ in range(50):
        assert table.take([busy], START + 10 * S) == (0, 0)
    assert table.take([busy], START + 10 * S)[0] > 0
    assert path.stat().st_size == size < 5 * 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 * 1024  # KiB
    table.close()
