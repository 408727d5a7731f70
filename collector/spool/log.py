"""The log of one folder: records go in at its end, and out at its beginning once Kafka has them.

1. `append` frames records in memory, `commit` writes and syncs them: only then is any of them promised.
2. After a failed write or sync nothing more goes into that file. The kernel drops what it could not write and calls the
   next sync a success, so what was being committed is taken for lost, and the next commit begins a new file.
3. `read` gives the oldest records that are owed, `acknowledge` says that they are stored elsewhere. A file of which
   nothing is owed is deleted; how far the oldest file is read stands beside it. That note may be old or lost: then
   records come out twice, never not at all.
4. Opening a folder reads all of it: a tail that was never written to its end is cut off, whatever follows damage is
   found. Files that are there are not written to again.

One thread may append and commit while another reads and acknowledges.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from prometheus_client import Counter

from collector.publisher import Record
from collector.spool import frames
from collector.spool.disk import Disk, SystemDisk
from collector.spool.frames import Entry
from collector.spool.segments import Segment, SegmentName, listed
from core import metrics
from core.errors import DiskFullError, UnavailableError
from core.log import get_logger

log = get_logger(__name__)

# Small enough that little is kept of what is drained already, large enough that files are rarely begun.
SEGMENT_BYTES = 8 << 20
# How often a file that cannot be read is tried before it is laid aside: the disk may recover.
READ_ATTEMPTS = 3
UNREADABLE = ".unreadable"
_READ_TO = "read_to"
_SURVEY_RECORDS = 1_000


class SpoolFullError(DiskFullError):
    """The spool holds as much as it may."""

    code = "spool_full"


class SpoolFailedError(UnavailableError):
    """The disk did not take what was to be committed. Nothing of it is promised."""

    code = "spool_failed"


class Batch(NamedTuple):
    """The oldest records that are owed, in order. `damaged` places before or between them hold nothing readable."""

    segment: Segment
    records: list[Record]
    oldest_ms: int
    end: int
    damaged: int


@dataclass(slots=True)
class Found:
    """What opening a folder came upon, and reading since: cut tails, damaged places, files that cannot be read."""

    torn: int = 0
    damaged: int = 0
    unreadable: int = 0


class SpoolLog:
    """`max_bytes` bounds the files; it may be changed at any time. The folder must be held by the caller alone."""

    def __init__(
        self, folder: Path, *, max_bytes: int, disk: Disk | None = None, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.found = Found()
        self._disk = disk or SystemDisk()
        self._segment_bytes = segment_bytes
        self._lock = Lock()
        self._segments: list[Segment] = []
        self._descriptor = -1  # of the last segment, while it is written to
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._file_bytes = 0
        self._oldest_ms = 0
        self._sequence = 0
        self._failed_reads = 0
        self._recover()

    @property
    def bytes(self) -> int:
        """In files and about to be."""
        return self._file_bytes + self._buffered

    @property
    def records(self) -> int:
        """Committed and not acknowledged."""
        with self._lock:
            return sum(segment.records for segment in self._segments)

    @property
    def oldest_ms(self) -> int:
        """When the oldest record that is owed was spooled; 0 if none is."""
        with self._lock:
            return next((segment.oldest_ms for segment in self._segments if not segment.drained), 0)

    @property
    def empty(self) -> bool:
        """Whether nothing is owed and nothing is about to be."""
        with self._lock:
            return not self._buffer and all(segment.drained for segment in self._segments)

    def append(self, records: Sequence[Record], *, now_ms: int, note: str = "") -> list[str]:
        """Take all `records` for the next commit; returns a receipt each. Opens a file if there is none to go on with.

        Raises:
            SpoolFullError: they would exceed `max_bytes`. None is taken.
            SpoolFailedError: no file can be begun. None is taken.
        """
        wanted = sum(map(frames.size, records))
        if self.bytes + wanted > self.max_bytes:
            raise SpoolFullError(f"the spool has reached {self.max_bytes} bytes")
        segment = self._writable()
        receipts = []
        for record in records:
            receipts.append(f"spool-{self.folder.name}-{segment.name.sequence}-{segment.committed + self._buffered}")
            frame = frames.encode(record, marker=segment.name.marker, spooled_at_ms=now_ms, note=note)
            self._buffer.append(frame)
            self._buffered += len(frame)
        self._oldest_ms = self._oldest_ms or now_ms
        return receipts

    def commit(self) -> None:
        """Return when everything appended is on the disk.

        Raises:
            SpoolFailedError: none of it is promised; it is forgotten.
        """
        if not self._buffer:
            return
        segment = self._segments[-1]
        data = b"".join(self._buffer)
        try:
            self._disk.write(self._descriptor, data)
            self._disk.sync(self._descriptor)
        except OSError as error:
            self._forget()
            self.seal()
            raise SpoolFailedError(f"the spool cannot be written: {error.strerror or error}") from error
        with self._lock:
            if segment.drained:
                segment.oldest_ms = self._oldest_ms
            segment.committed += len(data)
            self._file_bytes += len(data)
            segment.records += len(self._buffer)
        self._forget()

    def read(self, most: int) -> Batch | None:
        """At most `most` of the oldest records; None if nothing is owed. The same again until they are acknowledged.

        Raises:
            OSError: the oldest file cannot be read. After some attempts it is laid aside.
        """
        while segment := self._oldest():
            try:
                scan = segment.read(most)
            except OSError:
                self._failed_reads += 1
                if self._failed_reads >= READ_ATTEMPTS:
                    self._lay_aside(segment)
                raise
            self._failed_reads = 0
            records = [entry.record for entry in scan.entries]
            if records:
                with self._lock:
                    segment.oldest_ms = scan.entries[0].spooled_at_ms
                return Batch(segment, records, segment.oldest_ms, scan.end, scan.damaged)
            # Nothing readable is left of what was committed to this file.
            lost = scan.damaged or 1
            self.acknowledge(Batch(segment, [], 0, segment.committed, lost))
        return None

    def acknowledge(self, batch: Batch) -> None:
        """The records of the latest `read` are stored elsewhere."""
        segment = batch.segment
        with self._lock:
            segment.read_to = batch.end
            segment.records = 0 if segment.drained else segment.records - len(batch.records)
            done = segment.drained and not (segment is self._segments[-1] and self._descriptor >= 0)
            if done:
                self._drop(segment)
        if batch.damaged:
            self.found.damaged += batch.damaged
            _damage("damaged").inc(batch.damaged)
            log.warning("spool.damaged", file=str(segment.path), places=batch.damaged)
        if done:
            _remove(segment.path)
        else:
            self._note_read_to(segment)

    def seal(self) -> None:
        """Write no more to the last file; delete it if nothing in it is owed. Nothing may be about to be committed."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
        with self._lock:
            drained = [segment for segment in self._segments if segment.drained]
            for segment in drained:
                self._drop(segment)
        for segment in drained:
            _remove(segment.path)

    def close(self) -> None:
        self._forget()
        self.seal()
        if not self._segments:
            _remove(self.folder / _READ_TO)

    def _oldest(self) -> Segment | None:
        with self._lock:
            return next((segment for segment in self._segments if not segment.drained), None)

    def _forget(self) -> None:
        self._buffer.clear()
        self._buffered = self._oldest_ms = 0

    def _writable(self) -> Segment:
        """The file that goes on. Files only change between commits, so that a commit is one file's."""
        if self._descriptor >= 0 and (self._buffer or self._segments[-1].committed < self._segment_bytes):
            return self._segments[-1]
        self.seal()
        self._sequence += 1
        name = SegmentName.new(self._sequence)
        path = self.folder / str(name)
        try:
            self._descriptor = self._disk.create(path)
            # A file that is not in its folder is not there after a loss of power.
            self._disk.sync_folder(self.folder)
        except OSError as error:
            self.seal()
            _remove(path)
            raise SpoolFailedError(f"the spool cannot begin a file: {error.strerror or error}") from error
        segment = Segment(path, name)
        with self._lock:
            self._segments.append(segment)
        return segment

    def _lay_aside(self, segment: Segment) -> None:
        log.error("spool.unreadable", file=str(segment.path), bytes=segment.owed_bytes)
        with suppress(OSError):
            segment.path.rename(segment.path.with_name(segment.path.name + UNREADABLE))
        self.found.unreadable += 1
        _damage("unreadable").inc()
        with self._lock:
            self._drop(segment)

    def _drop(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self._file_bytes -= segment.committed

    def _recover(self) -> None:
        read_to = noted_read_to(self.folder)
        for name, path in listed(self.folder):
            self._sequence = max(self._sequence, name.sequence)
            segment = Segment(path, name, read_to=read_to.get(path.name, 0))
            try:
                segment.committed = path.stat().st_size
                self._cut(survey_file(segment), path)
            except OSError as error:
                # `read` tries again, and lays it aside if that is in vain.
                log.warning("spool.not_surveyed", file=str(path), error=str(error))
                if not segment.committed:
                    continue
            if segment.drained:
                _remove(path)
            else:
                self._segments.append(segment)
                self._file_bytes += segment.committed

    def _cut(self, survey: Survey, path: Path) -> None:
        if survey.torn_bytes:
            self.found.torn += 1
            _damage("torn").inc()
            log.warning("spool.torn_tail", file=str(path), bytes=survey.torn_bytes)
            with suppress(OSError):  # then it is only counted again next time
                os.truncate(path, survey.end)

    def _note_read_to(self, segment: Segment) -> None:
        """Best effort, and not synced: what it says may be late, not wrong."""
        line = f"{segment.path.name} {segment.read_to}"
        temporary = self.folder / f"{_READ_TO}.new"
        with suppress(OSError):
            temporary.write_text(f"{line} {frames.checksum(line.encode()):08x}\n")
            temporary.replace(self.folder / _READ_TO)


class Survey(NamedTuple):
    """What a file holds behind its `read_to`. `end` is where the last thing understood ends."""

    records: int
    damaged: int
    torn_bytes: int
    end: int


def survey_file(segment: Segment, *, on_entry: Callable[[Entry], None] | None = None) -> Survey:
    """Reads all of the file and sets `committed`, `records` and `oldest_ms` of `segment`. Changes nothing on disk.

    Raises:
        OSError: the file cannot be read.
    """
    size = segment.path.stat().st_size
    ahead = Segment(segment.path, segment.name, committed=size, read_to=min(segment.read_to, size))
    records = damaged = oldest_ms = 0
    while not ahead.drained:
        scan = ahead.read(_SURVEY_RECORDS)
        if scan.end == ahead.read_to:
            break
        ahead.read_to = scan.end
        records += len(scan.entries)
        damaged += scan.damaged
        if scan.entries and not oldest_ms:
            oldest_ms = scan.entries[0].spooled_at_ms
        if on_entry is not None:
            for entry in scan.entries:
                on_entry(entry)
    segment.read_to = min(segment.read_to, ahead.read_to)
    segment.committed, segment.records, segment.oldest_ms = ahead.read_to, records, oldest_ms
    return Survey(records, damaged, size - ahead.read_to, ahead.read_to)


def noted_read_to(folder: Path) -> dict[str, int]:
    """How far the file named in it is read. Empty if nothing is noted, or not soundly."""
    try:
        name, offset, checksum = (folder / _READ_TO).read_text().split()
        sound = frames.checksum(f"{name} {offset}".encode()) == int(checksum, 16)
        return {name: int(offset)} if sound else {}
    except (OSError, ValueError):
        return {}


@cache
def _damage(kind: str) -> Counter:
    return metrics.counter("sluice_collector_spool_damage_total").labels(kind)


def _remove(path: Path) -> None:
    """Best effort: what comes back is sent again, and recognised downstream."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
