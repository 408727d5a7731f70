"""The engine's order of steps, against a consumer and a producer in memory: what a commit, an abort, a rebalance and
a fatal error leave behind. That Kafka keeps its part of it is for the tests with a broker.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import REGISTRY

from core import transactions
from core.errors import InvariantError
from core.ids import dedupe_id
from core.settings import Settings
from schemas.contracts import bundled_contracts
from streams import engine as module
from streams import intake
from streams.engine import Batch, StreamEngine
from streams.places import OTHER_LANE
from streams.records import decode_outcome
from streams.restated import Announced
from streams.window import DedupeWindow, pack
from tests.streams.kafka_fakes import (
    ABORTABLE,
    ARRIVAL_MS,
    FENCED,
    RETRIABLE,
    STARTED,
    FakeConsumer,
    FakeProducer,
    Message,
)
from tests.streams.raw_events import raw_value

SETTINGS = Settings(kafka_bootstrap="127.0.0.1:1", topic_prefix="t.")


class FakeRecovery:
    start: dict[int, int] = {0: 0, 4: 0}  # noqa: RUF012 (set by a test)
    ids: list[bytes] = []  # noqa: RUF012 (set by a test)

    def __init__(self, _settings: Settings) -> None:
        pass

    def committed(self, _consumer: Any, homes: list[int]) -> dict[int, int]:
        return dict.fromkeys(homes, 0)

    def recover(self, _consumer: Any, home: int, window: DedupeWindow, _committed: dict[int, int]) -> dict[int, int]:
        assert home == 0
        window.add(pack(self.ids), offsets=range(len(self.ids)), arrival_ms=ARRIVAL_MS)
        return self.start


class FakeRestated:
    waiting: list[tuple[int, Announced]] = []  # noqa: RUF012 (set by a test)

    def __init__(self, _settings: Settings) -> None:
        self.told = 0

    def take(self, _home: int) -> list[Announced]:
        return [announced for _, announced in self.waiting]

    def new(self) -> list[tuple[int, Announced]]:
        return self.waiting

    def tell(self, _group: Any) -> None:
        self.told += 1

    def give_up(self, _home: int) -> None: ...

    def close(self) -> None: ...


class Rig:
    """A started engine that owns partition 0."""

    def __init__(self) -> None:
        self.engine = StreamEngine(SETTINGS, contracts=bundled_contracts())
        self.consumer: FakeConsumer = self.engine._intake._live
        self.historic: FakeConsumer = self.engine._intake._historic
        self.producer: FakeProducer = self.engine._producer
        self.engine.start()
        self.assign()

    def assign(self) -> None:
        self.consumer.handlers["on_assign"](self.consumer, [TopicPartition("t.raw", 0)])

    def send(self, *values: bytes | None) -> None:
        self.consumer.send(*values)

    def send_historic(self, *values: bytes | None) -> None:
        self.historic.send(*values, topic="t.raw_historic")

    def batch(self) -> Batch:
        # The lanes take turns.
        batch = self.engine.poll() or self.engine.poll()
        assert batch is not None
        return batch

    def window(self) -> DedupeWindow:
        return self.engine._windows[0]

    def stored(self, topic: str) -> list[bytes]:
        return [value for name, _, value in self.producer.committed if name == f"t.{topic}"]

    def outcomes(self) -> list[tuple[str, int, int]]:
        return [(r.outcome, r.first, r.count) for value in self.stored("outcomes") for r in decode_outcome(value).runs]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(intake, "Consumer", FakeConsumer)
    monkeypatch.setattr(module, "Producer", FakeProducer)
    monkeypatch.setattr(transactions, "Consumer", FakeConsumer)
    monkeypatch.setattr(module, "Recovery", FakeRecovery)
    monkeypatch.setattr(module, "RestatedReader", FakeRestated)
    return Rig()


def test_a_batch_moves_records_and_offsets_together(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"), b"junk", raw_value(event_id="a"), raw_value(event_id="b"))
    assert rig.engine.handle(rig.batch())
    assert rig.producer.calls == [*STARTED, "begin", "offsets", "commit"]
    assert rig.producer.offsets == {("t.raw", 0): 4}
    assert (len(rig.stored("curated")), len(rig.stored("dead_letters")), len(rig.stored("outcomes"))) == (2, 1, 1)
    assert rig.outcomes() == [("curated", 0, 1), ("dead_letter", 1, 1), ("duplicate", 2, 1), ("curated", 3, 1)]
    assert {partition for _, partition, _ in rig.producer.committed} == {0}


def test_the_trace_of_a_request_goes_on_with_what_became_of_it(rig: Rig) -> None:
    long_way = {"extra_one": 1}  # not declared
    rig.send(
        raw_value(event_id="a", envelope={"traceparent": "00-a"}),
        raw_value(event_id="b", envelope={"traceparent": ""}),
        raw_value(event_id="c", envelope={"traceparent": "00-c"}, properties=long_way),
        raw_value(event_id="d", envelope={"traceparent": "00-d"}, properties={"title": 7}),
    )
    assert rig.engine.handle(rig.batch())
    assert [topic for topic, _, _ in rig.producer.committed] == [
        f"t.{n}" for n in ("curated",) * 3 + ("dead_letters", "outcomes")
    ]
    traces = [dict(headers or ()).get("traceparent") for headers in rig.producer.headers]
    assert traces == [b"00-a", None, b"00-c", b"00-d", None]


def test_ids_are_remembered_after_the_commit(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    assert rig.engine.handle(rig.batch())
    assert dedupe_id("demo", "a") in rig.window()
    rig.send(raw_value(event_id="a"))
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes()[-1] == ("duplicate", 1, 1)


@pytest.mark.parametrize("step", ["offsets", "commit"])
def test_an_aborted_batch_leaves_no_trace_and_comes_again(rig: Rig, step: str) -> None:
    rig.producer.failures = {step: deque([ABORTABLE])}
    rig.send(raw_value(event_id="a"))
    assert not rig.engine.handle(rig.batch())
    assert rig.producer.calls[-1] == "abort"
    assert (rig.producer.committed, rig.producer.offsets, len(rig.window())) == ([], {}, 0)
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes() == [("curated", 0, 1)], "its own ids must not make it a duplicate"


def test_batches_consumed_before_an_abort_are_dropped(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    first = rig.batch()
    rig.send(raw_value(event_id="b"))
    second = rig.batch()
    rig.producer.failures = {"commit": deque([ABORTABLE])}
    assert not rig.engine.handle(first)
    assert not rig.engine.handle(second), "the second would be committed before the first"
    assert rig.producer.committed == []
    again = rig.batch()
    assert [r.offset for r in again.partitions[0]] == [0, 1]
    assert rig.engine.handle(again)
    assert rig.outcomes() == [("curated", 0, 2)]


def test_a_retriable_error_is_no_abort(rig: Rig) -> None:
    rig.producer.failures = {"init": deque(), "offsets": deque([RETRIABLE]), "commit": deque([RETRIABLE])}
    rig.send(raw_value())
    assert rig.engine.handle(rig.batch())
    assert rig.producer.calls == [*STARTED, "begin", "offsets", "offsets", "commit", "commit"]
    assert len(rig.stored("curated")) == 1


@pytest.mark.parametrize("step", ["begin", "commit"])
def test_a_fenced_producer_ends_the_worker(rig: Rig, step: str) -> None:
    rig.producer.failures = {step: deque([FENCED])}
    rig.send(raw_value())
    batch = rig.batch()
    with pytest.raises(KafkaException):
        rig.engine.handle(batch)
    assert "abort" not in rig.producer.calls[len(STARTED) :]
    assert len(rig.window()) == 0


def test_a_full_queue_is_waited_for(rig: Rig) -> None:
    rig.producer.full = 2
    rig.send(raw_value())
    assert rig.engine.handle(rig.batch())
    assert rig.producer.calls.count("poll") == 2
    assert len(rig.stored("curated")) == 1


def test_a_seek_too_early_is_done_by_a_later_poll(rig: Rig) -> None:
    rig.producer.failures = {"commit": deque([ABORTABLE])}
    rig.send(raw_value(event_id="a"), raw_value(event_id="b"))
    assert not rig.engine.handle(rig.batch())
    rig.consumer.seek_error = KafkaError(KafkaError._STATE, "not fetching")
    rig.consumer.position = 1
    assert not rig.engine.handle(rig.batch()), "read from the wrong place"
    rig.consumer.seek_error = None
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes() == [("curated", 0, 2)]


def test_a_partition_given_away_takes_its_batches_along(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    held = rig.batch()
    rig.consumer.handlers["on_revoke"](rig.consumer, [TopicPartition("t.raw", 0)])
    assert not rig.engine.handle(held)
    assert rig.consumer.assigned == []
    rig.assign()
    assert not rig.engine.handle(held), "of an earlier assignment"
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes() == [("curated", 0, 1)]


def test_a_lost_partition_commits_nothing(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    held = rig.batch()
    rig.consumer.handlers["on_lost"](rig.consumer, [TopicPartition("t.raw", 0)])
    assert not rig.engine.handle(held)
    assert rig.producer.committed == []


def test_a_takeover_continues_where_the_output_ends(monkeypatch: pytest.MonkeyPatch, rig: Rig) -> None:
    monkeypatch.setattr(FakeRecovery, "start", {0: 1, 4: 0})
    monkeypatch.setattr(FakeRecovery, "ids", [dedupe_id("demo", "a")])
    rig.consumer.handlers["on_revoke"](rig.consumer, [TopicPartition("t.raw", 0)])
    rig.assign()
    rig.send(raw_value(event_id="a"), raw_value(event_id="a"), raw_value(event_id="b"))
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes() == [("duplicate", 1, 1), ("curated", 2, 1)]


def test_an_offset_that_has_an_outcome_is_refused(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    batch = rig.batch()
    assert rig.engine.handle(batch)
    with pytest.raises(InvariantError, match="second outcome"):
        rig.engine.handle(batch)
    assert len(rig.stored("outcomes")) == 1


def test_a_truncated_log_stops_the_worker(rig: Rig) -> None:
    rig.consumer.errors.append(Message(0, failure=KafkaError(KafkaError._AUTO_OFFSET_RESET, "out of range")))
    with pytest.raises(InvariantError, match="truncated"):
        rig.engine.poll()


def test_consumer_errors_end_the_worker_only_when_fatal(rig: Rig) -> None:
    rig.consumer.errors.append(Message(0, failure=KafkaError(KafkaError._ALL_BROKERS_DOWN, "away")))
    assert rig.engine.poll() is None
    rig.consumer.errors.append(Message(0, failure=FENCED))
    with pytest.raises(KafkaException):
        rig.engine.poll()


def test_a_pause_stops_consuming_and_nothing_else(rig: Rig) -> None:
    rig.send(raw_value())
    rig.engine.pause(True)
    assert rig.engine.poll() is None
    assert rig.consumer.assigned
    rig.engine.pause(False)
    assert rig.batch().records == 1


def test_a_worker_without_a_share_has_joined(rig: Rig) -> None:
    other = Rig()
    assert other.engine.joined
    fresh = StreamEngine(SETTINGS, contracts=bundled_contracts())
    fresh.start()
    assert not fresh.joined
    consumer: FakeConsumer = fresh._intake._live
    consumer.handlers["on_assign"](consumer, [])
    assert fresh.joined


def test_stopping_leaves_the_group(rig: Rig) -> None:
    rig.engine.stop()
    assert rig.consumer.closed


def test_dead_letters_are_judged_after_the_commit_and_outside_the_lock(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[list[int], int, bool]] = []

    def after(partitions: dict[int, Any], results: list[Any]) -> None:
        free = threading.Thread(target=lambda: heard.append((*seen, rig.engine._handling.acquire(timeout=5))))
        seen = ([*partitions], len(results[0].dead_letters))
        assert rig.producer.calls[-1] == "commit"
        free.start()
        free.join()

    monkeypatch.setattr(rig.engine.dead_letters, "after", after)
    rig.producer.failures = {"commit": deque([ABORTABLE])}
    rig.send(b"junk")
    assert not rig.engine.handle(rig.batch())
    assert heard == [], "an aborted batch comes again"
    assert rig.engine.handle(rig.batch())
    assert heard == [([0], 1, True)]


# -- lanes


def test_both_lanes_of_a_partition_are_taken_together(rig: Rig) -> None:
    assert rig.consumer.subscribed == ["t.raw"]
    assert "group.instance.id" not in rig.historic.config
    assert [(p.topic, p.partition) for p in (*rig.consumer.assigned, *rig.historic.assigned)] == [
        ("t.raw", 0),
        ("t.raw_historic", 0),
    ]
    rig.consumer.handlers["on_revoke"](rig.consumer, [TopicPartition("t.raw", 0)])
    assert rig.historic.assigned == []


def test_a_historic_batch_has_its_own_number(rig: Rig) -> None:
    rig.send_historic(raw_value(event_id="a"), b"junk")
    assert rig.engine.handle(rig.batch())
    assert rig.producer.offsets == {("t.raw_historic", 0): 2}
    assert {partition for _, partition, _ in rig.producer.committed} == {4}
    (outcome,) = [decode_outcome(value) for value in rig.stored("outcomes")]
    assert (outcome.raw_partition, outcome.first, outcome.last) == (4, 0, 1)


@pytest.mark.parametrize("first", ["live", "historic"])
def test_an_id_counts_once_in_both_lanes(rig: Rig, first: str) -> None:
    sends = [rig.send, rig.send_historic] if first == "live" else [rig.send_historic, rig.send]
    for send in (*sends, *sends):
        send(raw_value(event_id="b"), raw_value(event_id="a"))
        assert rig.engine.handle(rig.batch())
    outcomes = [decode_outcome(value) for value in rig.stored("outcomes")]
    assert [[run.outcome for run in outcome.runs] for outcome in outcomes] == [["curated"], *[["duplicate"]] * 3]
    # The other lane's first carries the mark, the same lane's does not.
    assert [outcome.firsts for outcome in outcomes] == [
        [],
        [OTHER_LANE, OTHER_LANE | 1],
        [0, 1],
        [OTHER_LANE, OTHER_LANE | 1],
    ]


def test_live_events_go_first_and_historic_batches_are_small(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.engine._intake, "_settings", replace(SETTINGS, streams_historic_batch_events=2_000))
    rig.send_historic(*(raw_value(event_id=f"h{n}") for n in range(5_000)))
    lanes = []
    for number in range(8):
        rig.send(*[raw_value(event_id=f"l{number}")] * (number > 3))
        if batch := rig.engine.poll():
            lanes.append((*batch.partitions, batch.records))
            assert rig.engine.handle(batch)
    # Live events are looked at between two historic batches, and gathered while one is in hand.
    assert lanes == [(4, 2_000), (4, 2_000), (0, 1), (4, 1_000), (0, 2), (0, 1)]


def test_nothing_historic_is_begun_while_a_batch_is_in_hand(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    rig.send_historic(raw_value(event_id="h"))
    first = rig.batch()
    assert [*first.partitions] == [0]
    assert rig.engine.poll() is None
    assert rig.engine.handle(first)
    assert [*rig.batch().partitions] == [4]


def test_many_live_events_leave_the_historic_lane_a_batch_a_second(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(rig.engine._intake, "_historic_at", now - 1)
    values = [raw_value(event_id=f"e{n}") for n in range(100)]
    monkeypatch.setattr(rig.engine._intake, "_settings", replace(SETTINGS, streams_historic_batch_events=10))
    lanes: list[int] = []
    for _ in range(12):
        rig.send(*values)
        rig.send_historic(*values[:10])
        batch = rig.batch()
        lanes.append(*batch.partitions)
        assert rig.engine.handle(batch)
        now += 0.25
    assert lanes == [0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0]


def test_a_pause_holds_both_lanes(rig: Rig) -> None:
    rig.engine.pause(True)
    rig.send_historic(raw_value())
    assert rig.engine.poll() is None
    rig.engine.pause(False)
    assert rig.batch().records == 1


def test_an_aborted_historic_batch_comes_again(rig: Rig) -> None:
    rig.producer.failures = {"commit": deque([ABORTABLE])}
    rig.send_historic(raw_value(event_id="a"))
    assert not rig.engine.handle(rig.batch())
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes() == [("curated", 0, 1)]
    assert rig.producer.offsets == {("t.raw_historic", 0): 1}


def test_a_historic_batch_that_got_lost_holds_the_lane_up_for_moments_only(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.send_historic(raw_value(event_id="a"))
    rig.batch()
    rig.send_historic(raw_value(event_id="b"))
    assert rig.engine.poll() is None
    later = time.monotonic() + 10
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not rig.engine.handle(rig.batch()), "the lost one is missing"
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes() == [("curated", 0, 2)]


# -- backpressure and metrics


def test_a_batch_is_bounded_in_bytes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.engine._intake, "_settings", replace(SETTINGS, streams_batch_bytes=1 << 20))
    monkeypatch.setattr(intake, "_PORTION", 2)
    rig.send(*[b"x" * 300_000] * 10)
    sizes = []
    for _ in range(2):
        batch = rig.batch()
        sizes.append(batch.records)
        assert rig.engine.handle(batch)
    # A first one, and portions of two until the bytes are there.
    assert sizes == [5, 5]


@pytest.mark.parametrize("taken_over", [True, False])
def test_restated_ids_are_known_to_whoever_owns_the_partition(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, taken_over: bool
) -> None:
    announced = Announced(pack([dedupe_id("demo", "back")]), [OTHER_LANE | 7], ARRIVAL_MS)
    monkeypatch.setattr(FakeRestated, "waiting", [(0, announced)])
    if taken_over:
        rig.consumer.handlers["on_revoke"](rig.consumer, [TopicPartition("t.raw", 0)])
        rig.assign()
    else:
        monkeypatch.setattr(rig.engine, "_looked_at", 0.0)
        assert rig.engine.poll() is None
        assert rig.engine._restated.told  # type: ignore[attr-defined]
    rig.send(raw_value(event_id="back"))
    assert rig.engine.handle(rig.batch())
    (outcome,) = [decode_outcome(value) for value in rig.stored("outcomes")]
    assert (outcome.runs[0].outcome, outcome.firsts) == ("duplicate", [OTHER_LANE | 7])


def read(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(name, labels)
    return 0.0 if value is None else value


def test_what_a_batch_tells(rig: Rig) -> None:
    before = read("sluice_streams_latency_seconds_count", lane="historic")
    codes = read("sluice_streams_dead_letter_codes_total", code="bad_envelope")
    rig.send_historic(raw_value(event_id="a"), b"junk", raw_value(event_id="b"), raw_value(event_id="a"))
    assert rig.engine.handle(rig.batch())
    assert read("sluice_streams_latency_seconds_count", lane="historic") == before + 2, "what is curated"
    assert read("sluice_streams_dead_letter_codes_total", code="bad_envelope") == codes + 1
    assert read("sluice_streams_dedupe_ids", partition="0") == 2


def test_lag_is_by_lane(rig: Rig) -> None:
    rig.send(*[raw_value(event_id=f"e{n}") for n in range(3)])
    rig.send_historic(raw_value(event_id="h"))
    rig.batch()
    assert read("sluice_streams_lag_events", lane="live", partition="0") == 3
    assert read("sluice_streams_lag_events", lane="historic", partition="0") == 1
    rig.consumer.handlers["on_revoke"](rig.consumer, [TopicPartition("t.raw", 0)])
    assert read("sluice_streams_lag_events", lane="live", partition="0") == 0
