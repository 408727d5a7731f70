"""Values of the topics the streams write besides curated: dead letters and outcomes. Avro in Confluent framing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from core.errors import InputError
from schemas import record
from schemas.faults import Fault, fingerprint
from schemas.registry import bundled

OutcomeKind = Literal["curated", "duplicate", "dead_letter"]
_KINDS: tuple[OutcomeKind, ...] = ("curated", "duplicate", "dead_letter")


@dataclass(frozen=True, slots=True)
class Run:
    """`count` records of one outcome, the first of them at raw offset `first`."""

    outcome: OutcomeKind
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each record of one batch of one raw partition (schema `outcome`).

    `raw_partition` is the number of the raw partition (`core.lanes`). `firsts` holds for each duplicate, in order, the
    raw offset of the record that it repeats, with a bit set if that is in the other lane (`streams.places`). It is
    empty in records of version 1, which did not tell.
    """

    raw_partition: int
    first: int
    last: int
    runs: list[Run]
    ids: bytes
    contracts: dict[str, int]
    firsts: list[int] = field(default_factory=list)

    @property
    def records(self) -> int:
        return sum(run.count for run in self.runs)

    def offsets(self, outcome: OutcomeKind) -> Iterator[int]:
        """Raw offsets of the records of one outcome, in order."""
        for run in self.runs:
            if run.outcome == outcome:
                yield from range(run.first, run.first + run.count)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that broke its contract (schema `dead_letter`). `raw` is the raw record's value, byte for byte."""

    raw_partition: int
    raw_offset: int
    arrival_at: int
    faults: list[Fault]
    raw: bytes
    tenant: str = ""
    event: str = ""
    version: int = 0
    traceparent: str = ""

    @property
    def code(self) -> str:
        return self.faults[0].code


def runs_of(offsets: Sequence[int], others: Mapping[int, OutcomeKind]) -> list[Run]:
    """Runs over `offsets`, which rise. What `others` does not name is curated.

    A run ends at a gap in the log, which is no record and has no outcome: so a run tells the offset of each record.
    """
    at = np.asarray(offsets, np.int64)
    kinds = np.zeros(len(at), np.int8)
    kinds[np.searchsorted(at, list(others))] = [_KINDS.index(kind) for kind in others.values()]
    starts = np.flatnonzero((np.diff(at, prepend=-1) != 1) | (np.diff(kinds, prepend=-1) != 0))
    counts = np.diff(starts, append=len(at))
    columns = (kinds[starts].tolist(), at[starts].tolist(), counts.tolist())
    return [Run(_KINDS[kind], first, count) for kind, first, count in zip(*columns, strict=True)]


def encode_outcome(outcome: Outcome) -> bytes:
    return record.write(
        bundled().get("outcome", 2),
        {
            "raw_partition": outcome.raw_partition,
            "first": outcome.first,
            "last": outcome.last,
            # Spelled out: `asdict` takes ten times as long, and a batch has hundreds of runs.
            "runs": [{"outcome": run.outcome, "first": run.first, "count": run.count} for run in outcome.runs],
            "ids": outcome.ids,
            "contracts": outcome.contracts,
            # Distances, because they are short numbers: 2 or 3 bytes each, where offsets take 5 and more.
            "firsts": [at - first for at, first in zip(outcome.offsets("duplicate"), outcome.firsts, strict=True)],
        },
    )


def decode_outcome(value: bytes) -> Outcome:
    """Of any version. Raises InputError if `value` is no outcome record."""
    row = record.read("outcome", value)
    runs = [Run(run["outcome"], run["first"], run["count"]) for run in row["runs"]]
    outcome = Outcome(row["raw_partition"], row["first"], row["last"], runs, row["ids"], row["contracts"])
    if "firsts" not in row:
        return outcome
    try:
        firsts = [at - back for at, back in zip(outcome.offsets("duplicate"), row["firsts"], strict=True)]
    except ValueError as error:
        raise InputError("the outcome record does not name the first of each duplicate") from error
    return replace(outcome, firsts=firsts)


def encode_dead_letter(letter: DeadLetter) -> bytes:
    return record.write(
        bundled().get("dead_letter", 1),
        {
            "raw_partition": letter.raw_partition,
            "raw_offset": letter.raw_offset,
            "arrival_at": letter.arrival_at,
            "tenant": letter.tenant,
            "event": letter.event,
            "version": letter.version,
            "code": letter.code,
            "faults": [
                {"code": each.code, "path": each.path, "expected": each.expected, "got": each.got}
                for each in letter.faults
            ],
            "fingerprint": fingerprint(letter.event, letter.version, letter.faults),
            "traceparent": letter.traceparent,
            "raw": letter.raw,
        },
    )


def decode_dead_letter(value: bytes) -> DeadLetter:
    """Raises InputError if `value` is no dead-letter record."""
    row = record.read("dead_letter", value)
    return DeadLetter(
        raw_partition=row["raw_partition"],
        raw_offset=row["raw_offset"],
        arrival_at=row["arrival_at"],
        faults=[Fault(**fault) for fault in row["faults"]],
        raw=row["raw"],
        tenant=row["tenant"],
        event=row["event"],
        version=row["version"],
        traceparent=row["traceparent"],
    )
