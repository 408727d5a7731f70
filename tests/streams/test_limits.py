"""Limits on dead letters: when an alert comes and goes, what halts, and what never does."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.contracts import bundled_contracts
from streams import limits as module
from streams.batch import NOT_JUDGED, RawRecord, process
from streams.limits import Alert, BatchCounts, Cleared, DeadLetterLimits, Decision, Halt, Limits, counted, label_of
from streams.window import DedupeWindow
from tests.streams.raw_events import ARRIVAL_MS, raw_value, record

LABEL = "order:2"
OLD = "order:1"
S = 1_000
HOUR = 3_600_000


def make(*, ratio: float = 0.05, run: int = 500, halt: bool = True, released: bool = True) -> DeadLetterLimits:
    limits = DeadLetterLimits(Limits(ratio=ratio, run=run, halt=halt))
    if released:
        limits.released(LABEL, ARRIVAL_MS - 60 * S)
    return limits


def counts(at_s: float, traffic: dict[str, tuple[int, int]], *, label: str = LABEL) -> BatchCounts:
    """`traffic`: tenant → (sent, of them dead-lettered), all judged by `label`."""
    subject = label.partition(":")[0]
    return BatchCounts(
        ARRIVAL_MS + int(at_s * S),
        {label: sum(sent for sent, _ in traffic.values())},
        {(label, tenant): dead for tenant, (_, dead) in traffic.items() if dead},
        {(subject, tenant): sent for tenant, (sent, _) in traffic.items()},
    )


def kinds(decisions: list[Decision]) -> list[type]:
    return [type(each) for each in decisions]


# -- alerts


def test_a_ratio_at_the_limit_is_an_alert_that_says_whose_events_fail() -> None:
    limits = make(halt=False)
    assert limits.take(counts(0, {"a": (50, 2), "b": (49, 2)})) == []
    [alert] = limits.take(counts(1, {"a": (1, 1)}))
    at_ms = ARRIVAL_MS + S
    assert alert == Alert(LABEL, "ratio", 100, 5, 1, ["a", "b"], at_ms, at_ms)
    assert limits.take(counts(2, {"a": (100, 50)})) == [], "said once"
    assert limits.alerts == [alert]


def test_few_events_are_no_incident() -> None:
    assert make().take(counts(0, {"a": (99, 99)})) == []


def test_a_run_is_an_alert_however_good_the_time_before() -> None:
    limits = make(run=200)
    assert limits.take(counts(0, {"a": (100_000, 0)})) == []
    assert limits.take(counts(1, {"a": (199, 199)})) == []
    [alert] = limits.take(counts(2, {"a": (1, 1)}))
    assert isinstance(alert, Alert)
    assert (alert.reason, alert.run) == ("run", 200)


def test_one_event_that_keeps_the_contract_ends_the_run() -> None:
    limits = make(run=200)
    limits.take(counts(0, {"a": (100_000, 0)}))
    limits.take(counts(1, {"a": (199, 199)}))
    assert limits.take(counts(2, {"a": (1, 0)})) == []
    assert limits.take(counts(3, {"a": (199, 199)})) == []


def test_a_run_does_not_reach_back_beyond_the_window() -> None:
    limits = make(run=200)
    limits.take(counts(0, {"a": (99, 99)}))
    assert limits.take(counts(400, {"a": (99, 99)})) == []
    limits.take(counts(401, {"b": (10_000, 0)}, label=OLD))
    assert limits.take(counts(690, {"a": (99, 99)})) == [limits.alerts[0]], "two of them do not make a run of 200"
    assert limits.alerts[0].reason == "ratio"


def test_a_trickle_that_never_ends_is_no_run() -> None:
    limits = make(run=201)
    for number in range(10):
        limits.take(counts(100 * number, {"a": (50, 50)}))
    assert [(alert.reason, alert.run <= 200) for alert in limits.alerts] == [("ratio", True)]


def test_time_does_not_go_back_with_a_partition_that_lags() -> None:
    limits = make()
    limits.take(counts(100, {"a": (1, 0)}))
    [alert] = limits.take(counts(-5_000, {"a": (999, 999)}))
    assert isinstance(alert, Alert)
    assert (alert.judged, alert.at_ms) == (1_000, ARRIVAL_MS + 100 * S)


def test_an_alert_goes_only_below_half_and_not_at_once() -> None:
    limits = make()
    assert kinds(limits.take(counts(0, {"a": (1_000, 60)}))) == [Alert]
    assert limits.take(counts(1, {"a": (5_000, 0)})) == [], "1 % now, but it has just been raised"
    assert kinds(limits.take(counts(61, {"a": (1, 0)}))) == [Cleared]
    assert limits.alerts == []
    assert kinds(limits.take(counts(62, {"a": (4_000, 600)}))) == [Alert]
    assert limits.take(counts(130, {"a": (12_000, 0)})) == [], "3 %: between half and the limit it stands"
    assert limits.alerts[0].judged == 22_001, "with figures of today"
    assert limits.alerts[0].since_ms == ARRIVAL_MS + 62 * S


def test_an_alert_goes_when_the_contract_is_no_longer_sent() -> None:
    limits = make()
    limits.take(counts(0, {"a": (1_000, 1_000)}))
    [cleared] = limits.take(counts(311, {"b": (1, 0)}, label="other:1"))
    assert cleared == Cleared(LABEL, ARRIVAL_MS, ARRIVAL_MS + 311 * S)


def test_what_no_contract_judges_is_an_alert_too() -> None:
    limits = make()
    [alert] = limits.take(BatchCounts(ARRIVAL_MS, {NOT_JUDGED: 100}, {(NOT_JUDGED, ""): 100}))
    assert isinstance(alert, Alert)
    assert (alert.contract, alert.tenants) == (NOT_JUDGED, [])


# -- halts

THREE = {"a": (100, 50), "b": (100, 40), "c": (100, 30)}


def halts(limits: DeadLetterLimits, *batches: BatchCounts) -> list[Halt]:
    return [each for batch in batches for each in limits.take(batch) if isinstance(each, Halt)]


def test_a_release_that_fails_for_three_tenants_halts() -> None:
    assert halts(make(), counts(0, THREE)) == [Halt(LABEL, 300, 120, ["a", "b", "c"])]


@pytest.mark.parametrize(
    ("why", "limits", "traffic"),
    [
        ("not allowed to", make(halt=False), THREE),
        ("never released here", make(released=False), THREE),
        ("two tenants", make(), {"a": (100, 50), "b": (100, 40), "c": (100, 4)}),
        ("the third sends too little", make(), {"a": (100, 50), "b": (100, 40), "c": (9, 9)}),
        ("one has most of it", make(), {"a": (1_000, 900), "b": (100, 50), "c": (100, 50)}),
        # Good traffic of many; the three alone are 2 % of the failures' event, and `a` lifts it above the limit.
        ("without one all is well", make(), {"a": (200, 150), "b": (50, 20), "c": (50, 20), "d": (10_000, 0)}),
        ("nobody is nameless", make(), {"a": (100, 50), "b": (100, 40), "": (100, 30)}),
        ("what is not kept apart", make(), {"a": (100, 50), "b": (100, 40), module.OTHERS: (100, 30)}),
    ],
)
def test_no_halt(why: str, limits: DeadLetterLimits, traffic: dict[str, tuple[int, int]]) -> None:
    assert halts(limits, counts(0, traffic)) == [], why


def test_a_release_is_on_probation_for_an_hour_and_for_events_of_before_it() -> None:
    for at_s, halting in ((-7_200, True), (3_600 - 61, True), (3_600 - 60, False)):
        assert bool(halts(make(), counts(at_s, THREE))) == halting, at_s


def test_an_operator_who_goes_on_is_not_stopped_again() -> None:
    limits = make()
    assert halts(limits, counts(0, THREE))
    limits.accept([LABEL])
    assert halts(limits, counts(1, THREE)) == []
    limits.released("order:3", ARRIVAL_MS)
    assert halts(limits, counts(2, THREE, label="order:3")), "the next release has its own probation"


def test_a_version_that_nobody_sends_yet_is_not_blamed_for_the_usual_garbage() -> None:
    """Broken events that name no version are the newest's; measured by that version alone they would be all of it."""
    limits = make()
    tenants = ("a", "b", "c")
    batch = BatchCounts(
        ARRIVAL_MS,
        {OLD: 30_000, LABEL: 300},
        {(LABEL, tenant): 100 for tenant in tenants},
        {("order", tenant): 10_100 for tenant in tenants},
    )
    assert kinds(limits.take(batch)) == [Alert]


def test_senders_are_asked_for_only_while_they_matter() -> None:
    assert make().watched([OLD, "page_view:1"], ARRIVAL_MS) == {"order"}
    assert make().watched(["page_view:1"], ARRIVAL_MS) == frozenset()
    assert make().watched([OLD], ARRIVAL_MS + HOUR) == frozenset()
    assert make(halt=False).watched([LABEL], ARRIVAL_MS) == frozenset()


# -- properties

TENANT = st.sampled_from(["a", "b", "c", "d", "e", "", module.OTHERS])
TRAFFIC = st.dictionaries(TENANT, st.integers(0, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
BATCHES = st.lists(st.tuples(st.integers(-50, 700), TRAFFIC, st.sampled_from([LABEL, OLD])), max_size=12)


@given(BATCHES, TENANT, st.sampled_from([0.001, 0.05, 0.9]))
def test_one_tenants_traffic_never_halts(batches: Any, tenant: str, ratio: float) -> None:
    """Whatever one tenant sends, alone or on top of what the others send and keep below the limit."""
    limits = make(ratio=ratio, run=1)
    limits.released(OLD, ARRIVAL_MS)
    alone = [counts(at, {tenant: traffic.get(tenant, (5, 5))}, label=label) for at, traffic, label in batches]
    assert halts(limits, *alone) == []

    limits = make(ratio=ratio, run=1)
    limits.released(OLD, ARRIVAL_MS)
    good = {other: (10_000, int(9_999 * ratio)) for other in "abcde" if other != tenant}
    among = [
        counts(at, good | {tenant: traffic.get(tenant, (400, 400))}, label=label) for at, traffic, label in batches
    ]
    assert halts(limits, *among) == []


@given(TRAFFIC, st.sampled_from([0.01, 0.05, 0.5]))
def test_a_halt_holds_without_any_one_tenant(traffic: dict[str, tuple[int, int]], ratio: float) -> None:
    found = halts(make(ratio=ratio), counts(0, traffic))
    named = {t: n for t, n in traffic.items() if t not in {"", module.OTHERS}}
    for left_out in named if found else ():
        rest = [n for t, n in named.items() if t != left_out]
        assert sum(dead for _, dead in rest) >= ratio * sum(sent for sent, _ in rest)
        assert sum(dead >= ratio * sent and sent >= 10 for sent, dead in rest) >= 2


@given(BATCHES)
def test_the_same_batches_lead_to_the_same_decisions(batches: Any) -> None:
    one, other = make(run=20), make(run=20)
    for at, traffic, label in batches:
        batch = counts(at, traffic, label=label)
        shuffled = BatchCounts(
            batch.arrival_ms, batch.judged, dict(reversed([*batch.dead.items()])), dict(reversed([*batch.sent.items()]))
        )
        assert one.take(batch) == other.take(shuffled)
        assert one.alerts == other.alerts


@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 600)), min_size=1, max_size=6))
def test_memory_is_bounded(batches: list[tuple[int, int]]) -> None:
    limits = make(run=1)
    for at, number in batches:
        # Names that differ from batch to batch, of tenants and of contracts.
        names = [f"{at}-{i}" for i in range(number)]
        limits.take(counts(at, dict.fromkeys(names, (20, 20))))
        labels = [f"c{name}:1" for name in names] * 2
        limits.take(BatchCounts(ARRIVAL_MS + at * S, Counter(labels), {(label, "t"): 2 for label in labels}))
    assert len(limits._buckets) <= module.WINDOW_MS / module.BUCKET_MS + 1
    for bucket in limits._buckets:
        assert len(bucket.judged) <= module.MAX_LABELS + 1
        for table in (bucket.dead, bucket.sent, bucket.failed):
            assert len(table) <= module.MAX_LABELS + 1
            assert all(len(tenants) <= module.MAX_TENANTS + 1 for tenants in table.values())
    assert len(limits._runs) <= module.MAX_LABELS


def test_tenants_beyond_the_bound_neither_halt_nor_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TENANTS", 3)
    many = {f"t{i}": (100, 100) for i in range(50)}
    [halt] = halts(make(), counts(0, many))
    assert halt.tenants == ["t0", "t1", "t2"]
    assert (halt.judged, halt.dead_letters) == (300, 300), "failures of those kept apart, of what those sent"


# -- what a batch says


def _processed(*records: RawRecord, limits: DeadLetterLimits) -> BatchCounts:
    window = DedupeWindow(max_age_ms=HOUR, max_ids=100)
    result = process(0, records, window=window, contracts=bundled_contracts())
    return counted({0: records}, [result], limits)


def test_a_batch_is_counted_by_contract_and_tenant() -> None:
    limits = make()
    limits.released("page_view:1", ARRIVAL_MS)
    limits.released("custom_event:1", ARRIVAL_MS)
    bad = {"properties": {"status": "x"}}
    said = _processed(
        record(0, raw_value(event_id="1")),
        record(1, raw_value(event_id="1")),
        record(2, raw_value(event_id="2", **bad)),
        record(3, raw_value(event_id="3", envelope={"tenant": "other"}, **bad)),
        record(4, raw_value(event_id=7, event_type="custom_event", envelope={"event": "page_view:1"})),
        record(5, b"junk"),
        limits=limits,
    )
    assert said.arrival_ms == ARRIVAL_MS + 5
    assert said.judged == {"page_view:1": 4, "custom_event:1": 1, NOT_JUDGED: 1}
    assert said.dead == {
        ("page_view:1", "demo"): 1,
        ("page_view:1", "other"): 1,
        ("custom_event:1", "demo"): 1,
        (NOT_JUDGED, ""): 1,
    }
    assert said.sent == {("page_view", "demo"): 3, ("page_view", "other"): 1, ("custom_event", "demo"): 1}


def test_nothing_is_counted_twice_over_where_nothing_can_halt() -> None:
    assert not _processed(record(0, raw_value()), limits=make()).sent


def test_clients_names_are_no_labels() -> None:
    labels = {"custom_event:1": 3, "page_view:1": 1}
    assert label_of("page_view", 1, labels) == "page_view:1"
    assert label_of("anything:2", 1, labels) == "custom_event:1"
    assert label_of("page_view", 0, labels) == NOT_JUDGED
