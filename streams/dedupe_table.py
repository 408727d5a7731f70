"""Which of many ids are remembered, and where: a hash table over segments, asked and filled a batch at a time.

A remembered id is 24 bytes in a segment (id and offset) and one 8-byte slot here: 32 bits of its hash and the number
of its entry. Ids are hashes already, so the address is taken from their own bits. Each id has two buckets of eight
slots and goes to the emptier one, so that hardly any finds both full before the table is more than half full. A slot
match is a hint only; an id is found when all its 128 bits are equal.

Nothing is ever deleted from the table. A slot whose entry is forgotten is free, and forgetting moves a mark in the
segment (`_live_from`). The table doubles by splitting each bucket along the next bit of the hash: a sequential pass
that needs no ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.ids import DEDUPE_ID_BYTES
from streams.segment import Halves, Positions, Segment

# Segment number (high 16 bits) and position in the segment (low 16 bits). 0 is no entry: there is no segment 0.
Entries: TypeAlias = NDArray[np.uint32]

_POSITION_BITS = 16
_POSITION_MASK = (1 << _POSITION_BITS) - 1
SEGMENT_IDS = 1 << _POSITION_BITS
# Numbers, 0 included. When they are used up, after some 4 billion ids, segments are numbered anew.
_SEGMENTS = 1 << 16
# Greater than any position: nothing in the segment is live.
_NONE_LIVE = 1 << _POSITION_BITS

# Free slots of a bucket are found as the non-zero bytes of one 64-bit word, so this is not to be tuned.
_WAYS = 8
_FIRST_BITS = 7
# Above it many ids find both buckets full while a table fills.
_MAX_LOAD = 0.75
# Above it the table doubles as soon as an id finds no slot: in a sliding window that happens from three fifths on.
# Below it the id met ids that were chosen to collide. Doubling would not part them, so it is set aside.
_MIN_LOAD = 0.5
# Rows of a split done at once, so that temporaries stay in the cache.
_SPLIT_ROWS = 1 << 13


class DedupeTable:
    """`segment_ids` and `segments` are smaller than here only in tests."""

    def __init__(self, *, segment_ids: int = SEGMENT_IDS, segments: int = _SEGMENTS) -> None:
        self.segment_ids = segment_ids
        self._bits = _FIRST_BITS
        self._hashes: NDArray[np.uint32] = np.zeros((1 << self._bits, _WAYS), np.uint32)
        self._slots: Entries = np.zeros((1 << self._bits, _WAYS), np.uint32)
        self._segments: dict[int, Segment] = {}
        self._next_number = 1
        self._live_from: NDArray[np.uint32] = np.full(segments, _NONE_LIVE, np.uint32)
        self._set_aside: dict[bytes, int] = {}  # ids whose both buckets were full

    @property
    def nbytes(self) -> int:
        """Bytes of the slots and of what segments use."""
        of_segments = sum(segment.nbytes for segment in self._segments.values())
        return self._hashes.nbytes + self._slots.nbytes + self._live_from.nbytes + of_segments

    # -- segments

    def open_segment(self) -> Segment:
        if self._next_number == len(self._live_from):
            self._renumber()
        segment = Segment(self._next_number, room=self.segment_ids)
        self._next_number += 1
        self._segments[segment.number] = segment
        self._live_from[segment.number] = 0
        return segment

    def forget(self, segment: Segment) -> None:
        """Take over what the segment has forgotten; drop it if that is everything."""
        if segment.empty:
            del self._segments[segment.number]
            self._live_from[segment.number] = _NONE_LIVE
            if self._set_aside:
                self._set_aside = {key: entry for key, entry in self._set_aside.items() if self._alive(entry)}
        else:
            self._live_from[segment.number] = segment.forgotten

    # -- ids

    def locate(self, halves: Halves) -> tuple[Entries, Positions]:
        """Entry of each id (0: not remembered) and its slot (-1: none, or set aside)."""
        found = np.zeros(len(halves), np.uint32)
        slots = np.full(len(halves), -1, np.intp)
        asked, at = self._matches(halves)
        entries = self._slots.ravel().take(at)
        live = np.flatnonzero(self._live(entries))
        same = live[self._equal(entries[live], _rows_of(halves, asked[live]))]
        found[asked[same]], slots[asked[same]] = entries[same], at[same]
        if self._set_aside:
            for missed in np.flatnonzero(found == 0):
                entry = self._set_aside.get(halves[missed].tobytes(), 0)
                found[missed] = entry if self._alive(entry) else 0
        return found, slots

    def place(self, halves: Halves, entries: Entries, *, remembered: int) -> None:
        """Make ids that are not remembered findable; `remembered` are all, these included."""
        while remembered > self._slots.size * _MAX_LOAD:
            self._split()
        pending = np.arange(len(halves))
        while pending.size:
            slots, hashes = self._free_slots(_rows_of(halves, pending))
            homeless = pending[slots < 0]
            if homeless.size and remembered > self._slots.size * _MIN_LOAD:
                self._split()
                continue
            if homeless.size:
                self._set_aside.update(zip(_keys(halves[homeless]), entries[homeless].tolist(), strict=True))
                housed = slots >= 0
                pending, slots, hashes = pending[housed], slots[housed], hashes[housed]
            # Of those that chose the same slot one stays, the others choose again.
            flat, wanted = self._slots.ravel(), entries[pending]
            flat[slots] = wanted
            placed = flat[slots] == wanted
            self._hashes.ravel()[slots[placed]] = hashes[placed]
            pending = pending[~placed]

    def repoint(self, halves: Halves, slots: Positions, entries: Entries) -> None:
        """Let ids that `locate` found at `slots` be found at other entries."""
        aside = slots < 0
        self._slots.ravel()[slots[~aside]] = entries[~aside]
        self._set_aside.update(zip(_keys(halves[aside]), entries[aside].tolist(), strict=True))

    def grouped(self, entries: Entries) -> Iterator[tuple[Segment, Positions, Positions]]:
        """Segments that live entries are in, each with the indices into `entries` and the positions in the segment."""
        numbers = (entries >> _POSITION_BITS).astype(np.uint16)
        order = np.argsort(numbers, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
            if group.size:
                positions = (entries[group] & _POSITION_MASK).astype(np.intp)
                yield self._segments[int(numbers[group[0]])], group, positions

    # -- slots

    def _rows(self, hashes: NDArray[np.uint32]) -> Positions:
        return (hashes >> (32 - self._bits)).astype(np.intp)

    def _matches(self, halves: Halves) -> tuple[Positions, Positions]:
        """Pairs of an id's position in `halves` and a slot with its hash, in use or not."""
        asked, at = [], []
        for hashes in _hashes(halves):
            rows = self._rows(hashes)
            hits = np.flatnonzero(self._hashes.take(rows, axis=0) == hashes[:, None])
            asked.append(hits // _WAYS)
            at.append(rows[asked[-1]] * _WAYS + hits % _WAYS)
        return np.concatenate(asked), np.concatenate(at)

    def _free_slots(self, halves: Halves) -> tuple[Positions, NDArray[np.uint32]]:
        """For each id a free slot of its emptier bucket (-1: both are full) and the hash to be written there."""
        first, second = _hashes(halves)
        rows, other_rows = self._rows(first), self._rows(second)
        free, other_free = self._free(rows), self._free(other_rows)
        other = np.bitwise_count(other_free) > np.bitwise_count(free)
        free = np.where(other, other_free, free)
        # The lowest byte that is set tells the way.
        ways = np.bitwise_count((free & -free) - 1) >> 3
        slots: Positions = np.where(other, other_rows, rows) * _WAYS + ways
        slots[free == 0] = -1
        return slots, np.where(other, second, first)

    def _free(self, rows: Positions) -> NDArray[np.uint64]:
        """A 64-bit word a bucket; byte i is 1 if way i is free."""
        words: NDArray[np.uint64] = (~self._live(self._slots.take(rows, axis=0))).view("<u8")[:, 0]
        return words

    def _split(self) -> None:
        hashes, slots, bits = self._hashes, self._slots, self._bits
        self._bits += 1
        self._hashes = np.zeros((len(hashes) * 2, _WAYS), np.uint32)
        self._slots = np.zeros((len(slots) * 2, _WAYS), np.uint32)
        # A bucket's children lie side by side, because rows are numbered by the upper bits of the hash.
        new_hashes, new_slots = self._hashes.reshape(-1, 2, _WAYS), self._slots.reshape(-1, 2, _WAYS)
        for start in range(0, len(hashes), _SPLIT_ROWS):
            part = slice(start, start + _SPLIT_ROWS)
            live = self._live(slots[part])
            upper = hashes[part] & np.uint32(1 << (31 - bits)) != 0
            for child, keep in enumerate((live & ~upper, live & upper)):
                np.copyto(new_hashes[part, child], hashes[part], where=keep)
                np.copyto(new_slots[part, child], slots[part], where=keep)

    def _renumber(self) -> None:
        """Number the segments anew from 1. Slots keep their places."""
        new = np.zeros(len(self._live_from), np.uint32)
        live_from = np.full(len(new), _NONE_LIVE, np.uint32)
        for number, segment in enumerate(self._segments.values(), start=1):
            new[segment.number], live_from[number] = number, self._live_from[segment.number]
            segment.number = number
        for start in range(0, len(self._slots), _SPLIT_ROWS):
            part = self._slots[start : start + _SPLIT_ROWS]
            moved = (new.take(part >> _POSITION_BITS) << _POSITION_BITS) | (part & _POSITION_MASK)
            part[:] = np.where(self._live(part), moved, 0)
        self._set_aside = {
            key: int(new[entry >> _POSITION_BITS]) << _POSITION_BITS | entry & _POSITION_MASK
            for key, entry in self._set_aside.items()
        }
        self._segments = {segment.number: segment for segment in self._segments.values()}
        self._live_from = live_from
        self._next_number = len(self._segments) + 1
        if self._next_number == len(self._live_from):
            raise OverflowError("a dedupe window holds no more segments")

    # -- entries

    def _live(self, entries: Entries) -> NDArray[np.bool_]:
        live: NDArray[np.bool_] = self._live_from.take(entries >> _POSITION_BITS) <= (entries & _POSITION_MASK)
        return live

    def _alive(self, entry: int) -> bool:
        return bool(self._live_from[entry >> _POSITION_BITS] <= entry & _POSITION_MASK)

    def _equal(self, entries: Entries, halves: Halves) -> NDArray[np.bool_]:
        equal = np.empty(len(entries), np.bool_)
        for segment, indices, positions in self.grouped(entries):
            held, asked = _rows_of(segment.halves, positions), _rows_of(halves, indices)
            equal[indices] = (held[:, 0] == asked[:, 0]) & (held[:, 1] == asked[:, 1])
        return equal


def entry_numbers(segment: Segment, positions: Positions) -> Entries:
    return (positions | (segment.number << _POSITION_BITS)).astype(np.uint32)


def halves_of(packed: bytes) -> Halves:
    """16-byte ids, one after the other, as numbers; a view, not a copy."""
    return np.frombuffer(packed, np.uint64).reshape(-1, 2)


def first_positions(packed: bytes) -> Positions:
    """For each 16-byte id of a batch the position of its first occurrence in the batch: its own if it is the first."""
    halves = halves_of(packed)
    firsts = np.arange(len(halves))
    order = np.argsort(halves[:, 0])
    upper = halves[order, 0]
    same = upper[1:] == upper[:-1]
    if not same.any():
        return firsts
    # Only ids with equal upper halves can be repeats, and they are few.
    suspects = np.sort(order[np.append(same, False) | np.insert(same, 0, False)])
    seen: dict[bytes, int] = {}
    for at, key in zip(suspects.tolist(), _keys(halves[suspects]), strict=True):
        firsts[at] = seen.setdefault(key, at)
    return firsts


def _rows_of(halves: Halves, at: Positions) -> Halves:
    # Several times as fast as indexing.
    return halves.take(at, axis=0)


def _hashes(halves: Halves) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    words = halves.view(np.uint32)
    return np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1])


def _keys(halves: Halves) -> list[bytes]:
    packed = halves.tobytes()
    return [packed[i : i + DEDUPE_ID_BYTES] for i in range(0, len(packed), DEDUPE_ID_BYTES)]
