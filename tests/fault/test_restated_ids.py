"""Ids that come back by a replay are known to live workers, also to those who take a partition over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from core import kafka
from core.errors import UnavailableError
from core.ids import dedupe_id
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from streams.places import first_of
from streams.records import Outcome, decode_outcome
from streams.restated import Restated, announce_restated
from tests.oracle.fleet import Fleet
from tests.oracle.stream_run import embedded_kafka, prefixed
from tests.streams.raw_events import raw_value

pytestmark = pytest.mark.stack

_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def kafka_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with embedded_kafka(Path(tmp_path_factory.mktemp("restated")) / "kafka") as settings:
        yield replace(settings, partitions=2)


def until(fleet: Fleet, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        fleet.look()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def send(settings: Settings, number: int, event_id: str) -> None:
    lanes = Lanes.of(settings)
    producer = Producer(kafka.producer(settings))
    producer.produce(lanes.topic(number), raw_value(event_id=event_id), b"demo|v-1", lanes.home(number))
    assert producer.flush(30) == 0


def outcomes(settings: Settings, number: int) -> list[Outcome]:
    reader = Consumer(kafka.reader(settings, name="test"))
    reader.assign([TopicPartition(Topics.named(settings.topic_prefix).outcomes, number, 0)])
    found = [decode_outcome(message.value()) for message in kafka.read_to_end(reader, partitions=1)]
    reader.close()
    return found


def test_a_restated_id_is_a_duplicate_for_every_owner(kafka_settings: Settings) -> None:
    settings = prefixed(kafka_settings, "restated")
    back = [Restated(number, 40 + number, dedupe_id("demo", f"back-{number}")) for number in Lanes.of(settings).numbers]
    with Fleet(settings) as fleet:
        first, _ = fleet.add(), fleet.add()
        until(fleet, lambda: fleet.calm)
        assert announce_restated(settings, back, run="r-1") == 4
        assert announce_restated(settings, back, run="r-1") == 4, "again"
        # An event comes back through the other lane than it came by.
        send(settings, 0, "back-2")
        send(settings, 3, "back-1")
        until(fleet, lambda: bool(outcomes(settings, 0) and outcomes(settings, 3)))
        fleet.replace(first)
        until(fleet, lambda: fleet.calm)
        for number in Lanes.of(settings).numbers:
            send(settings, number, f"back-{number}")
            send(settings, number, f"new-{number}")
        until(
            fleet, lambda: all(sum(o.records for o in outcomes(settings, n)) == (2, 3)[n in {0, 3}] for n in range(4))
        )
    for number in Lanes.of(settings).numbers:
        found = outcomes(settings, number)
        repeats = [first_of(first) for outcome in found for first in outcome.firsts]
        other = {0: [(False, 42)], 3: [(False, 41)]}.get(number, [])
        assert repeats == [*other, (True, 40 + number)]
        assert sum(len([*outcome.offsets("curated")]) for outcome in found) == 1, "the new one"


def test_nobody_has_to_be_there(kafka_settings: Settings) -> None:
    settings = prefixed(kafka_settings, "nobody")
    assert announce_restated(settings, [Restated(0, 1, dedupe_id("demo", "a"))], run="r") == 1
    with Fleet(settings) as fleet:
        fleet.add()
        until(fleet, lambda: fleet.calm)
        send(settings, 0, "a")
        until(fleet, lambda: bool(outcomes(settings, 0)))
    assert outcomes(settings, 0)[0].firsts == [1]


@pytest.mark.long
def test_a_worker_that_does_not_take_them_is_told(kafka_settings: Settings) -> None:
    settings = prefixed(kafka_settings, "frozen")
    with Fleet(settings) as fleet:
        worker = fleet.add()
        until(fleet, lambda: fleet.calm)
        fleet.freeze(worker, 60)
        with pytest.raises(UnavailableError, match=r"partitions \[1\]"):
            announce_restated(settings, [Restated(1, 1, dedupe_id("demo", "a"))], run="r", timeout_s=1.0)
