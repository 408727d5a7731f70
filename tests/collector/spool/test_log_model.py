"""The log against a model: whatever is appended, committed, torn, flipped, reopened, drained and acknowledged.

The model is a list of all records in the order of the log. One that was committed must come out, in its place; one that
was not, or was hit, or was acknowledged before a crash, may. Nothing else comes out.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector.publisher import Record
from collector.spool import segments
from collector.spool.log import SpoolFailedError, SpoolFullError, SpoolLog
from collector.spool.segments import SegmentName, listed
from tests.collector.spool.disks import EIO, ENOSPC, FailingDisk

SEGMENT_BYTES = 600
MAX_BYTES = 4_000
_SIZES = st.lists(st.integers(0, 200), min_size=1, max_size=4)


@dataclass
class Entry:
    """`must`: it was promised and nothing happened to it. `hit`: it lost `must` to a flipped bit."""

    value: bytes
    file: int
    offset: int
    must: bool = False
    hit: bool = False
    acknowledged: bool = False


# Smaller than many records, so that reading meets its ends everywhere.
WINDOW_BYTES = 150


class SpoolModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="spool-"))
        self.entries: list[Entry] = []
        self.uncommitted: list[Entry] = []
        self.notes: list[bytes] = []
        self.number = 0
        self.counted = 0
        self.lost: list[Entry] = []

    @initialize()
    def begin(self) -> None:
        self.window = segments.WINDOW_BYTES
        segments.WINDOW_BYTES = WINDOW_BYTES
        self.open()

    def open(self) -> None:
        self.disk = FailingDisk()
        self.log = SpoolLog(self.folder, max_bytes=MAX_BYTES, disk=self.disk, segment_bytes=SEGMENT_BYTES)

    def files(self) -> dict[int, Path]:
        return {name.sequence: path for name, path in listed(self.folder)}

    # What happens.

    @rule(sizes=_SIZES)
    def append_and_commit(self, sizes: list[int]) -> None:
        self.append(sizes)
        self.commit()

    @rule(sizes=_SIZES)
    def append(self, sizes: list[int]) -> None:
        records = []
        for size in sizes:
            self.number += 1
            records.append(Record(b"k%d" % self.number, b"%d:" % self.number + b"x" * size))
        try:
            receipts = self.log.append(records, now_ms=self.number)
        except SpoolFullError:
            assert self.log.bytes + sum(sizes) + 100 * len(sizes) > MAX_BYTES
            return
        for record, receipt in zip(records, receipts, strict=True):
            *_, file, offset = receipt.split("-")
            self.uncommitted.append(Entry(record.value, int(file), int(offset)))
        self.entries += self.uncommitted[-len(records) :]

    @rule()
    def commit(self) -> None:
        self.log.commit()
        for entry in self.uncommitted:
            entry.must = True
        self.uncommitted = []

    @precondition(lambda self: self.uncommitted)
    @rule(call=st.sampled_from(["write", "tear", "sync"]), torn=st.integers(0, 400), why=st.sampled_from([EIO, ENOSPC]))
    def fail_to_commit(self, call: str, torn: int, why: int) -> None:
        self.disk.fail[call], self.disk.torn = why, torn
        syncs = self.disk.syncs
        with pytest.raises(SpoolFailedError):
            self.log.commit()
        assert self.disk.syncs - syncs == (call == "sync"), "a failed sync is not repeated"
        self.uncommitted = []

    @rule(call=st.sampled_from(["create", "sync_folder"]))
    def fail_to_begin(self, call: str) -> None:
        self.disk.fail[call] = ENOSPC
        self.number += 1
        value = b"%d:" % self.number
        try:
            [receipt] = self.log.append([Record(b"k", value)], now_ms=1)
        except SpoolFullError:
            pass
        except SpoolFailedError:
            assert call not in self.disk.fail
        else:
            *_, file, offset = receipt.split("-")
            self.uncommitted.append(Entry(value, int(file), int(offset)))
            self.entries.append(self.uncommitted[-1])
        self.disk.fail.clear()

    @rule()
    def drain_all(self) -> None:
        while not self.log.empty and self._drain(5, acknowledged=True):
            pass

    @rule(most=st.integers(1, 5), acknowledged=st.sampled_from([True, True, False]))
    def drain(self, most: int, acknowledged: bool) -> None:
        self._drain(most, acknowledged)

    def _drain(self, most: int, acknowledged: bool) -> bool:
        batch = self.log.read(most)
        passed = self.expect([] if batch is None else [record.value for record in batch.records])
        if batch is not None and acknowledged:
            self.log.acknowledge(batch)
            for entry in passed:
                entry.acknowledged = True
        note = self.folder / "read_to"
        if note.exists():
            self.notes.append(note.read_bytes())
        return batch is not None

    def expect(self, values: list[bytes]) -> list[Entry]:
        """`values` are the next of the model; returns what they pass over, themselves included."""
        owed = [entry for entry in self.entries if not entry.acknowledged]
        at = 0
        for value in values:
            while at < len(owed) and owed[at].value != value:
                assert not owed[at].must, f"{owed[at]} was lost before {value!r}"
                at += 1
            assert at < len(owed), f"{value!r} is not owed"
            at += 1
        if not values:
            assert not any(entry.must for entry in owed), "nothing is read although something is owed"
        return owed[:at]

    @rule(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def flip(self, at: float, bit: int) -> None:
        """A bit anywhere in any file."""
        files = self.files()
        places = [(number, n) for number, path in sorted(files.items()) for n in range(path.stat().st_size)]
        if not places:
            return
        number, offset = places[int(at * len(places))]
        data = bytearray(files[number].read_bytes())
        data[offset] ^= 1 << bit
        files[number].write_bytes(data)
        hit = [e for e in self.entries if e.file == number and e.offset <= offset]
        if hit:
            last = max(hit, key=lambda entry: entry.offset)
            last.hit = last.hit or (last.must and not last.acknowledged)
            last.must = False

    @rule(kept=st.floats(0, 1), note=st.sampled_from(["closed", "kept", "lost", "old", "torn", "flipped"]))
    def end(self, kept: float, note: str) -> None:
        """It is closed; or the power goes: what was not synced is there in part, and the note of what was drained may
        be old.
        """
        if note == "closed":
            self.log.close()
        for path in self.files().values():
            size = path.stat().st_size
            sure = self.disk.synced.get(path, size)
            with path.open("rb+") as file:
                file.truncate(sure + int(kept * (size - sure)))
        path = self.folder / "read_to"
        if note == "lost":
            path.unlink(missing_ok=True)
        elif note == "old" and self.notes:
            path.write_bytes(self.notes[int(kept * (len(self.notes) - 1))])
        elif note == "torn" and path.exists():
            path.write_bytes(path.read_bytes()[: int(kept * 40)])
        elif note == "flipped" and path.exists() and (data := bytearray(path.read_bytes())):
            data[int(kept * (len(data) - 1))] ^= 1
            path.write_bytes(data)
        self.reopen()

    def reopen(self) -> None:
        self.count()
        files = self.files()
        # A number may be used again once its file is gone.
        self.lost += [e for e in self.entries if e.hit and not e.acknowledged and e.file not in files]
        self.entries = [e for e in self.entries if e.file in files or (e.must and not e.acknowledged)]
        for entry in self.entries:
            if entry.file in files:
                # It may come again: that it was acknowledged is noted without a sync.
                entry.must = entry.must and not entry.acknowledged
                entry.acknowledged = False
        self.uncommitted = []
        self.open()

    def count(self) -> None:
        self.counted += self.log.found.damaged + self.log.found.torn

    # What must hold at any time.

    @invariant()
    def within_its_bounds(self) -> None:
        if self.number:
            assert self.log.bytes <= MAX_BYTES or not self.log.empty
            assert sum(path.stat().st_size for path in self.files().values()) <= MAX_BYTES + 2 * SEGMENT_BYTES

    @invariant()
    def empty_means_nothing_owed(self) -> None:
        if self.number and self.log.empty:
            assert not any(entry.must and not entry.acknowledged for entry in self.entries)
            assert not self.uncommitted

    def teardown(self) -> None:
        if hasattr(self, "log"):
            while batch := self.log.read(3):
                for entry in self.expect([record.value for record in batch.records]):
                    entry.acknowledged = True
                self.log.acknowledge(batch)
            self.expect([])
            self.count()
            self.lost += [entry for entry in self.entries if entry.hit and not entry.acknowledged]
            assert self.counted or not self.lost, "what was lost to damage was counted"
            self.log.close()
            assert not self.files(), "all is drained, and no file is left"
            segments.WINDOW_BYTES = self.window
        shutil.rmtree(self.folder)


TestSpoolModel = pytest.mark.filterwarnings("ignore::ResourceWarning")(SpoolModel.TestCase)
TestSpoolModel.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


def test_names_of_files_keep_their_order() -> None:
    names = [SegmentName(number, bytes([255 - number]) * 8) for number in range(20)]
    assert sorted(map(str, names)) == list(map(str, names))
    assert [SegmentName.parse(str(name)) for name in names] == names
    assert SegmentName.parse("0000000000000001-91c4b0a7d52e8f36.v2.spool") is None
