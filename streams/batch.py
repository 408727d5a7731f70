"""What becomes of each raw record of a batch: decode, validate, deduplicate, encode.

Pure: no Kafka client, no Faust, no clock. Replay runs this same code. What the batch is written with, and whether it
is kept, is `engine`'s to decide; so the dedupe window is read here and never changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from core.errors import InputError
from core.ids import dedupe_id
from schemas import envelope
from schemas.codegen.encoder import compile_encoder
from schemas.contracts import ContractError, Contracts
from schemas.faults import Fault, from_decode_error
from schemas.registry import bundled
from streams.records import DeadLetter, Outcome, RunBuilder
from streams.window import DedupeWindow, pack

_encode_event = compile_encoder(bundled().get("event", 1)).encode
# Counted for records that no contract could judge. Names that clients chose never become keys of an outcome: a batch
# of them would make a record larger than Kafka takes.
NOT_JUDGED = ":0"


class RawRecord(NamedTuple):
    """One record of the raw topic. `arrival_ms` is the broker's append time."""

    offset: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None


class CuratedRecord(NamedTuple):
    key: bytes | None
    value: bytes
    arrival_ms: int


@dataclass(slots=True)
class PartitionResult:
    """What a batch of one raw partition becomes; every record is in exactly one of the outcomes."""

    partition: int
    last_arrival_ms: int
    curated: list[CuratedRecord] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    new_ids: list[bytes] = field(default_factory=list)
    outcome: Outcome | None = None


def process(
    partition: int, records: Sequence[RawRecord], *, window: DedupeWindow, contracts: Contracts
) -> PartitionResult:
    """Give each of `records` (not empty, in offset order) its outcome."""
    result = PartitionResult(partition, records[-1].arrival_ms)
    seen_here: set[bytes] = set()
    runs = RunBuilder()
    judged: Counter[str] = Counter()
    for record in records:
        try:
            dedupe, label, curated = _judge(partition, record, contracts)
        except _RejectedError as rejected:
            result.dead_letters.append(rejected.letter)
            runs.add("dead_letter", record.offset)
            judged[rejected.label] += 1
            continue
        judged[label] += 1
        if dedupe in window or dedupe in seen_here:
            runs.add("duplicate", record.offset)
            continue
        seen_here.add(dedupe)
        result.new_ids.append(dedupe)
        result.curated.append(curated)
        runs.add("curated", record.offset)
    result.outcome = Outcome(
        partition, records[0].offset, records[-1].offset, runs.runs, pack(result.new_ids), dict(judged)
    )
    return result


class _RejectedError(Exception):
    def __init__(self, letter: DeadLetter, label: str) -> None:
        super().__init__(letter.code)
        self.letter = letter
        self.label = label


def _judge(partition: int, record: RawRecord, contracts: Contracts) -> tuple[bytes, str, CuratedRecord]:
    """Dedupe id, contract label and curated form of a record. Raises _RejectedError."""
    offset, arrival_ms, key, value = record
    try:
        env = envelope.decode(value or b"")
    except InputError as error:
        faults = [Fault(error.code, "$", "an envelope", "")]
        raise _RejectedError(DeadLetter(partition, offset, arrival_ms, faults, value or b""), NOT_JUDGED) from error
    version, label = 0, NOT_JUDGED
    try:
        contract = contracts.find(env.event, env.version)
        version, label = contract.version, contract.label
        event = contracts.decode(env.payload)
        contract.check(event.properties)
        properties, context = _text(event.properties, "$.properties"), _text(event.context, "$.context")
    except ContractError as error:
        letter = DeadLetter(
            partition, offset, arrival_ms, error.faults, value or b"", env.tenant, env.event, version, env.traceparent
        )
        raise _RejectedError(letter, label) from error
    encoded = _encode_event(
        partition,
        offset,
        arrival_ms,
        env.received_at_ms,
        event.occurred_at,
        env.tenant,
        contract.subject,
        version,
        event.event_type,
        event.name,
        event.event_id,
        event.visitor_id,
        event.session_id,
        event.user_id,
        event.url,
        event.referrer,
        event.consent_state,
        env.source,
        properties,
        context,
    )
    return dedupe_id(env.tenant, event.event_id), label, CuratedRecord(key, encoded, arrival_ms)


def _text(raw: msgspec.Raw, path: str) -> str:
    # What is inside a raw field and in no contract was skipped by the decoder, not decoded.
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError as error:
        raise ContractError([from_decode_error(error, root=path)]) from error


def by_partition(records: Iterable[tuple[int, RawRecord]]) -> dict[int, list[RawRecord]]:
    """Group records by partition, keeping their order."""
    out: dict[int, list[RawRecord]] = {}
    for partition, record in records:
        out.setdefault(partition, []).append(record)
    return out
