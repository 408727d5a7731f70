"""What becomes of each raw record of a batch: decode, validate, deduplicate, enrich, encode.

Pure: no Kafka client, no Faust, no clock. Replay runs this same code. What the batch is written with, and whether it
is kept, is `engine`'s to decide; so the dedupe window is read here and never changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np

from core.errors import InputError
from core.ids import dedupe_id
from core.lanes import Lane
from schemas import envelope
from schemas.codegen.encoder import Encode, compile_encoder
from schemas.codegen.structs import millis
from schemas.contracts import ContractError, Contracts, Judged
from schemas.envelope import Envelope
from schemas.faults import Fault
from schemas.registry import bundled
from streams.enrich.chain import Chain
from streams.enrich.facts import Enriched, Facts
from streams.places import seen_from
from streams.records import DeadLetter, Outcome, RunBuilder
from streams.window import NOT_SEEN, DedupeWindow, first_positions, pack

# Counted for records that no contract could judge. Names that clients chose never become keys of an outcome: a batch
# of them would make a record larger than Kafka takes.
NOT_JUDGED = ":0"
_NOTHING_MORE = Enriched()


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
    # Contract label → records it judged.
    judged: Counter[str] = field(default_factory=Counter)
    # Contract label → events with properties that it does not declare.
    unplanned: Counter[str] = field(default_factory=Counter)


def process(
    partition: int,
    records: Sequence[RawRecord],
    *,
    window: DedupeWindow,
    contracts: Contracts,
    chain: Chain | None = None,
    lane: Lane = "live",
) -> PartitionResult:
    """Give each of `records` (not empty, in offset order) its outcome. Without a `chain` nothing is enriched.

    `partition` is the number of the raw partition, `window` is that of both lanes and holds places (`streams.places`).
    """
    result = PartitionResult(partition, records[-1].arrival_ms)
    judged = _judge_all(partition, records, contracts, result)
    fresh = _outcomes(records, judged, window, result, lane)
    encode = _event_encoder()
    enriched = chain.apply([_facts(each) for each in fresh]) if chain is not None else [_NOTHING_MORE] * len(fresh)
    for each, more in zip(fresh, enriched, strict=True):
        value = _curated(partition, each, more, encode)
        result.curated.append(CuratedRecord(each.record.key, value, each.record.arrival_ms))
    return result


class _Judged(NamedTuple):
    """A record that keeps its contract."""

    record: RawRecord
    envelope: Envelope
    judged: Judged


def _judge_all(
    partition: int, records: Sequence[RawRecord], contracts: Contracts, result: PartitionResult
) -> list[_Judged | None]:
    """Each record judged; None stands for one that `result` has a dead letter of."""
    judged: list[_Judged | None] = []
    counts = result.judged
    for record in records:
        try:
            each = _judge(partition, record, contracts)
        except _RejectedError as rejected:
            result.dead_letters.append(rejected.letter)
            counts[rejected.label] += 1
            judged.append(None)
            continue
        judged.append(each)
        label = each.judged.contract.label
        counts[label] += 1
        if each.judged.extra:
            result.unplanned[label] += 1
    return judged


def _outcomes(
    records: Sequence[RawRecord],
    judged: Sequence[_Judged | None],
    window: DedupeWindow,
    result: PartitionResult,
    lane: Lane,
) -> list[_Judged]:
    """Tell duplicates from what is seen for the first time, which is returned, and write down all outcomes."""
    valid = [each for each in judged if each is not None]
    ids = [dedupe_id(each.envelope.head.tenant, each.judged.event.event_id) for each in valid]
    packed = pack(ids)
    places = first_positions(packed)
    seen_at = window.find(packed)
    # What the window has not seen and the batch has not seen before this place.
    is_new = ((seen_at == NOT_SEEN) & (places == np.arange(len(ids)))).tolist()
    runs, at, fresh, firsts = RunBuilder(), 0, [], []
    for record, each in zip(records, judged, strict=True):
        if each is None:
            runs.add("dead_letter", record.offset)
            continue
        if is_new[at]:
            fresh.append(each)
            result.new_ids.append(ids[at])
            result.new_offsets.append(record.offset)
            runs.add("curated", record.offset)
        else:
            runs.add("duplicate", record.offset)
            seen = int(seen_at[at])
            firsts.append(seen_from(lane, seen) if seen != NOT_SEEN else valid[places[at]].record.offset)
        at += 1
    result.outcome = Outcome(
        result.partition,
        records[0].offset,
        records[-1].offset,
        runs.runs,
        pack(result.new_ids),
        dict(result.judged),
        firsts,
    )
    return fresh


def _facts(each: _Judged) -> Facts:
    event, sent = each.judged.event, each.envelope
    return Facts(
        event.url,
        event.referrer,
        sent.user_agent,
        sent.client_ip,
        event.session_id,
        event.visitor_id,
        millis(event.occurred_at),
        sent.head.tenant,
    )


class _RejectedError(Exception):
    def __init__(self, letter: DeadLetter, label: str) -> None:
        super().__init__(letter.code)
        self.letter = letter
        self.label = label


@cache
def _event_encoder() -> Encode:
    # Not before the process knows what an external registry calls the schema.
    return compile_encoder(bundled().latest("event")).encode


def _judge(partition: int, record: RawRecord, contracts: Contracts) -> _Judged:
    """Raises _RejectedError."""
    offset, arrival_ms, _, value = record
    try:
        env = envelope.decode(value or b"")
    except InputError as error:
        faults = [Fault(error.code, "$", "an envelope", "")]
        raise _RejectedError(DeadLetter(partition, offset, arrival_ms, faults, value or b""), NOT_JUDGED) from error
    head = env.head
    try:
        return _Judged(record, env, contracts.judge(head.event, head.version, env.payload))
    except ContractError as error:
        contract = error.contract
        version, label = (contract.version, contract.label) if contract else (0, NOT_JUDGED)
        letter = DeadLetter(
            partition, offset, arrival_ms, error.faults, value or b"", head.tenant, head.event, version, env.traceparent
        )
        raise _RejectedError(letter, label) from error


def _curated(partition: int, each: _Judged, more: Enriched, encode: Encode) -> bytes:
    record, env, judged = each
    contract, event = judged.contract, judged.event
    return encode(
        partition,
        record.offset,
        record.arrival_ms,
        env.received_at_ms,
        event.occurred_at,
        env.head.tenant,
        contract.subject,
        contract.version,
        event.event_type,
        event.name,
        event.event_id,
        event.visitor_id,
        more.session_id or event.session_id,
        event.user_id,
        event.url,
        event.referrer,
        event.consent_state,
        env.head.source,
        judged.properties,
        judged.context,
        contract.stable_version,
        judged.extra,
        more.ua_browser,
        more.ua_browser_version,
        more.ua_os,
        more.ua_device,
        more.is_bot,
        more.referrer_type,
        more.referrer_name,
        more.utm_term,
        more.utm_content,
        more.click_id_type,
        more.click_id,
        more.channel,
        more.geo_country,
        more.geo_region,
        more.geo_city,
        more.session_derived,
    )


def by_partition(records: Iterable[tuple[int, RawRecord]]) -> dict[int, list[RawRecord]]:
    """Group records by partition, keeping their order."""
    out: dict[int, list[RawRecord]] = {}
    for partition, record in records:
        out.setdefault(partition, []).append(record)
    return out
