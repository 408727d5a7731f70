"""What an import does to live events: `.venv/bin/python -m bench.lanes`.

One stream worker on a real Kafka, live events at a steady rate, alone and while historic events catch up, by turns.
Latency is from the time a collector would have received an event to the moment a reader of committed records has it.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
import fastavro
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.raw_events import load
from core import control, kafka
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from infra import topics
from infra.kafka import broker
from infra.process import Child, ChildSpec
from infra.supervisor import Supervisor
from schemas import envelope, framing

_ROOT = Path(__file__).parents[1]
_TICK_S = 0.005
_WARM_S = 3.0
_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Latency:
    """In milliseconds. `historic_per_s`: historic events given their outcome while live ones were measured."""

    p50: float
    p99: float
    worst: float
    events: int
    historic_per_s: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50:6.0f} ms  p99 {self.p99:6.0f} ms  max {self.worst:6.0f} ms  {self.events:,} live events"
            f"  {self.historic_per_s:,.0f} historic events/s"
        )


@click.command()
@click.option("--historic", default=1_000_000, show_default=True, help="Historic events that wait at the beginning.")
@click.option(
    "--batch", default=Settings.streams_historic_batch_events, show_default=True, help="Of the historic lane."
)
@click.option("--rate", default=2_000, show_default=True, help="Live events a second.")
@click.option("--seconds", default=20.0, show_default=True, help="How long live events are measured, each time.")
@click.option("--runs", default=3, show_default=True, help="Runs of each kind.")
def main(*, historic: int, batch: int, rate: int, seconds: float, runs: int) -> None:
    """Measure live latency with and without historic events that wait."""
    with TemporaryDirectory() as folder:
        settings = Settings(state_dir=Path(folder) / "kafka", kafka_heap_mib=1024, streams_historic_batch_events=batch)
        prepared = broker.prepare(settings)
        with Supervisor([[prepared.spec]]):
            settings = replace(settings, kafka_bootstrap=prepared.bootstrap)
            found: dict[int, list[Latency]] = {0: [], historic: []}
            for number in range(runs):
                for waiting, measured in found.items():
                    measured.append(_measure(settings, f"r{number}-{waiting}.", waiting, rate, seconds))
                    click.echo(f"{waiting:>10,} waiting  {measured[-1]}")
            for waiting, all_ in found.items():
                p50, p99 = median(each.p50 for each in all_), median(each.p99 for each in all_)
                click.echo(f"{waiting:>10,} waiting: median of {runs} p50 {p50:.0f} ms, p99 {p99:.0f} ms")


def _measure(settings: Settings, prefix: str, waiting: int, rate: int, seconds: float) -> Latency:
    settings = replace(settings, topic_prefix=prefix, state_dir=settings.state_dir.parent / prefix)
    settings.state_dir.mkdir()
    topics.apply(settings)
    names = Topics.named(prefix)
    load(settings, names.raw_historic, "one", waiting)
    control.put(settings, {"streams": b'{"paused":true}'})
    with _worker(settings) as worker, _live(settings, rate):
        while "partition_assigned" not in worker.spec.log_path.read_text(encoding="utf-8"):
            time.sleep(0.1)
        control.put(settings, {"streams": b'{"paused":false}'})
        time.sleep(_WARM_S)
        lanes = Lanes.of(settings)
        reader = Consumer(
            kafka.reader(settings, name="bench") | {"enable.partition.eof": False, "fetch.wait.max.ms": 5}
        )
        reader.assign(
            [TopicPartition(names.curated, p, _end(reader, names.curated, p)) for p in range(lanes.partitions)]
        )
        before, began = _done(settings), time.monotonic()
        latencies: list[float] = []
        while time.monotonic() < began + seconds:
            message = reader.poll(0.01)
            if message is not None and message.error() is None:
                received = _received_ms(message.value())
                if received:
                    latencies.append(time.time() * 1000 - received)
        per_s = (_done(settings) - before) / (time.monotonic() - began)
        reader.close()
    p50, p99, worst = np.percentile(latencies, [50, 99, 100])
    return Latency(float(p50), float(p99), float(worst), len(latencies), per_s)


@contextmanager
def _live(settings: Settings, rate: int) -> Iterator[None]:
    """Page views of tenant `live`, stamped as they are handed over."""
    stop = threading.Event()
    thread = threading.Thread(target=_send, args=(settings, rate, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _send(settings: Settings, rate: int, stop: threading.Event) -> None:
    producer = Producer(kafka.producer(settings) | {"linger.ms": 1})
    raw = Topics.named(settings.topic_prefix).raw
    head = envelope.Head("page_view", 0, "live", "k-1", "native", historical=False)
    numbers, began, sent = count(), time.monotonic(), 0
    while not stop.wait(_TICK_S):
        while sent < (time.monotonic() - began) * rate:
            number, now_ms, sent = next(numbers), int(time.time() * 1000), sent + 1
            visitor = f"v-{number % 997}"
            payload = (
                f'{{"event_id":"live-{number}","event_type":"page_view","session_id":"s","visitor_id":"{visitor}",'
                f'"url":"https://shop.example/p","properties":{{"title":"A","status":200}},"context":{{}},'
                f'"consent_state":"granted","occurred_at":{now_ms}}}'
            )
            value = envelope.encode(head=head, received_at_ms=now_ms, payload=payload.encode())
            producer.produce(raw, value, f"live|{visitor}".encode())
        producer.poll(0)
    producer.flush(10)


def _received_ms(value: bytes) -> int:
    """When a live event was received; 0 for one of those that waited."""
    schema, at = framing.opened(value, "event")
    row = fastavro.schemaless_reader(io.BytesIO(value[at:]), schema.plain)
    return int(row["received_at"]) if isinstance(row, dict) and row["tenant"] == "live" else 0


def _done(settings: Settings) -> int:
    """Offsets that the workers have committed in the historic lane."""
    lanes = Lanes.of(settings)
    consumer = Consumer(kafka.consumer(settings, group=f"{settings.topic_prefix}streams.raw"))
    places = [TopicPartition(lanes.historic, p) for p in range(lanes.partitions)]
    found = consumer.committed(places, timeout=30)
    consumer.close()
    return sum(max(0, each.offset) for each in found)


def _end(reader: Consumer, topic: str, partition: int) -> int:
    return int(reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1])


@contextmanager
def _worker(settings: Settings) -> Iterator[Child]:
    env = {key: os.environ[key] for key in ("HOME", "LANG", "PATH") if key in os.environ}
    child = Child(
        ChildSpec(
            name="streams",
            argv=(sys.executable, "-m", "cli", "streams"),
            env=env | settings.to_env() | {"PYTHONPATH": str(_ROOT)},
            log_path=settings.state_dir / "streams.log",
            stop_grace_s=20.0,
        )
    )
    child.start()
    try:
        yield child
    finally:
        child.stop()


if __name__ == "__main__":
    main()
