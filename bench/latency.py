"""How long an event is under way, received to curated, at a steady rate: `python -m bench.streams --rate 2000`.

Events are produced as a collector produces them, each with the time it is made; a reader of committed records looks at
the clock as it gets them. Clocks are the same, because all of it is one machine.
"""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass

import fastavro
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.raw_events import Profile, raw_records
from core import kafka
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from schemas import framing

_WARM_UP_S = 3.0
_LATE_S = 10.0  # that the last events are waited for
_TICK_S = 0.002


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from received to curated, of the events after the warm-up."""

    rate: float
    under_way_ms: list[int]

    def __str__(self) -> str:
        p50, p99, most = np.percentile(self.under_way_ms, [50, 99, 100])
        return (
            f"received to curated at {self.rate:,.0f} events/s: "
            f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {most:.0f} ms, {len(self.under_way_ms):,} events"
        )


def measure(settings: Settings, profile: Profile, *, rate: float, seconds: float) -> Latency:
    """While a worker runs on `settings`."""
    reader = _Reader(settings)
    reader.start()
    began_ms, sent = _send(settings, profile, rate, seconds)
    reader.stop(after_s=_LATE_S)
    counted = [at - received for received, at in reader.seen if received >= began_ms]
    if len(counted) < sent * 0.9:
        raise RuntimeError(f"of {sent} events {len(counted)} were curated in time")
    return Latency(rate, counted)


def _send(settings: Settings, profile: Profile, rate: float, seconds: float) -> tuple[int, int]:
    """Send for the warm-up and then for `seconds`; when those began, and how many were sent from then on."""
    producer = Producer(kafka.producer(settings) | {"linger.ms": 1})
    raw = Topics.named(settings.topic_prefix).raw
    records = raw_records(profile, int(rate * (_WARM_UP_S + seconds)), now_ms=_now_ms)
    next(records)  # it prepares itself
    began, number, began_ms = time.monotonic(), 0, 0
    for number, (key, value) in enumerate(records):
        if number == int(rate * _WARM_UP_S):
            began_ms = _now_ms()
        producer.produce(raw, value, key)
        while number > (time.monotonic() - began) * rate:
            producer.poll(_TICK_S)
    producer.flush(60)
    return began_ms, number - int(rate * _WARM_UP_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class _Reader:
    """Reads the curated topic from its present end in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.seen: list[tuple[int, int]] = []  # received, read: milliseconds
        self._consumer = Consumer(kafka.reader(settings, name="latency") | {"fetch.wait.max.ms": 20})
        topic = Topics.named(settings.topic_prefix).curated
        self._consumer.assign([TopicPartition(topic, n, 0) for n in Lanes.of(settings).numbers])
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, after_s: float) -> None:
        time.sleep(after_s)
        self._done.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._done.is_set():
            for message in self._consumer.consume(1_000, 0.005):
                if message.error() is None:
                    self.seen.append((_received_ms(message.value()), _now_ms()))


def _received_ms(value: bytes) -> int:
    schema, at = framing.opened(value, "event")
    row = fastavro.schemaless_reader(io.BytesIO(value[at:]), schema.plain)
    assert isinstance(row, dict)
    return int(row["received_at"])
