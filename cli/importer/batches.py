"""Lines gathered into batches, bounded by number and by bytes. A batch is settled as a whole: its malformed lines are
counted when its events are, so that totals and rejects agree at any moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from cli.importer.formats.line import Reason

# The collector takes 1 MiB after inflation; what frames the events needs little of the rest.
MAX_BATCH_BYTES = 960 * 1024


class Origin(NamedTuple):
    """Where a line stands."""

    file: str
    number: int
    raw: bytes


class OutgoingEvent(NamedTuple):
    origin: Origin
    body: bytes
    """JSON of one event."""
    event_id: str
    """Empty if what stands there is no id: the collector will say so."""
    occurred_at: datetime | None
    """None if the event does not say."""


class Position(NamedTuple):
    """How far into an import: lines of all its files in the order of reading, and a digest of what they say."""

    lines: int
    digest: str


_START = Position(0, "")


@dataclass(slots=True)
class Batch:
    """`bytes_read` and `through` are how far into its input the import is once this batch is settled."""

    events: list[OutgoingEvent] = field(default_factory=list)
    malformed: list[tuple[Origin, Reason]] = field(default_factory=list)
    bytes_read: int = 0
    through: Position = _START

    def __len__(self) -> int:
        return len(self.events) + len(self.malformed)


class Batcher:
    """The batch that is being filled. The caller sends what `full` and `rest` give."""

    def __init__(self, *, max_events: int, max_bytes: int = MAX_BATCH_BYTES) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._batch = Batch()
        self._bytes = 0

    def full(self, event_bytes: int) -> Batch | None:
        """The batch, if one more line with `event_bytes` of JSON would not fit."""
        fits = len(self._batch) < self._max_events and self._bytes + event_bytes < self._max_bytes
        return None if fits else self.rest()

    def add(self, event: OutgoingEvent) -> None:
        self._batch.events.append(event)
        self._bytes += len(event.body) + 1  # the comma

    def add_malformed(self, origin: Origin, reason: Reason) -> None:
        self._batch.malformed.append((origin, reason))

    def rest(self) -> Batch | None:
        """What was gathered, or None; the next batch starts empty."""
        batch, self._batch, self._bytes = self._batch, Batch(), 0
        return batch if len(batch) else None
