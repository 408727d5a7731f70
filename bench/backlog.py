"""A stream worker that catches up with a long backlog: its memory and its rate, `.venv/bin/python -m bench.backlog`.

The backlog is on the topic before the worker starts. Events differ in their ids only; every id is new, so the dedupe
windows fill up to their bound.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.raw_events import raw_records
from core import kafka
from core.lanes import Lanes
from core.settings import Settings
from infra import topics
from infra.kafka import broker
from infra.process import Child, ChildSpec
from infra.supervisor import Supervisor

_ROOT = Path(__file__).parents[1]
_DIFFERENT = 20_000
_ID_BYTES = 36
_EVERY_S = 1.0
_STALLED_S = 120.0


@click.command()
@click.option("--events", default=10_000_000, show_default=True, help="Events that wait.")
@click.option("--lane", type=click.Choice(["live", "historic"]), default="live", show_default=True)
def main(*, events: int, lane: str) -> None:
    """Load the topic, start a worker, sample its resident memory until nothing waits."""
    with TemporaryDirectory() as folder:
        settings = Settings(state_dir=Path(folder) / "kafka", kafka_heap_mib=1024)
        prepared = broker.prepare(settings)
        with Supervisor([[prepared.spec]]):
            settings = replace(settings, kafka_bootstrap=prepared.bootstrap)
            topics.apply(settings)
            lanes = Lanes.of(settings)
            began = time.monotonic()
            _produce(settings, lanes.live if lane == "live" else lanes.historic, events)
            click.echo(f"{events:,} events of the {lane} lane loaded in {time.monotonic() - began:.0f} s")
            _catch_up(settings, events)


def _produce(settings: Settings, topic: str, events: int) -> None:
    different = []
    for key, value in islice(raw_records("one", _DIFFERENT), _DIFFERENT):
        at = value.find(b'"event_id":"') + len(b'"event_id":"')
        different.append((key, value[:at], value[at + _ID_BYTES :]))
    producer = Producer(kafka.producer(settings) | {"linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    seed = uuid.uuid4().int & ~((1 << 64) - 1)
    for number, (key, before, after) in enumerate(islice(cycle(different), events)):
        value = before + str(uuid.UUID(int=seed | number)).encode() + after
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(300):
        raise click.ClickException("Kafka did not take the events in time")


def _catch_up(settings: Settings, events: int) -> None:
    env = {key: os.environ[key] for key in ("HOME", "LANG", "PATH") if key in os.environ}
    worker = Child(
        ChildSpec(
            name="streams",
            argv=(sys.executable, "-m", "cli", "streams"),
            env=env | settings.to_env() | {"PYTHONPATH": str(_ROOT)},
            log_path=settings.state_dir.parent / "streams.log",
            stop_grace_s=20.0,
        )
    )
    worker.start()
    try:
        worker.wait_ready()
        idle, highest, began, done = _rss_mib(worker), 0.0, time.monotonic(), 0
        moved_at, told = began, 0
        while done < events:
            time.sleep(_EVERY_S)
            highest, before, done = max(highest, _rss_mib(worker)), done, _committed(settings)
            moved_at = time.monotonic() if done > before else moved_at
            if time.monotonic() - moved_at > _STALLED_S:
                raise click.ClickException(f"nothing moves: {done:,} of {events:,} events")
            if done // 1_000_000 > told:
                told = done // 1_000_000
                click.echo(f"  {done:12,} events  {_rss_mib(worker):6.0f} MiB")
        seconds = time.monotonic() - began
        click.echo(
            f"{events:,} events in {seconds:.0f} s ({events / seconds:,.0f}/s): resident memory {idle:.0f} MiB at the "
            f"start, {highest:.0f} MiB at most"
        )
    finally:
        worker.stop()


def _committed(settings: Settings) -> int:
    lanes = Lanes.of(settings)
    asker = Consumer(kafka.consumer(settings, group=f"{settings.topic_prefix}streams.raw"))
    places = [TopicPartition(lanes.topic(number), lanes.home(number)) for number in lanes.numbers]
    found = asker.committed(places, timeout=60)
    asker.close()
    return sum(max(0, each.offset) for each in found)


def _rss_mib(child: Child) -> float:
    text = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
