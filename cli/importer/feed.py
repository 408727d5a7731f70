"""The reading side of an import: lines become events, events become batches, batches are handed on.

Keeps the position: how many lines were read and a digest of them, by which a later run knows that it reads the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cli.importer.batches import Batch, Batcher, Origin, OutgoingEvent, Position
from cli.importer.formats.line import MalformedLineError
from cli.importer.inputs import Input
from cli.importer.source import RawLine

_DIGEST_BYTES = 16


class ChangedInputError(Exception):
    """The lines that were settled earlier are not what the input begins with. Stays inside the importer."""


class Feed:
    """Reads inputs one after the other. Lines up to `after` are read but not handed on.

    Raises, in `read` and `end`:
        ChangedInputError: the lines up to `after` are others. Nothing was handed on.
    """

    def __init__(self, put: Callable[[Batch], None], *, batch_events: int, after: Position | None) -> None:
        self._put = put
        self._after = after
        self._batcher = Batcher(max_events=batch_events)
        self._digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._position = 0
        self._source: str | None = None
        self._bytes_before = 0
        self.lines_read = 0
        """Lines that count: not those that only describe their file."""

    def read(self, each: Input) -> None:
        if each.source != self._source:
            self._source = each.source
            self._digest.update(b"\0%b\n" % each.source.encode())
        for raw in each.lines:
            self._take(raw, each)
            self._position += 1
            self._digest.update(raw.line)
            self._digest.update(b"\n")
            if self._after is not None and self._position == self._after.lines:
                self._pass_settled(self._after)
        self._hand_on(self._batcher.rest(), each)
        self._bytes_before += each.log.bytes_read

    def end(self) -> None:
        if self._after is not None:
            raise ChangedInputError

    def flush(self) -> None:
        """Hand on what is left of a file that broke off."""
        if (batch := self._batcher.rest()) is not None:
            batch.through = self._through()
            self._put(batch)

    def _take(self, raw: RawLine, each: Input) -> None:
        origin = Origin(each.log.name, raw.number, raw.line)
        try:
            event = each.read(raw)
        except MalformedLineError as error:
            self.lines_read += 1
            if self._after is None:
                self._hand_on(self._batcher.full(0), each)
                self._batcher.add_malformed(origin, error.reason)
            return
        if event is None:
            return
        self.lines_read += 1
        if self._after is None:
            self._hand_on(self._batcher.full(len(event.body)), each)
            self._batcher.add(OutgoingEvent(origin, *event))

    def _pass_settled(self, after: Position) -> None:
        if self._through() != after:
            raise ChangedInputError
        self._after = None

    def _hand_on(self, batch: Batch | None, each: Input) -> None:
        if batch is not None:
            batch.bytes_read = self._bytes_before + each.log.bytes_read
            batch.through = self._through()
            self._put(batch)

    def _through(self) -> Position:
        return Position(self._position, self._digest.hexdigest())
