"""Buckets of rate limits in a file that the collector processes of a host share by mapping it into memory.

A bucket is one number, the time at which it would be full again (GCRA, ITU-T I.371 annex A: with `window` nanoseconds
and one request an `interval`, a bucket holds window / interval requests and is refilled at that rate). So in any time t
at most window / interval + t / interval requests pass. A bucket that is full again need not be remembered, which keeps
the file small: it has a fixed number of places, found by a keyed hash. Where all eight places of a hash are in use, the
bucket that is nearest to full gives way.

A check and its charge are one step for all processes: it is made under locks of the places that it touches. A process
that is stopped inside this step (SIGSTOP) does not hold up the others: they see it and go on without the lock until it
continues, and may then let a request too many pass.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from core.errors import StateError

# 4 MiB. Only clients that have used more of their limit than time has given back take a place.
SETS = 32_768
_WAYS = 8
_SET_BYTES = 16 * _WAYS
# Magic and form, room for the shared words, and one byte a lock.
_HEADER_BYTES = 4096
_MAGIC = b"slclim1\n"
_LAST_GUESS_AT = 16
_LOCKS_AT = 1024
_LOCKS = 256
# Longer holds up a process's requests where its host is out of processor time; shorter lets them pass uncounted.
_LOCK_S = 0.25
_PAUSE_S = 0.0001
# How often it is asked whether the holder of a lock is stopped; what was found holds until then.
_LOOK_S = 0.1
_SET = struct.Struct("<8Q8Q")
_TIME_AFTER = 8 * _WAYS
_HALVES = struct.Struct("<QQ")
_WORD = struct.Struct("<Q")
# struct flock of Linux, 64 bits: type, whence, start, length, process.
_FLOCK = struct.Struct("hhxxxxqqixxxx")


class Bucket(NamedTuple):
    """`hash` has 16 bytes; `interval` is what a request takes and `window` all that there is, in nanoseconds."""

    hash: bytes
    interval: int
    window: int


class LimitTable:
    """One a process. All calls belong to one thread. Times are nanoseconds of a clock that all processes share.

    Raises:
        StateError: the file cannot be made or mapped.
    """

    def __init__(self, path: Path | None, *, sets: int = SETS) -> None:
        self._sets = sets
        self.evicted = 0  # buckets that gave way before they were full
        self.unlocked = 0  # steps made without a lock that did not come
        self._look_at = 0.0
        self._stopped = False
        size = _HEADER_BYTES + sets * _SET_BYTES
        if path is None:
            self._file = -1
            self._memory = mmap.mmap(-1, size)
            self._words = memoryview(self._memory).cast("Q")
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._memory = self._mapped(size)
        except (OSError, ValueError) as error:
            raise StateError(f"{path} cannot be used for rate limits: {error}") from error
        self._words = memoryview(self._memory).cast("Q")

    def close(self) -> None:
        self._words.release()
        self._memory.close()
        if self._file >= 0:
            os.close(self._file)

    def take(self, buckets: Sequence[Bucket], now: int) -> tuple[int, int]:
        """Charge one request to every bucket, or to none of them if one is used up.

        Returns the nanoseconds until that one would do, and which it is; (0, 0) if the request passes.
        """
        if len(buckets) == 1:
            return self._take_one(buckets[0], now), 0
        sets = [_HALVES.unpack(bucket.hash)[0] % self._sets for bucket in buckets]
        held = self._lock(sets) if self._file >= 0 else ()
        try:
            for which, bucket in enumerate(buckets):
                _, _, full_at = self._find(bucket, now)
                wait = full_at - now + bucket.interval - bucket.window
                if wait > 0:
                    return wait, which
            for bucket in buckets:
                # What was just written may have taken the place.
                place, tag, full_at = self._find(bucket, now)
                _WORD.pack_into(self._memory, place, tag)
                _WORD.pack_into(self._memory, place + _TIME_AFTER, full_at + bucket.interval)
            return 0, 0
        finally:
            for lock in held:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _LOCKS_AT + lock)

    def _take_one(self, bucket: Bucket, now: int) -> int:
        """The same for the usual one, without lists."""
        lock = -1
        if self._file >= 0:
            lock = _HALVES.unpack(bucket.hash)[0] % self._sets % _LOCKS
            if not (self._try(lock) or self._wait(lock)):
                self.unlocked += 1
                lock = -1
        try:
            place, tag, full_at = self._find(bucket, now)
            full_at += bucket.interval
            wait = full_at - now - bucket.window
            if wait > 0:
                return wait
            self._words[place >> 3] = tag
            self._words[place + _TIME_AFTER >> 3] = full_at
            return 0
        finally:
            if lock >= 0:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _LOCKS_AT + lock)

    def wait(self, bucket: Bucket, now: int) -> int:
        """Nanoseconds until the bucket would let a request pass. Charges nothing."""
        _, _, full_at = self._find(bucket, now)
        return max(0, full_at - now + bucket.interval - bucket.window)

    @property
    def last_guess(self) -> int:
        """When a wrong secret of a key was tried last, in any process."""
        return self._words[_LAST_GUESS_AT >> 3]

    @last_guess.setter
    def last_guess(self, now: int) -> None:
        self._words[_LAST_GUESS_AT >> 3] = now

    def _mapped(self, size: int) -> mmap.mmap:
        # Under the first lock, so that of processes that start at once one writes the header.
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, 0)
        try:
            header = os.pread(self._file, len(_MAGIC), 0)
            if header != _MAGIC or os.fstat(self._file).st_size != size:
                os.ftruncate(self._file, 0)
                # All of it on disk now: writing into a hole of a mapped file on a full disk kills the process (SIGBUS).
                os.posix_fallocate(self._file, 0, size)
                os.pwrite(self._file, _MAGIC, 0)
            return mmap.mmap(self._file, size)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, 0)

    def _find(self, bucket: Bucket, now: int) -> tuple[int, int, int]:
        """Where a bucket's tag is, or may be; the tag; when the bucket is full. The time stands `_TIME_AFTER` it."""
        low, tag = _HALVES.unpack(bucket.hash)
        begins = _HEADER_BYTES + low % self._sets * _SET_BYTES
        words = _SET.unpack_from(self._memory, begins)
        tag = tag or 1  # 0 is nobody's
        if tag in words[:_WAYS]:
            way = words.index(tag)
            full_at = words[_WAYS + way]
            # What lies far ahead is of a clock that was set back, or of another boot. What lies a little further ahead
            # than the bucket is deep was written by a process that read the clock after us and was faster.
            if now < full_at <= now + 2 * bucket.window:
                return begins + 8 * way, tag, full_at
            return begins + 8 * way, tag, now
        times = words[_WAYS:]
        first = min(times)
        if now < first <= now + 2 * bucket.window:
            self.evicted += 1
        return begins + 8 * times.index(first), tag, now

    def _lock(self, sets: Sequence[int]) -> Sequence[int]:
        """Always in one order, so that two processes never wait for each other."""
        locks = (sets[0] % _LOCKS,) if len(sets) == 1 else sorted({at % _LOCKS for at in sets})
        for count, lock in enumerate(locks):
            if not (self._try(lock) or self._wait(lock)):
                self.unlocked += 1
                return locks[:count]
        return locks

    def _try(self, lock: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _LOCKS_AT + lock)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _wait(self, lock: int) -> bool:
        """For a lock that another process holds; False if that one is stopped, or takes too long."""
        now = time.monotonic()
        give_up = now + _LOCK_S
        while now < give_up:
            # A holder that only waits for a processor will have one soon: it holds the lock for microseconds.
            time.sleep(_PAUSE_S)
            if self._try(lock):
                return True
            now = time.monotonic()
            if now >= self._look_at:
                self._look_at = now + _LOOK_S
                self._stopped = self._holder_is_stopped(lock)
            if self._stopped:
                return False
        return False

    def _holder_is_stopped(self, lock: int) -> bool:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _LOCKS_AT + lock, 1, 0)
        pid = _FLOCK.unpack(fcntl.fcntl(self._file, fcntl.F_GETLK, asked))[-1]
        try:
            state = (
                Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
            )
        except (OSError, IndexError):
            return False
        return state in {"T", "t"}
