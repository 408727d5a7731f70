"""When dead letters are too many: alerts by contract, and the rare case in which everything should stop.

Pure, and its clock is the log's: the same batches lead to the same decisions, live or in a replay. One worker sees its
own partitions only and decides by them. What a decision leads to is `alerts`' to carry out.

An alert says that a contract's events fail: `ratio` of those in the window, or `run` of them one after the other. It
stands until both are below half and a minute has passed.

A halt is for a release that breaks what many send. It asks for a contract released within the hour, and for tenants:
at least three of them fail, nobody has more than four fifths of the failures, and **whichever one tenant is left out,
the others alone are still above the limit**. So a halt never follows from one tenant's traffic. Tenants are measured by
all they send of the *event*, not of the version: where nobody sends a new version yet, all that it judges is the usual
garbage.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from core.errors import InputError
from schemas import envelope
from schemas.contracts import OPEN_SUBJECT
from streams.batch import NOT_JUDGED, PartitionResult, RawRecord

BUCKET_MS = 10_000
WINDOW_MS = 300_000
RELEASED_RECENTLY_MS = 3_600_000
# Less says nothing about a ratio: one bad event of ten is no incident.
MIN_EVENTS = 100
MIN_EVENTS_OF_TENANT = 10
MIN_TENANTS = 3
MAX_SHARE_OF_TENANT = 0.8
# An alert stands this long at least, and its figures are renewed as often: each change is a record in Kafka.
HOLD_MS = 60_000
# Tenants kept apart, per contract and bucket. Those beyond share one count, which no halt is decided by.
MAX_TENANTS = 256
# Registries are far smaller; this only says that there is a bound.
MAX_LABELS = 1_024
OTHERS = "(others)"
_SHOWN_TENANTS = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """`ratio` of dead letters in the window, `run` of them in a row; `halt` allows for stopping."""

    ratio: float
    run: int
    halt: bool


class Alert(msgspec.Struct, frozen=True):
    """A contract whose events fail, as of log time `at_ms`. `tenants`: who sent most of them, most first."""

    contract: str
    reason: str  # "ratio" or "run"
    judged: int
    dead_letters: int
    run: int
    tenants: list[str]
    since_ms: int
    at_ms: int


class Cleared(msgspec.Struct, frozen=True):
    contract: str
    since_ms: int
    at_ms: int


class Halt(msgspec.Struct, frozen=True):
    """A release that breaks what several tenants send. `judged` counts all versions of the event."""

    contract: str
    judged: int
    dead_letters: int
    tenants: list[str]


Decision = Alert | Cleared | Halt


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """What one batch says. `arrival_ms` is its newest record's log time.

    `judged`: contract label → records. `dead`: (label, tenant) → dead letters among them. `sent`: (subject, tenant) →
    records of any version, for subjects that a halt may be decided on.
    """

    arrival_ms: int
    judged: Mapping[str, int]
    dead: Mapping[tuple[str, str], int]
    sent: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(slots=True)
class _Bucket:
    start_ms: int
    judged: Counter[str] = field(default_factory=Counter)
    dead: dict[str, Counter[str]] = field(default_factory=dict)  # label → tenant
    sent: dict[str, Counter[str]] = field(default_factory=dict)  # subject → tenant
    failed: dict[str, Counter[str]] = field(default_factory=dict)  # label → tenant, as kept apart in `sent`


class DeadLetterLimits:
    """`take` belongs to one thread; `released` and `accept` may be called from another."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._now_ms = 0
        self._buckets: deque[_Bucket] = deque()
        self._runs: dict[str, int] = {}
        self._alerts: dict[str, Alert] = {}
        self._released: dict[str, int] = {}
        self._accepted: frozenset[str] = frozenset()

    @property
    def alerts(self) -> list[Alert]:
        """Those that stand."""
        return list(self._alerts.values())

    def released(self, label: str, at_ms: int) -> None:
        """`label` came into force at `at_ms`."""
        self._released[label] = at_ms

    def accept(self, labels: Iterable[str]) -> None:
        """Halt for none of `labels`: an operator has decided to go on."""
        self._accepted = frozenset(labels)

    def watched(self, labels: Iterable[str], arrival_ms: int) -> frozenset[str]:
        """Subjects of `labels` whose senders `take` must be told: those with any version on probation."""
        if not self._limits.halt:
            return frozenset()
        probation = {subject_of(label) for label in list(self._released) if self._on_probation(label, arrival_ms)}
        return frozenset(probation.intersection(map(subject_of, labels)))

    def take(self, counts: BatchCounts) -> list[Decision]:
        """What follows from one more batch. A Halt is repeated with each batch that still calls for it."""
        self._advance(counts.arrival_ms)
        self._add(counts)
        self._count_runs(counts)
        decisions: list[Decision] = []
        for label in dict.fromkeys([*map(self._kept_label, counts.judged), *self._alerts]):
            decisions += self._decide(label)
        return decisions

    # -- the window

    def _advance(self, arrival_ms: int) -> None:
        self._now_ms = max(self._now_ms, arrival_ms)
        start = self._now_ms - self._now_ms % BUCKET_MS
        if not self._buckets or self._buckets[-1].start_ms < start:
            self._buckets.append(_Bucket(start))
            while self._buckets[0].start_ms <= start - WINDOW_MS:
                self._buckets.popleft()
            self._runs = {label: run for label, run in self._runs.items() if self._judged(label)}

    def _add(self, counts: BatchCounts) -> None:
        bucket = self._buckets[-1]
        for label, number in counts.judged.items():
            bucket.judged[self._kept_label(label)] += number
        for (subject, tenant), number in counts.sent.items():
            senders = bucket.sent.setdefault(subject, Counter())
            senders[_kept(senders, tenant, MAX_TENANTS)] += number
        for (label, tenant), number in counts.dead.items():
            kept = self._kept_label(label)
            tenants = bucket.dead.setdefault(kept, Counter())
            tenants[_kept(tenants, tenant, MAX_TENANTS)] += number
            if (subject_of(label), tenant) in counts.sent:
                senders = bucket.sent[subject_of(label)]
                # Apart only if what they sent is: failures without what they are a part of would look like all of it.
                bucket.failed.setdefault(label, Counter())[tenant if tenant in senders else OTHERS] += number

    def _kept_label(self, label: str) -> str:
        return _kept(self._buckets[-1].judged, label, MAX_LABELS)

    def _count_runs(self, counts: BatchCounts) -> None:
        dead: Counter[str] = Counter()
        for (label, _), number in counts.dead.items():
            dead[label] += number
        for label, judged in counts.judged.items():
            # A batch does not tell in which order it was judged: one event that keeps the contract ends the run.
            if dead[label] < judged:
                self._runs.pop(label, None)
            elif label in self._runs or len(self._runs) < MAX_LABELS:
                self._runs[label] = self._runs.get(label, 0) + judged

    def _judged(self, label: str) -> int:
        return sum(bucket.judged[label] for bucket in self._buckets)

    def _dead(self, label: str) -> int:
        return sum(bucket.dead[label].total() for bucket in self._buckets if label in bucket.dead)

    # -- decisions

    def _decide(self, label: str) -> list[Decision]:
        standing = self._alerts.get(label)
        judged, dead = self._judged(label), self._dead(label)
        ratio = dead / judged if judged >= MIN_EVENTS else 0.0
        run = min(self._runs.get(label, 0), dead)
        reason = "run" if run >= self._limits.run else "ratio"
        exceeded = reason == "run" or (dead > 0 and ratio >= self._limits.ratio)
        decisions: list[Decision] = []
        if standing is None and exceeded:
            self._alerts[label] = self._alert(label, reason, judged, dead, run)
            decisions.append(self._alerts[label])
        elif standing is not None and self._now_ms - standing.at_ms >= HOLD_MS:
            if ratio < self._limits.ratio / 2 and run < self._limits.run / 2:
                del self._alerts[label]
                decisions.append(Cleared(label, standing.since_ms, self._now_ms))
            else:
                renewed = self._alert(label, standing.reason, judged, dead, run)
                self._alerts[label] = msgspec.structs.replace(renewed, since_ms=standing.since_ms)
        halt = self._halt(label) if label in self._alerts else None
        return [*decisions, halt] if halt else decisions

    def _alert(self, label: str, reason: str, judged: int, dead: int, run: int) -> Alert:
        tenants = _summed(bucket.dead.get(label) for bucket in self._buckets)
        shown = [tenant for tenant, _ in _most_first(tenants) if tenant][:_SHOWN_TENANTS]
        return Alert(label, reason, judged, dead, run, shown, self._now_ms, self._now_ms)

    def _on_probation(self, label: str, now_ms: int) -> bool:
        at_ms = self._released.get(label)
        recent = at_ms is not None and now_ms - at_ms < RELEASED_RECENTLY_MS
        return self._limits.halt and recent and label not in self._accepted

    def _halt(self, label: str) -> Halt | None:
        if not self._on_probation(label, self._now_ms):
            return None
        sent = _summed(bucket.sent.get(subject_of(label)) for bucket in self._buckets)
        failed = _summed(bucket.failed.get(label) for bucket in self._buckets)
        for unknown in ("", OTHERS):
            del sent[unknown], failed[unknown]  # a Counter lets go of what it does not have
        failing = [
            tenant
            for tenant, dead in _most_first(failed)
            if sent[tenant] >= MIN_EVENTS_OF_TENANT and dead >= self._limits.ratio * sent[tenant]
        ]
        all_sent, all_failed = sent.total(), failed.total()
        if len(failing) < MIN_TENANTS or max(failed.values()) > MAX_SHARE_OF_TENANT * all_failed:
            return None
        without_one = ((all_failed - failed[tenant], all_sent - sent[tenant]) for tenant in failed)
        if any(dead < self._limits.ratio * judged for dead, judged in without_one):
            return None
        return Halt(label, all_sent, all_failed, failing[:_SHOWN_TENANTS])


def counted(
    partitions: Mapping[int, Sequence[RawRecord]], results: Iterable[PartitionResult], limits: DeadLetterLimits
) -> BatchCounts:
    """The counts of a batch that was processed. Senders are counted for what `limits` watches only: it reads every
    envelope once more.
    """
    arrival_ms = 0
    judged: Counter[str] = Counter()
    dead: Counter[tuple[str, str]] = Counter()
    sent: Counter[tuple[str, str]] = Counter()
    for result in results:
        labels = result.outcome.contracts if result.outcome else {}
        arrival_ms = max(arrival_ms, result.last_arrival_ms)
        judged.update(labels)
        for letter in result.dead_letters:
            dead[label_of(letter.event, letter.version, labels), letter.tenant] += 1
        subjects = {subject_of(label) for label in labels}
        if watched := limits.watched(labels, arrival_ms):
            for event, tenant in _senders(partitions[result.partition]):
                subject = event if event in subjects else OPEN_SUBJECT
                if subject in watched:
                    sent[subject, tenant] += 1
    return BatchCounts(arrival_ms, judged, dead, sent)


def label_of(event: str, version: int, labels: Mapping[str, int]) -> str:
    """The contract that a dead letter was judged by, among the `labels` of its batch.

    Events without a contract of their own are judged by the open one, and their names are clients' to choose.
    """
    if not version:
        return NOT_JUDGED
    own = f"{event}:{version}"
    return own if own in labels else f"{OPEN_SUBJECT}:{version}"


def subject_of(label: str) -> str:
    return label.rpartition(":")[0]


def _senders(records: Iterable[RawRecord]) -> Iterable[tuple[str, str]]:
    for record in records:
        try:
            head = envelope.decode(record.value or b"").head
        except InputError:
            continue
        yield head.event, head.tenant


def _kept(counts: Counter[str], key: str, most: int) -> str:
    """`key`, or what stands for all beyond the first `most`."""
    return key if key in counts or len(counts) < most else OTHERS


def _summed(counters: Iterable[Counter[str] | None]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counters:
        if each:
            total.update(each)
    return total


def _most_first(counts: Counter[str]) -> list[tuple[str, int]]:
    """Ties by name, so that the same counts always read the same."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
