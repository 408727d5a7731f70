"""Envelopes straight to the raw topics: what a collector would write, as fast as asked, all of it known from a seed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from confluent_kafka import KafkaError, Message, Producer
from numpy.typing import NDArray

from core import kafka
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from schemas import envelope
from schemas.envelope import Head

TENANTS = ("acme", "bolt")
FRESH_TENANT = "fresh"
_FIRST_MS = 1_780_000_000_000
# Longer than a worker's largest batch a partition: many repeats meet ids of batches, and of workers, long gone.
_LATEST_REPEAT = 60_000
_TICK_S = 0.02


@dataclass(frozen=True)
class RawWorkload:
    """`size` distinct events, some of them invalid, some sent again later. Each event id is used once by each tenant.

    An event is a number; everything about it follows from that and the seed.
    """

    seed: int
    size: int
    visitors: int = 5_000
    invalid_share: float = 0.01
    repeat_share: float = 0.02
    historic_share: float = 0.3

    @cached_property
    def _visitors(self) -> NDArray[np.int64]:
        return self._random(1).integers(0, self.visitors, self.size)

    @cached_property
    def invalid(self) -> NDArray[np.bool_]:
        return self._random(2).random(self.size) < self.invalid_share

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Events in sending order: each once, and the repeated ones again at once or up to 60,000 events later."""
        random_ = self._random(3)
        again = np.flatnonzero(random_.random(self.size) < self.repeat_share)
        after = random_.integers(0, _LATEST_REPEAT, len(again)) * random_.integers(0, 2, len(again))
        events = np.concatenate([np.arange(self.size), again])
        places = np.concatenate([np.arange(self.size, dtype=np.float64), again + after + 0.5])
        return events[np.argsort(places, kind="stable")]

    @cached_property
    def historic(self) -> NDArray[np.bool_]:
        """Which of `order` go through the historic lane: a repeat may come through the other one."""
        return self._random(4).random(len(self.order)) < self.historic_share

    def key(self, event: int) -> bytes:
        return f"{TENANTS[event % 2]}|v-{self._visitors[event]}".encode()

    def value(self, event: int, *, tenant: str = "") -> bytes:
        visitor = self._visitors[event]
        properties = '{"status":"not a number"}' if self.invalid[event] else '{"title":"Grüße","status":200}'
        payload = (
            f'{{"event_id":"{event_id(event)}","event_type":"page_view","session_id":"s-{visitor}",'
            f'"visitor_id":"v-{visitor}","url":"https://shop.example/p/{event % 97}","properties":{properties},'
            f'"context":{{}},"consent_state":"granted","occurred_at":{_FIRST_MS + event}}}'
        )
        head = Head("page_view", 0, tenant or TENANTS[event % 2], "k-1", "native", historical=False)
        return envelope.encode(head=head, received_at_ms=_FIRST_MS + event, payload=payload.encode())

    def _random(self, what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, what])


def event_id(event: int) -> str:
    return f"e-{event // 2}"


def event_of(tenant: str, id_: str) -> int:
    """Its number; -1 for one of no workload."""
    return int(id_.removeprefix("e-")) * 2 + TENANTS.index(tenant) if tenant in TENANTS else -1


@dataclass(slots=True)
class RawLoad:
    """Sends a workload in a thread, at `rate` records a second. `sent` counts what was handed to the producer."""

    settings: Settings
    workload: RawWorkload
    rate: float
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    _hurry: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="raw-load", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def hurry(self) -> None:
        """Send the rest as fast as Kafka takes it."""
        self._hurry.set()

    def _run(self) -> None:
        try:
            sent = zip(self.workload.order.tolist(), self.workload.historic.tolist(), strict=True)
            self._send(self._paced(sent))
        except Exception as error:  # noqa: BLE001 (the verdict says it; a thread's trace would fail another test)
            self.failures.append(repr(error))

    def _paced(self, sent: Iterator[tuple[int, bool]]) -> Iterator[tuple[int, bool]]:
        began = time.monotonic()
        for each in sent:
            yield each
            self.sent += 1
            while self.sent > (time.monotonic() - began) * self.rate and not self._hurry.is_set():
                self._hurry.wait(_TICK_S)

    def _send(self, sent: Iterator[tuple[int, bool]]) -> None:
        topics = Topics.named(self.settings.topic_prefix)
        producer = Producer(kafka.producer(self.settings) | {"linger.ms": 5, "queue.buffering.max.messages": 200_000})
        for event, historic in sent:
            topic = topics.raw_historic if historic else topics.raw
            key, value = self.workload.key(event), self.workload.value(event)
            while True:
                try:
                    producer.produce(topic, value, key, on_delivery=self._delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
            if not event % 1_000:
                producer.poll(0)
        if producer.flush(60):
            self.failures.append("the raw topic does not take records")

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self.failures.append(error.str())


def send_fresh(settings: Settings) -> None:
    """One event to each raw partition of both lanes, of a tenant that no workload has."""
    lanes = Lanes.of(settings)
    producer = Producer(kafka.producer(settings))
    workload = RawWorkload(0, 2 * len(lanes.numbers), invalid_share=0.0)
    for number in lanes.numbers:
        # Two events have the same id: only every second one.
        value = workload.value(2 * number, tenant=FRESH_TENANT)
        producer.produce(lanes.topic(number), value, b"fresh", lanes.home(number))
    producer.flush(30)
