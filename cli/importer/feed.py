"""The reading side of an import: lines become events, events become batches, batches are handed on."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from cli.importer.batches import Batch, Batcher, Origin, OutgoingEvent
from cli.importer.checked import CheckedLog
from cli.importer.line import MalformedLineError, is_unfinished, parse_line
from cli.importer.mapping import Event, LineMapper, Mapping
from cli.importer.source import RawLine


class Feed:
    """Reads logs one after the other; those of one source share what tells their lines and sessions apart."""

    def __init__(self, put: Callable[[Batch], None], *, mapping: Mapping, batch_events: int) -> None:
        self._put = put
        self._mapping = mapping
        self._mappers: dict[str, LineMapper] = {}
        self._batcher = Batcher(max_events=batch_events)
        self._encoder = msgspec.json.Encoder()
        self._bytes_before = 0
        self.lines_read = 0

    def read(self, log: CheckedLog) -> None:
        mapper = self._mappers.setdefault(log.source, LineMapper(log.source, self._mapping))
        for raw in log.lines:
            self.lines_read += 1
            origin = Origin(log.log.name, raw.number, raw.line)
            try:
                body = self._encoder.encode(_event(raw, mapper))
            except MalformedLineError as error:
                self._hand_on(self._batcher.full(0), log)
                self._batcher.add_malformed(origin, error.reason)
            else:
                self._hand_on(self._batcher.full(len(body)), log)
                self._batcher.add(OutgoingEvent(origin, body))
        self._hand_on(self._batcher.rest(), log)
        self._bytes_before += log.log.bytes_read

    def flush(self) -> None:
        """Hand on what is left of a log that broke off."""
        if (batch := self._batcher.rest()) is not None:
            self._put(batch)

    def _hand_on(self, batch: Batch | None, log: CheckedLog) -> None:
        if batch is not None:
            batch.bytes_read = self._bytes_before + log.log.bytes_read
            self._put(batch)


def _event(raw: RawLine, mapper: LineMapper) -> Event:
    if raw.too_long:
        raise MalformedLineError("too_long")
    if not raw.ended and is_unfinished(raw.line):
        # It may still be being written: sent now, it would be another event once it is whole.
        raise MalformedLineError("unfinished")
    return mapper.event(raw.line, parse_line(raw.line))
