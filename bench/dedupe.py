"""Ways to remember the ids of a partition's window: memory and CPU time an id: `.venv/bin/python -m bench.dedupe`.

Each way runs in a process of its own, so that its resident memory is its own. It is filled in batches of 10,000 ids,
then asked and filled further at that size. Ways other than the window's own are given what favours them: none of them
expires anything, though those made of Python objects hold what they would expire by.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from core.ids import DEDUPE_ID_BYTES
from streams.dedupe_table import halves_of
from streams.records import Outcome, decode_outcome, encode_outcome, runs_of
from streams.recovery import remember
from streams.window import NOT_SEEN, DedupeWindow, first_positions, unpack

_BATCH = 10_000
_MILLION = 1_000_000
_RUNS = 30
_SEGMENT_IDS = 1 << 20


class Way(Protocol):
    def add(self, packed: bytes, first_offset: int) -> None: ...

    def find(self, packed: bytes) -> list[int] | np.ndarray: ...


class SetOfBytes:
    """What the window was. It knows no offsets: 0 stands for them."""

    def __init__(self) -> None:
        self.ids: set[bytes] = set()
        self.batches: deque[list[bytes]] = deque()

    def add(self, packed: bytes, first_offset: int) -> None:  # noqa: ARG002
        batch = unpack(packed)
        self.ids.update(batch)
        self.batches.append(batch)

    def find(self, packed: bytes) -> list[int]:
        ids = self.ids
        return [0 if i in ids else NOT_SEEN for i in unpack(packed)]


class DictOfBytes:
    def __init__(self) -> None:
        self.offsets: dict[bytes, int] = {}
        self.batches: deque[list[bytes]] = deque()

    def add(self, packed: bytes, first_offset: int) -> None:
        batch = unpack(packed)
        self.offsets.update(zip(batch, range(first_offset, first_offset + len(batch)), strict=True))
        self.batches.append(batch)

    def find(self, packed: bytes) -> list[int]:
        get = self.offsets.get
        return [get(i, NOT_SEEN) for i in unpack(packed)]


class SetOfInts:
    """128-bit ints. It knows no offsets: 0 stands for them."""

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.batches: deque[list[int]] = deque()

    def add(self, packed: bytes, first_offset: int) -> None:  # noqa: ARG002
        batch = _ints(packed)
        self.ids.update(batch)
        self.batches.append(batch)

    def find(self, packed: bytes) -> list[int]:
        ids = self.ids
        return [0 if i in ids else NOT_SEEN for i in _ints(packed)]


class DictOfInts:
    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}
        self.batches: deque[list[int]] = deque()

    def add(self, packed: bytes, first_offset: int) -> None:
        batch = _ints(packed)
        self.offsets.update(zip(batch, range(first_offset, first_offset + len(batch)), strict=True))
        self.batches.append(batch)

    def find(self, packed: bytes) -> list[int]:
        get = self.offsets.get
        return [get(i, NOT_SEEN) for i in _ints(packed)]


def _ints(packed: bytes) -> list[int]:
    return [upper << 64 | lower for upper, lower in halves_of(packed).tolist()]


class SortedSegments:
    """Sorted runs; two of the same size are merged, up to a million ids. A batch is looked up in every run."""

    def __init__(self) -> None:
        self.runs: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, packed: bytes, first_offset: int) -> None:
        halves = halves_of(packed)
        run = halves, np.arange(first_offset, first_offset + len(halves))
        order = np.argsort(halves[:, 0])
        run = halves[order], run[1][order]
        while self.runs and len(self.runs[-1][0]) <= len(run[0]) < _SEGMENT_IDS:
            older = self.runs.pop()
            halves, offsets = np.concatenate([older[0], run[0]]), np.concatenate([older[1], run[1]])
            order = np.argsort(halves[:, 0])
            run = halves[order], offsets[order]
        self.runs.append(run)

    def find(self, packed: bytes) -> np.ndarray:
        asked = halves_of(packed)
        order = np.argsort(asked[:, 0])  # neighbours meet in the cache
        asked = asked[order]
        found = np.full(len(asked), NOT_SEEN)
        for halves, offsets in self.runs:
            at = np.searchsorted(halves[:, 0], asked[:, 0]).clip(max=len(halves) - 1)
            equal = np.flatnonzero((halves[at, 0] == asked[:, 0]) & (halves[at, 1] == asked[:, 1]))
            found[equal] = offsets[at[equal]]
        out = np.empty_like(found)
        out[order] = found
        return out


class ProbedSegments:
    """An open-addressing table with linear probing for each million ids, at most half full."""

    def __init__(self) -> None:
        self.tables: list[tuple[np.ndarray, np.ndarray]] = []
        self.left = 0

    def add(self, packed: bytes, first_offset: int) -> None:
        halves = halves_of(packed)
        if self.left < len(halves):
            self.tables.append((np.zeros((_SEGMENT_IDS * 2, 2), np.uint64), np.zeros(_SEGMENT_IDS * 2, np.int64)))
            self.left = _SEGMENT_IDS
        self.left -= len(halves)
        keys, offsets = self.tables[-1]
        pending, slots = np.arange(len(halves)), (halves[:, 0] & np.uint64(len(keys) - 1)).astype(np.intp)
        while pending.size:
            free = keys[slots[pending], 0] == 0
            keys[slots[pending[free]]] = halves[pending[free]]
            mine = (keys[slots[pending]] == halves[pending]).all(axis=1)
            offsets[slots[pending[mine]]] = first_offset + pending[mine]
            pending = pending[~mine]
            slots[pending] = (slots[pending] + 1) & (len(keys) - 1)

    def find(self, packed: bytes) -> np.ndarray:
        asked = halves_of(packed)
        found = np.full(len(asked), NOT_SEEN)
        for keys, offsets in self.tables:
            pending, slots = np.arange(len(asked)), (asked[:, 0] & np.uint64(len(keys) - 1)).astype(np.intp)
            while pending.size:
                held = keys[slots]
                mine = (held == asked[pending]).all(axis=1)
                found[pending[mine]] = offsets[slots[mine]]
                further = (held[:, 0] != 0) & ~mine
                pending, slots = pending[further], (slots[further] + 1) & (len(keys) - 1)
        return found


class Window:
    """Everything: expiry by time and count, 128 bits, offsets."""

    def __init__(self) -> None:
        self.window = DedupeWindow(max_age_ms=10**12, max_ids=10**12)
        self.now = 0

    def add(self, packed: bytes, first_offset: int) -> None:
        self.now += 1
        offsets = np.arange(first_offset, first_offset + len(packed) // DEDUPE_ID_BYTES)
        self.window.add(packed, offsets=offsets, arrival_ms=self.now)

    def find(self, packed: bytes) -> np.ndarray:
        return self.window.find(packed)


class SlidingWindow(Window):
    """The same when it is full: every batch added makes it forget one."""

    def __init__(self, ids: int) -> None:
        super().__init__()
        self.window = DedupeWindow(max_age_ms=10**12, max_ids=ids - _BATCH)


def ways(ids: int) -> dict[str, Callable[[], Way]]:
    return {
        "set of bytes (as it was)": SetOfBytes,
        "dict of bytes": DictOfBytes,
        "set of ints": SetOfInts,
        "dict of ints": DictOfInts,
        "sorted segments, searchsorted": SortedSegments,
        "probed segments, numpy": ProbedSegments,
        "dedupe window": Window,
        "dedupe window, sliding": lambda: SlidingWindow(ids),
    }


def measure(make: Callable[[], Way], ids: int) -> dict[str, float]:
    source = random.Random(1)
    # What a first batch allocates for good is not an id's.
    Window().add(source.randbytes(_BATCH * DEDUPE_ID_BYTES), 0)
    gc.collect()
    way, before, adds, out = make(), _resident(), [], {}
    step = _BATCH * DEDUPE_ID_BYTES
    recent = scattered = b""
    for offset in range(0, ids + _RUNS * _BATCH, _BATCH):
        if offset == min(ids, _MILLION):
            out["bytes_an_id_at_a_million"] = (_resident() - before) / offset
        if offset == ids:
            out["bytes_an_id"] = (_resident() - before) / offset
        recent = source.randbytes(step)
        if offset > 2 * _RUNS * _BATCH:
            scattered += recent[: step // (ids // _BATCH) // DEDUPE_ID_BYTES * DEDUPE_ID_BYTES]
        adds.append(_cpu(lambda: way.add(recent, offset)))  # noqa: B023 (called at once)
    fresh = [source.randbytes(step) for _ in range(_RUNS)]
    assert all(offset == NOT_SEEN for offset in way.find(fresh[0]))
    assert NOT_SEEN not in way.find(scattered)
    out["insert_us"] = statistics.median(adds[-_RUNS:]) / _BATCH * 1e6
    out["insert_mean_us"] = statistics.fmean(adds) / _BATCH * 1e6
    out["longest_insert_s"] = max(adds)
    out["find_new_us"] = statistics.median(_cpu(lambda: way.find(each)) for each in fresh) / _BATCH * 1e6  # noqa: B023
    out["find_recent_us"] = statistics.median(_cpu(lambda: way.find(recent)) for _ in range(_RUNS)) / _BATCH * 1e6
    out["find_scattered_us"] = (
        statistics.median(_cpu(lambda: way.find(scattered)) for _ in range(_RUNS)) / (len(scattered) / 16) * 1e6
    )
    return out


def rebuild(ids: int) -> dict[str, float]:
    """A million ids from outcome records of 10,000 events, one in fifty a duplicate."""
    source, offset = random.Random(2), 0
    values: list[bytes] = []
    while len(values) * _BATCH < ids:
        offsets = range(offset, offset + _BATCH)
        repeats: list[int] = [at for at in offsets if source.random() < 0.02]
        packed = source.randbytes((_BATCH - len(repeats)) * DEDUPE_ID_BYTES)
        runs, firsts = runs_of(offsets, dict.fromkeys(repeats, "duplicate")), [at - 5_000 for at in repeats]
        outcome = Outcome(0, offset, offsets[-1], runs, packed, {"page_view:1": _BATCH}, firsts)
        values.append(encode_outcome(outcome))
        offset += _BATCH

    def whole() -> None:
        window = DedupeWindow(max_age_ms=10**12, max_ids=10**12)
        for at, value in enumerate(values):
            remember(window, decode_outcome(value), arrival_ms=at)

    return {
        "decode_s_a_million": statistics.median(_cpu(lambda: [decode_outcome(v) for v in values]) for _ in range(3)),
        "rebuild_s_a_million": statistics.median(_cpu(whole) for _ in range(3)),
    }


def within_a_batch() -> dict[str, float]:
    source = random.Random(3)
    new = source.randbytes(_BATCH * DEDUPE_ID_BYTES)
    repeats = b"".join(source.choices(unpack(new), k=_BATCH // 50)) + new[_BATCH // 50 * DEDUPE_ID_BYTES :]

    def cost(packed: bytes) -> float:
        return statistics.median(_cpu(lambda: first_positions(packed)) for _ in range(_RUNS)) / _BATCH * 1e6

    return {"first_positions_us": cost(new), "first_positions_2_percent_repeats_us": cost(repeats)}


def _cpu(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _in_own_process(name: str, ids: int) -> dict[str, float]:
    argv = [sys.executable, "-m", "bench.dedupe", "--only", name, "--ids", str(ids), "--json"]
    return dict(json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ids", type=int, default=5 * _MILLION, help="ids remembered while asking (default 5 million)")
    parser.add_argument("--only", choices=ways(0), help="this way alone, in this process")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.ids < _MILLION:
        parser.error("fewer than a million ids tell nothing")
    if options.only:
        measured = measure(ways(options.ids)[options.only], options.ids)
        print(json.dumps(measured) if options.json else measured)
        return
    table = {name: _in_own_process(name, options.ids) for name in ways(options.ids)}
    others = rebuild(_MILLION) | within_a_batch()
    if options.json:
        print(json.dumps({"ids": options.ids, "ways": table, **others}))
        return
    print(f"{options.ids:,} ids in batches of {_BATCH:,}; CPU time, us an id; resident bytes an id")
    columns = list(next(iter(table.values())))
    print(" " * 32 + "".join(f"{name:>26}" for name in columns))
    for name, row in table.items():
        print(f"{name:32}" + "".join(f"{row[column]:26.3f}" for column in columns))
    for name, value in others.items():
        print(f"{name:40} {value:.3f}")


if __name__ == "__main__":
    main()
