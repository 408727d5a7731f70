"""What becomes of each raw record of a batch: judged, deduplicated, enriched, encoded.

Pure: no Kafka client, no Faust, no clock. Replay runs this same code. What the batch is written with, and whether it
is kept, is `engine`'s to decide; so the dedupe window is read here and never changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import NamedTuple

import numpy as np

from core.lanes import Lane
from schemas.contracts import Contracts
from streams.enrich.chain import Chain
from streams.places import seen_from
from streams.reading import NOT_JUDGED, RawRecord, reader
from streams.records import DeadLetter, Outcome, OutcomeKind, runs_of
from streams.rows import encoded
from streams.window import NOT_SEEN, DedupeWindow, first_positions, pack

__all__ = ["NOT_JUDGED", "CuratedRecord", "PartitionResult", "RawRecord", "by_partition", "process"]

# Records whose events and texts are held at a time. They fit the processor's cache: a batch's would not, and cost a
# tenth more. Fewer, and the steps of the enrichment start too often.
_PART = 512


class CuratedRecord(NamedTuple):
    key: bytes | None
    value: bytes
    arrival_ms: int


@dataclass(slots=True)
class PartitionResult:
    """What a batch of one raw partition becomes; every record is in exactly one of the outcomes."""

    partition: int
    last_arrival_ms: int
    # What is valid and seen for the first time: the raw records, and of each the curated value and the dedupe id.
    fresh: Sequence[RawRecord] = ()
    values: list[bytes] = field(default_factory=list)
    new_ids: list[bytes] = field(default_factory=list)
    # Raw offset → W3C trace context, of the records that came with one; those of `fresh` and others.
    traces: dict[int, str] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    outcome: Outcome | None = None
    # Contract label → records it judged.
    judged: Counter[str] = field(default_factory=Counter)
    # Contract label → events with properties that it does not declare.
    unplanned: Counter[str] = field(default_factory=Counter)

    @property
    def curated(self) -> list[CuratedRecord]:
        pairs = zip(self.fresh, self.values, strict=True)
        return [CuratedRecord(record.key, value, record.arrival_ms) for record, value in pairs]

    @property
    def counts(self) -> dict[OutcomeKind, int]:
        """Records by outcome."""
        duplicates = len(self.outcome.firsts) if self.outcome else 0
        return {"curated": len(self.values), "duplicate": duplicates, "dead_letter": len(self.dead_letters)}

    @property
    def new_offsets(self) -> list[int]:
        """Raw offsets of `new_ids`."""
        return [record.offset for record in self.fresh]


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
    Duplicates are enriched and encoded too, and left out at the end: they are few, and who is one is told for the whole
    batch at once.
    """
    result = PartitionResult(partition, records[-1].arrival_ms)
    read = reader(contracts).read
    ids: list[bytes] = []
    values: list[bytes] = []
    for start in range(0, len(records), _PART):
        part = read(partition, records[start : start + _PART], with_facts=chain is not None)
        columns = chain.apply(part.facts) if chain is not None else None
        values += encoded(partition, part.rows, columns, are_short=part.are_short)
        ids += part.ids
        result.dead_letters += part.dead_letters
        result.traces |= part.traces
        result.judged += part.judged
        result.unplanned += part.unplanned
    _tell(records, ids, values, window, result, lane)
    return result


def _tell(
    records: Sequence[RawRecord],
    ids: list[bytes],
    values: list[bytes],
    window: DedupeWindow,
    result: PartitionResult,
    lane: Lane,
) -> None:
    """Tell duplicates from what is seen for the first time, and write down all outcomes."""
    dead = {letter.raw_offset for letter in result.dead_letters}
    valid = [record for record in records if record.offset not in dead] if dead else records
    packed = pack(ids)
    places, seen_at = first_positions(packed), window.find(packed)
    # What the window has not seen and the batch has not seen before this place.
    is_new = (seen_at == NOT_SEEN) & (places == np.arange(len(ids)))
    duplicates: list[int] = []
    firsts: list[int] = []
    for at in np.flatnonzero(~is_new).tolist():
        duplicates.append(valid[at].offset)
        seen = int(seen_at[at])
        firsts.append(seen_from(lane, seen) if seen != NOT_SEEN else valid[places[at]].offset)
    if duplicates:
        kept = is_new.tolist()
        valid, ids, values = list(compress(valid, kept)), list(compress(ids, kept)), list(compress(values, kept))
    result.fresh, result.new_ids, result.values = valid, ids, values
    others: dict[int, OutcomeKind] = dict.fromkeys(duplicates, "duplicate")
    others |= dict.fromkeys(dead, "dead_letter")
    result.outcome = Outcome(
        result.partition,
        records[0].offset,
        records[-1].offset,
        runs_of([record.offset for record in records], others),
        pack(ids),
        dict(result.judged),
        firsts,
    )


def by_partition(records: Iterable[tuple[int, RawRecord]]) -> dict[int, list[RawRecord]]:
    """Group records by partition, keeping their order."""
    out: dict[int, list[RawRecord]] = {}
    for partition, record in records:
        out.setdefault(partition, []).append(record)
    return out
