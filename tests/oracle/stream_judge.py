"""The verdict on the stream workers' step: what must follow from the raw topic against what a reader of committed
records sees.

What each raw record must become is worked out here by the promises alone, one record after the other: invalid is a dead
letter, an id that its tenant used before in this partition is a duplicate, anything else is curated. Which of the two
lanes of a partition came first with an id only the workers know; all that follows from it is checked.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import fastavro
import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from core import kafka
from core.ids import dedupe_id
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from schemas import envelope, framing
from streams.places import OTHER_LANE
from streams.records import Outcome, decode_dead_letter, decode_outcome
from tests.oracle.raw_load import RawWorkload, event_of


class _Payload(msgspec.Struct):
    event_id: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What a raw record must become."""

    outcome: str
    tenant: str
    event_id: str
    key: bytes | None
    letter: bytes = b""  # its value, where it is a dead letter
    first: int = -1  # raw offset of the record that it repeats, where it is a duplicate


@dataclass(slots=True)
class StreamVerdict:
    """Empty lists mean that everything holds; else sentences with exact raw offsets, all of them."""

    raw: int = 0
    fresh: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    unsent: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    misjudged: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    def problems(self) -> dict[str, list[str]]:
        names = (
            *("unsent", "lost", "doubled", "invented", "disordered", "misjudged"),
            *("unaccounted", "ids", "stuck", "alarms"),
        )
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    @property
    def holds(self) -> bool:
        return not self.problems()


class StreamJudge:
    """Judges one run, after all workers have come to rest."""

    def __init__(self, settings: Settings, workload: RawWorkload) -> None:
        self._settings = settings
        self._workload = workload
        self._topics = Topics.named(settings.topic_prefix)
        self._lanes = Lanes.of(settings)

    def judge(self, verdict: StreamVerdict) -> None:
        expected = self._expected(verdict, self._curated_places())
        self._outcomes(verdict, expected)
        self._curated(verdict, expected)
        self._dead_letters(verdict, expected)

    def _expected(self, verdict: StreamVerdict, curated: set[tuple[int, int]]) -> dict[int, list[Expected]]:
        numbers: dict[int, list[Expected]] = {number: [] for number in self._lanes.numbers}
        decoder = msgspec.json.Decoder(_Payload)
        sent: Counter[int] = Counter()
        for message in (*self._read(self._topics.raw), *self._read(self._topics.raw_historic)):
            number = self._lanes.number(message.topic(), message.partition())
            if message.offset() != len(numbers[number]):
                raise AssertionError(f"raw partition {number} has a gap before offset {message.offset()}")
            enveloped = envelope.decode(message.value())
            identity = (enveloped.head.tenant, decoder.decode(enveloped.payload).event_id)
            event = event_of(*identity)
            sent[event] += 1
            dead = event >= 0 and self._workload.invalid[event]
            outcome, letter = ("dead_letter", message.value()) if dead else ("curated", b"")
            numbers[number].append(Expected(outcome, *identity, message.key(), letter))
        verdict.fresh = sent.pop(-1, 0)
        verdict.raw = sent.total()
        if sent != Counter(self._workload.order.tolist()):
            verdict.unsent.append("the raw topics do not hold the workload")
        for home in range(self._lanes.partitions):
            self._expect_duplicates(numbers, home, curated)
        return numbers

    def _expect_duplicates(self, numbers: dict[int, list[Expected]], home: int, curated: set[tuple[int, int]]) -> None:
        firsts: dict[tuple[str, str], tuple[int, int]] = {}
        for number in self._lanes.both(home):
            for offset, each in enumerate(numbers[number]):
                identity = (each.tenant, each.event_id)
                if each.outcome != "curated":
                    continue
                known = firsts.setdefault(identity, (number, offset))
                # The oldest of the live lane, unless the historic lane's oldest was first.
                if known[0] != number and known not in curated and (number, offset) in curated:
                    firsts[identity] = (number, offset)
        for number in self._lanes.both(home):
            for offset, each in enumerate(numbers[number]):
                at, first = firsts.get((each.tenant, each.event_id), (number, offset))
                if each.outcome == "curated" and (at, first) != (number, offset):
                    named = first if at == number else first | OTHER_LANE
                    numbers[number][offset] = replace(each, outcome="duplicate", first=named)

    def _curated_places(self) -> set[tuple[int, int]]:
        """Raw coordinates of what was curated."""
        rows = (_row(message.value()) for message in self._read(self._topics.curated))
        return {(row["raw_partition"], row["raw_offset"]) for row in rows}

    def _outcomes(self, verdict: StreamVerdict, expected: dict[int, list[Expected]]) -> None:
        covered = dict.fromkeys(expected, 0)
        for message in self._read(self._topics.outcomes):
            outcome, partition = decode_outcome(message.value()), message.partition()
            verdict.batches += 1
            where = f"outcome {outcome.first} to {outcome.last} of raw partition {outcome.raw_partition}"
            if outcome.raw_partition != partition:
                verdict.unaccounted.append(f"{where} is in partition {partition}")
                continue
            due = covered[partition]
            if outcome.first > due:
                verdict.unaccounted.append(f"{where}: offsets {due} to {outcome.first - 1} before it have none")
            elif outcome.first < due:
                verdict.unaccounted.append(f"{where}: offsets {outcome.first} to {due - 1} had one already")
            covered[partition] = max(due, outcome.last + 1)
            self._outcome(verdict, outcome, expected[partition], where)
        for partition, due in covered.items():
            if due != len(expected[partition]):
                verdict.unaccounted.append(
                    f"raw partition {partition}: offsets {due} to {len(expected[partition]) - 1} have no outcome"
                )

    def _outcome(self, verdict: StreamVerdict, outcome: Outcome, expected: list[Expected], where: str) -> None:
        at = outcome.first
        for run in outcome.runs:
            verdict.outcomes[run.outcome] += run.count
            if run.first != at:
                verdict.unaccounted.append(f"{where}: a run begins at {run.first}, {at} was due")
            at = run.first + run.count
            for offset in range(run.first, at):
                if offset >= len(expected):
                    verdict.invented.append(f"{where}: there is no raw offset {offset}")
                elif run.outcome != (due := expected[offset].outcome):
                    verdict.misjudged.append(f"{where}: offset {offset} is {run.outcome}, {due} was due")
        if at != outcome.last + 1:
            verdict.unaccounted.append(f"{where}: its runs end before {at}")
        self._ids(verdict, outcome, expected, where)

    def _ids(self, verdict: StreamVerdict, outcome: Outcome, expected: list[Expected], where: str) -> None:
        curated = (expected[at] for at in outcome.offsets("curated") if at < len(expected))
        if b"".join(dedupe_id(due.tenant, due.event_id) for due in curated) != outcome.ids:
            verdict.ids.append(f"{where}: its ids are not those of its curated records")
        # What is due is a curated record of the same id: so `_expected` made it.
        for offset, named in zip_longest(outcome.offsets("duplicate"), outcome.firsts, fillvalue=-1):
            due = expected[offset].first if offset < len(expected) else -1
            if named != due:
                verdict.ids.append(f"{where}: offset {offset} repeats raw offset {due}, {named} is named")

    def _curated(self, verdict: StreamVerdict, expected: dict[int, list[Expected]]) -> None:
        found: dict[int, list[int]] = {p: [] for p in expected}
        once: Counter[tuple[int, str, str]] = Counter()  # over both lanes
        for message in self._read(self._topics.curated):
            row, partition = _row(message.value()), message.partition()
            offset = row["raw_offset"]
            where = f"curated offset {message.offset()} of partition {partition}, raw offset {offset}"
            if row["raw_partition"] != partition:
                verdict.disordered.append(f"{where}: its raw partition is {row['raw_partition']}")
                continue
            if offset >= len(expected[partition]):
                verdict.invented.append(f"{where}: there is no such raw offset")
                continue
            due = expected[partition][offset]
            if (row["tenant"], row["event_id"], message.key()) != (due.tenant, due.event_id, due.key):
                verdict.invented.append(f"{where}: holds {row['tenant']} {row['event_id']}, not {due.event_id}")
            once[self._lanes.home(partition), row["tenant"], row["event_id"]] += 1
            if found[partition] and offset < found[partition][-1]:
                verdict.disordered.append(f"{where} after raw offset {found[partition][-1]}")
            found[partition].append(offset)
        verdict.doubled += [f"{n} curated records of {i} in partition {p}" for (p, *i), n in once.items() if n > 1]
        for partition, offsets in found.items():
            due_at = [at for at, due in enumerate(expected[partition]) if due.outcome == "curated"]
            _compare(verdict, f"partition {partition}: curated record of raw offset", Counter(offsets), due_at)

    def _dead_letters(self, verdict: StreamVerdict, expected: dict[int, list[Expected]]) -> None:
        found: dict[int, Counter[int]] = {p: Counter() for p in expected}
        for message in self._read(self._topics.dead_letters):
            letter, partition = decode_dead_letter(message.value()), message.partition()
            found[partition][letter.raw_offset] += 1
            letters = expected[partition]
            same = letter.raw_offset < len(letters) and letters[letter.raw_offset].letter == letter.raw
            if not same or letter.raw_partition != partition:
                verdict.invented.append(f"dead letter of raw {letter.raw_partition}:{letter.raw_offset}")
        for partition, offsets in found.items():
            due_at = [at for at, due in enumerate(expected[partition]) if due.outcome == "dead_letter"]
            _compare(verdict, f"partition {partition}: dead letter of raw offset", offsets, due_at)

    def _read(self, topic: str) -> Iterator[Message]:
        reader = Consumer(kafka.reader(self._settings, name="judge"))
        try:
            raw = {self._lanes.live, self._lanes.historic}
            partitions = range(self._lanes.partitions) if topic in raw else self._lanes.numbers
            reader.assign([TopicPartition(topic, p, 0) for p in partitions])
            yield from kafka.read_to_end(reader, partitions=len(partitions))
        finally:
            reader.close()


def _compare(verdict: StreamVerdict, what: str, found: Counter[int], due: list[int]) -> None:
    missing = Counter(due) - found
    verdict.lost += [f"{what} {at}" for at in missing]
    verdict.doubled += [f"{what} {at}: {n} of them" for at, n in found.items() if n > 1]


def _row(value: bytes) -> dict[str, Any]:
    schema, at = framing.opened(value, "event")
    row = fastavro.schemaless_reader(io.BytesIO(value[at:]), schema.plain)
    assert isinstance(row, dict)
    return row
