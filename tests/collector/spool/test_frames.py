"""Records as bytes: what goes in comes out, and damage costs what it hit."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.publisher import Record
from collector.spool import frames

MARKER = bytes.fromhex("91c4b0a7d52e8f36")
RECORDS = st.lists(st.builds(Record, st.binary(max_size=20), st.binary(max_size=60), st.booleans()), max_size=8)


def written(records: list[Record]) -> tuple[bytes, list[int]]:
    """The file of `records` and where each begins, with the end of the last."""
    parts = [frames.encode(record, marker=MARKER, spooled_at_ms=at) for at, record in enumerate(records)]
    return b"".join(parts), [0, *accumulate(map(len, parts))]


def found(data: bytes, *, most: int = 1_000) -> frames.Scan:
    return frames.scan(data, marker=MARKER, most=most)


def records_of(scan: frames.Scan) -> list[Record]:
    return [entry.record for entry in scan.entries]


def test_the_checksum_is_crc32c() -> None:
    """Vectors of RFC 3720, appendix B.4."""
    assert frames.checksum(bytes(32)) == 0x8A9136AA
    assert frames.checksum(b"\xff" * 32) == 0x62A8AB43
    assert frames.checksum(bytes(range(32))) == 0x46DD794E


@given(RECORDS)
def test_what_was_written_is_found(records: list[Record]) -> None:
    data, starts = written(records)
    scan = found(data)
    assert records_of(scan) == records
    assert [entry.spooled_at_ms for entry in scan.entries] == list(range(len(records)))
    assert [entry.start for entry in scan.entries] == starts[:-1]
    assert (scan.damaged, scan.end) == (0, len(data))
    assert [frames.size(record) for record in records] == [b - a for a, b in pairwise(starts)]


def test_a_note_is_kept() -> None:
    data = frames.encode(Record(b"k", b"v"), marker=MARKER, spooled_at_ms=5, note="größer als erlaubt")
    [entry] = found(data).entries
    assert (entry.record, entry.note, entry.spooled_at_ms) == (Record(b"k", b"v"), "größer als erlaubt", 5)


@given(RECORDS, st.data())
def test_a_torn_file_is_read_up_to_its_last_whole_record(records: list[Record], data: st.DataObject) -> None:
    whole, starts = written(records)
    length = data.draw(st.integers(0, len(whole)))
    scan = found(whole[:length])
    kept = sum(end <= length for end in starts[1:])
    assert records_of(scan) == records[:kept]
    assert (scan.damaged, scan.end) == (0, starts[kept])


@given(RECORDS.filter(bool), st.data())
def test_a_flipped_bit_costs_one_record(records: list[Record], data: st.DataObject) -> None:
    whole, starts = written(records)
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    scan = found(bytes(flipped))
    hit = sum(start <= bit // 8 for start in starts) - 1
    assert records_of(scan) == records[:hit] + records[hit + 1 :]
    # At the very end, a record that was damaged may look like one that was never finished.
    assert scan.damaged == 1 or (hit == len(records) - 1 and scan.end == starts[hit])


@given(RECORDS.filter(bool), st.data())
def test_overwritten_bytes_cost_the_records_they_lie_in(records: list[Record], data: st.DataObject) -> None:
    whole, starts = written(records)
    first = data.draw(st.integers(0, len(whole) - 1))
    last = data.draw(st.integers(first, len(whole) - 1))
    scan = found(whole[:first] + bytes(last + 1 - first) + whole[last + 1 :])
    left = {r.start for r in scan.entries}
    touched = {s for s, e in pairwise(starts) if s <= last and e > first}
    assert left >= set(starts[:-1]) - touched
    assert scan.damaged + (scan.end < len(whole)) >= bool(set(starts[:-1]) - left)


@given(RECORDS, st.binary(max_size=40), st.integers(1, 4))
def test_rubbish_never_becomes_a_record(records: list[Record], rubbish: bytes, most: int) -> None:
    data, _ = written(records)
    assert records_of(found(rubbish + data + rubbish)) == records
    assert records_of(found(rubbish + data, most=most)) == records[:most]
    assert not found(rubbish).entries


@given(RECORDS.filter(lambda records: len(records) > 1), st.data())
def test_a_window_leaves_its_end_to_one_that_sees_more(records: list[Record], data: st.DataObject) -> None:
    whole, starts = written(records)
    length = data.draw(st.integers(0, len(whole)))
    scan = frames.scan(whole[:length], marker=MARKER, whole=False)
    rest = frames.scan(whole[scan.end :], marker=MARKER, at=scan.end)
    assert records_of(scan) + records_of(rest) == records
    assert [entry.start for entry in (*scan.entries, *rest.entries)] == starts[:-1]


def test_a_record_inside_a_record_is_not_found() -> None:
    """A client that knows the format, but not the marker, hides a record in an event that is then damaged."""
    hidden = frames.encode(Record(b"other|v", b"forged"), marker=bytes(8), spooled_at_ms=0)
    data, _ = written([Record(b"demo|v", hidden), Record(b"demo|v", b"next")])
    damaged = data[:9] + bytes([data[9] ^ 1]) + data[10:]
    assert records_of(found(damaged)) == [Record(b"demo|v", b"next")]


@pytest.mark.parametrize("value", [b"", b"x" * (2 << 20)])
def test_the_smallest_and_the_largest(value: bytes) -> None:
    data, _ = written([Record(b"", value)])
    assert records_of(found(data)) == [Record(b"", value)]
