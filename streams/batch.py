"""What becomes of each raw record of a batch: decode, validate, deduplicate, encode.

Pure: no Kafka client, no Faust, no clock. Replay runs this same code. What the batch is written with, and whether it
is kept, is `engine`'s to decide; so the dedupe window is read here and never changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from core.errors import InputError
from core.ids import dedupe_id
from schemas import envelope
from schemas.codegen.encoder import Encode, compile_encoder
from schemas.contracts import ContractError, Contracts, Judged
from schemas.faults import Fault
from schemas.registry import bundled
from streams.records import DeadLetter, Outcome, RunBuilder
from streams.window import NOT_SEEN, DedupeWindow, first_positions, pack

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
    new_offsets: list[int] = field(default_factory=list)  # raw offsets of `new_ids`
    outcome: Outcome | None = None
    # Contract label → events with properties that it does not declare.
    unplanned: Counter[str] = field(default_factory=Counter)


def process(
    partition: int, records: Sequence[RawRecord], *, window: DedupeWindow, contracts: Contracts
) -> PartitionResult:
    """Give each of `records` (not empty, in offset order) its outcome."""
    result = PartitionResult(partition, records[-1].arrival_ms)
    verdicts: list[tuple[bytes, CuratedRecord] | None] = []  # None: a dead letter
    runs = RunBuilder()
    judged: Counter[str] = Counter()
    encode = _event_encoder()
    for record in records:
        try:
            dedupe, judged_event, curated = _judge(partition, record, contracts, encode)
        except _RejectedError as rejected:
            result.dead_letters.append(rejected.letter)
            verdicts.append(None)
            judged[rejected.label] += 1
            continue
        verdicts.append((dedupe, curated))
        label = judged_event.contract.label
        judged[label] += 1
        if judged_event.extra:
            result.unplanned[label] += 1
    ids = pack(verdict[0] for verdict in verdicts if verdict)
    is_new = (
        seen == NOT_SEEN and first == at
        for at, (seen, first) in enumerate(zip(window.find(ids).tolist(), first_positions(ids).tolist(), strict=True))
    )
    for record, verdict in zip(records, verdicts, strict=True):
        if verdict is None:
            runs.add("dead_letter", record.offset)
        elif next(is_new):
            result.new_ids.append(verdict[0])
            result.new_offsets.append(record.offset)
            result.curated.append(verdict[1])
            runs.add("curated", record.offset)
        else:
            runs.add("duplicate", record.offset)
    result.outcome = Outcome(
        partition, records[0].offset, records[-1].offset, runs.runs, pack(result.new_ids), dict(judged)
    )
    return result


class _RejectedError(Exception):
    def __init__(self, letter: DeadLetter, label: str) -> None:
        super().__init__(letter.code)
        self.letter = letter
        self.label = label


@cache
def _event_encoder() -> Encode:
    # Not before the process knows what an external registry calls the schema.
    return compile_encoder(bundled().latest("event")).encode


def _judge(
    partition: int, record: RawRecord, contracts: Contracts, encode: Encode
) -> tuple[bytes, Judged, CuratedRecord]:
    """Dedupe id, judgement and curated form of a record. Raises _RejectedError."""
    offset, arrival_ms, key, value = record
    try:
        env = envelope.decode(value or b"")
    except InputError as error:
        faults = [Fault(error.code, "$", "an envelope", "")]
        raise _RejectedError(DeadLetter(partition, offset, arrival_ms, faults, value or b""), NOT_JUDGED) from error
    try:
        judged = contracts.judge(env.event, env.version, env.payload)
    except ContractError as error:
        contract = error.contract
        version, label = (contract.version, contract.label) if contract else (0, NOT_JUDGED)
        letter = DeadLetter(
            partition, offset, arrival_ms, error.faults, value or b"", env.tenant, env.event, version, env.traceparent
        )
        raise _RejectedError(letter, label) from error
    contract, event = judged.contract, judged.event
    encoded = encode(
        partition,
        offset,
        arrival_ms,
        env.received_at_ms,
        event.occurred_at,
        env.tenant,
        contract.subject,
        contract.version,
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
        judged.properties,
        judged.context,
        contract.stable_version,
        judged.extra,
    )
    return dedupe_id(env.tenant, event.event_id), judged, CuratedRecord(key, encoded, arrival_ms)


def by_partition(records: Iterable[tuple[int, RawRecord]]) -> dict[int, list[RawRecord]]:
    """Group records by partition, keeping their order."""
    out: dict[int, list[RawRecord]] = {}
    for partition, record in records:
        out.setdefault(partition, []).append(record)
    return out
