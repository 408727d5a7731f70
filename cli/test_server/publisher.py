"""A publisher behind which the whole stream step runs at once: validate, deduplicate, encode, as in production.

One partition, where a real stack has several: so a repeated id is found whatever its visitor is. Keeps nothing but the
dedupe window; whoever handles the request gets the outcomes through `outcomes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from cli.tail.sighting import Sighting, from_curated, from_dead_letter, from_raw
from collector.publisher import Done, Fate, Record
from core.clock import Clock
from core.errors import InvariantError
from core.settings import Settings
from schemas.contracts import Contracts
from streams.batch import PartitionResult, RawRecord, process
from streams.records import encode_dead_letter
from streams.window import DedupeWindow, pack

_PARTITION = 0
_outcomes: ContextVar[list[Sighting] | None] = ContextVar("outcomes", default=None)


@contextmanager
def outcomes() -> Iterator[list[Sighting]]:
    """Outcomes of what is published inside, in the order of the records."""
    found: list[Sighting] = []
    token = _outcomes.set(found)
    try:
        yield found
    finally:
        _outcomes.reset(token)


class StreamPublisher:
    """The stream step as a `Publisher`. Belongs to one event loop."""

    def __init__(self, settings: Settings, *, contracts: Contracts, clock: Clock) -> None:
        self._settings = settings
        self._contracts = contracts
        self._clock = clock
        self._offset = 0
        self.forget()

    def forget(self) -> None:
        """Forget which events were seen."""
        self._window = DedupeWindow(
            max_age_ms=self._settings.dedupe_window_hours * 3_600_000, max_ids=self._settings.dedupe_window_ids
        )

    async def publish(self, records: Sequence[Record]) -> Sequence[Fate]:
        return self._processed(records)

    def submit(self, records: Sequence[Record], done: Done) -> None:
        done(self._processed(records))

    def _processed(self, records: Sequence[Record]) -> Sequence[Fate]:
        first = self._offset
        if records:
            now_ms = self._clock.now_ms()
            raw = [RawRecord(self._offset + at, now_ms, key, value) for at, (key, value, _) in enumerate(records)]
            self._offset += len(raw)
            result = process(_PARTITION, raw, window=self._window, contracts=self._contracts)
            self._window.add(pack(result.new_ids), offsets=result.new_offsets, arrival_ms=result.last_arrival_ms)
            found = _outcomes.get()
            if found is not None:
                found.extend(_sightings(result, raw))
        return [f"memory-{_PARTITION}-{offset}" for offset in range(first, self._offset)]

    def trouble(self) -> str:
        return ""

    def detail(self) -> Mapping[str, object]:
        return {}


def _sightings(result: PartitionResult, records: Sequence[RawRecord]) -> Iterator[Sighting]:
    """One a record, decoded from what would be written to Kafka."""
    if result.outcome is None:
        raise InvariantError("a batch has no outcome")
    curated, letters = iter(result.curated), iter(result.dead_letters)
    kinds = (run.outcome for run in result.outcome.runs for _ in range(run.count))
    for kind, record in zip(kinds, records, strict=True):
        match kind:
            case "curated":
                yield from_curated(next(curated).value)
            case "dead_letter":
                yield from_dead_letter(encode_dead_letter(next(letters)))
            case "duplicate":
                value = record.value or b""
                yield from_raw(kind, _PARTITION, record.offset, arrival_ms=record.arrival_ms, value=value)
