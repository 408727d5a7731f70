"""What becomes of a batch: read the events, call the processor, encode what it gives back.

No Kafka here. A record that cannot be read, and an event that the processor raises on, becomes a dead letter and
costs no neighbour: a batch that raises is halved until the event that does it stands alone.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.errors import InputError, SluiceError
from schemas.registry import Registry
from streams.processor.declaration import Processor
from streams.processor.emit import Emit, encoder
from streams.processor.event import Event, Reader
from streams.tracing import trace_headers
from streams.transaction import Headers

_REASON_CHARS = 1_000


class SourceRecord(NamedTuple):
    """One record of the source topic. `arrival_ms` is its timestamp, the arrival time of the raw record."""

    partition: int
    offset: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None
    traceparent: str = ""


class Written(NamedTuple):
    """One record to write; `topic` is without the prefix."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    timestamp_ms: int
    headers: Headers = None


@dataclass(slots=True)
class Result:
    """What a batch became. `counts` has events `processed`, `dead_letter` and `skipped` (of other contracts)."""

    written: list[Written] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    first_failure: str = ""


class ProcessorStoppedError(SluiceError):
    """The processor raised on an event and is declared to stop then. Nothing of its batch was published."""

    code = "processor_stopped"


class Step:
    """One processor with its encoders.

    Raises:
        ConfigError: the registry lacks its contract or the schema of an output.
    """

    def __init__(self, processor: Processor[Any], registry: Registry) -> None:
        processor.check_contract(registry)
        self._processor = processor
        self._reader = Reader(processor.schema, properties_type=processor.properties_type)
        self._encoders = {output.name: encoder(output, registry) for output in processor.outputs}

    def run(self, records: Sequence[SourceRecord]) -> Result:
        """What `records` become. They may be of several partitions, each in offset order.

        Raises:
            ProcessorStoppedError: an event failed, and the processor is declared to stop.
        """
        result = Result()
        wanted: list[tuple[SourceRecord, Event[Any]]] = []
        for record in records:
            try:
                event = self._reader.read(
                    record.partition, record.offset, record.key, record.value or b"", record.traceparent
                )
            except InputError as error:
                self._failed(record, error, result)
                continue
            if event is None:
                result.counts["skipped"] += 1
            else:
                wanted.append((record, event))
        if self._processor.batches:
            self._take(wanted, result)
        else:
            for pair in wanted:
                self._take([pair], result)
        return result

    def _take(self, pairs: list[tuple[SourceRecord, Event[Any]]], result: Result) -> None:
        if not pairs:
            return
        try:
            written = self._called([event for _, event in pairs])
        except Exception as error:  # noqa: BLE001 (code of strangers: whatever it raises is the event's fate)
            if len(pairs) == 1:
                self._failed(pairs[0][0], error, result, pairs[0][1])
                return
        else:
            result.written += written
            result.counts["processed"] += len(pairs)
            return
        middle = len(pairs) // 2
        self._take(pairs[:middle], result)
        self._take(pairs[middle:], result)

    def _called(self, events: list[Event[Any]]) -> list[Written]:
        emits = self._processor(events if self._processor.batches else events[0])
        # Nothing is written before all of it was made: a generator may raise after its first record.
        return [self._written(emit) for emit in emits or ()]

    def _written(self, emit: Emit) -> Written:
        if not isinstance(emit, Emit):
            raise TypeError(f"a processor gives Emit objects, not {type(emit).__name__}")
        topic = emit.to or self._processor.outputs[0].name
        encode = self._encoders.get(topic)
        if encode is None:
            raise ValueError(f"{topic!r} is not declared: outputs are {', '.join(self._encoders)}")
        event = emit.event
        timestamp_ms = round(event.arrival_at.timestamp() * 1000)
        headers = trace_headers(event.traceparent)
        return Written(topic, event.partition, emit.key_bytes(), encode(emit.value), timestamp_ms, headers)

    def _failed(self, record: SourceRecord, error: Exception, result: Result, event: Event[Any] | None = None) -> None:
        reason = _reason(error)
        if self._processor.on_error == "stop":
            which = f"event {event.event_id!r} of {event.tenant!r}" if event else "a record that is no event"
            raise ProcessorStoppedError(
                f"{self._processor.name} stopped before {which} "
                f"({self._processor.source}, partition {record.partition}, offset {record.offset}): {reason}",
                hint='Started again it continues there. With on_error="dead_letter" it would go on without the event.',
            ) from error
        result.counts["dead_letter"] += 1
        result.first_failure = result.first_failure or reason
        headers = {
            "sluice.processor": self._processor.name,
            "sluice.reason": reason,
            "sluice.at": _place(error),
            "sluice.source": f"{self._processor.source}/{record.partition}/{record.offset}",
        }
        result.written.append(
            Written(
                self._processor.dead_letters,
                record.partition,
                record.key,
                record.value or b"",
                record.arrival_ms,
                [(name, text.encode("utf-8", "replace")) for name, text in headers.items()]
                + (trace_headers(record.traceparent) or []),
            )
        )


def _reason(error: Exception) -> str:
    # As Python prints it, which also survives an error that cannot be printed.
    return "".join(traceback.format_exception_only(error)).strip()[:_REASON_CHARS]


def _place(error: Exception) -> str:
    """File and line that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
