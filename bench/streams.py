"""A whole stream worker on a real Kafka, against stock Faust on the same events: `.venv/bin/python -m bench.streams`.

Everything is on the topic before it starts, so what is measured is a worker catching up: CPU time of its whole process
from the moment it may begin, all threads, to the last committed record. The broker is its own process and not counted.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import click
from confluent_kafka import Consumer, TopicPartition

from bench.latency import measure
from bench.raw_events import Profile, load
from core import control, kafka
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from infra import topics
from infra.kafka import broker
from infra.process import Child, ChildSpec
from infra.supervisor import Supervisor

_ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_S = 600.0
_BATCHES = "sluice_streams_batch_events"


@dataclass(frozen=True, slots=True)
class Measured:
    name: str
    events: int
    cpu_s: float
    wall_s: float

    def __str__(self) -> str:
        per_event, rate = self.cpu_s / self.events * 1e6, self.events / self.wall_s
        return f"{self.name:34} {per_event:8.2f} us CPU/event {rate:12,.0f} events/s {self.events:10,} events"


@click.command()
@click.option("--events", default=500_000, show_default=True, help="Events for a worker of ours.")
@click.option("--stock-events", default=20_000, show_default=True, help="Events for stock Faust.")
@click.option("--rate", type=float, help="Instead: how long events are under way at so many a second.")
@click.option("--seconds", default=20.0, show_default=True, help="How long that is measured.")
def main(*, events: int, stock_events: int, rate: float | None, seconds: float) -> None:
    """Measure both profiles, with and without enrichment, and stock Faust."""
    with TemporaryDirectory() as folder:
        settings = Settings(state_dir=Path(folder) / "kafka", kafka_heap_mib=1024)
        prepared = broker.prepare(settings)
        with Supervisor([[prepared.spec]]):
            settings = replace(settings, kafka_bootstrap=prepared.bootstrap)
            if rate is not None:
                click.echo(_latency(_run(settings, "rate"), rate, seconds))
                return
            profiles: tuple[Profile, ...] = ("one", "all")
            for profile in profiles:
                click.echo(str(_ours(_run(settings, f"{profile}-core"), profile, events, enriched=False)))
                click.echo(str(_ours(_run(settings, f"{profile}-enriched"), profile, events, enriched=True)))
                click.echo(str(_stock(_run(settings, f"{profile}-stock"), profile, stock_events)))


def _run(settings: Settings, name: str) -> Settings:
    settings = replace(settings, topic_prefix=f"{name}.", state_dir=settings.state_dir.parent / name)
    settings.state_dir.mkdir()
    topics.apply(settings)
    return settings


def _ours(settings: Settings, profile: Profile, events: int, *, enriched: bool) -> Measured:
    if not enriched:
        settings = replace(
            settings,
            enrich_user_agent=False,
            enrich_referrer=False,
            enrich_campaign=False,
            enrich_session=False,
        )
    load(settings, Topics.named(settings.topic_prefix).raw, profile, events)
    control.put(settings, {"streams": b'{"paused":true}'})
    group = f"{settings.topic_prefix}streams.raw"
    worker = _child(settings, "streams", (sys.executable, "-m", "cli", "streams"))
    try:
        _until(lambda: "partition_assigned" in _log(worker))
        time.sleep(2)
        before, began = _cpu_s(worker), time.monotonic()
        control.put(settings, {"streams": b'{"paused":false}'})
        _until(lambda: _committed(settings, group) >= events)
        return Measured(
            f"{profile}: {'enriched' if enriched else 'core'}",
            events,
            _cpu_s(worker) - before,
            time.monotonic() - began,
        )
    finally:
        worker.stop()


def _latency(settings: Settings, rate: float, seconds: float) -> str:
    """And the size of batches meanwhile."""
    settings = replace(settings, metrics_port=_free_port())
    worker = _child(settings, "streams", (sys.executable, "-m", "cli", "streams"))
    try:
        _until(lambda: "partition_assigned" in _log(worker))
        found = measure(settings, "all", rate=rate, seconds=seconds)
        with urlopen(f"http://127.0.0.1:{settings.metrics_port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        total, batches = (
            float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{_BATCHES}_{part} ")))
            for part in ("sum", "count")
        )
        return f"{found}, {total / batches:,.0f} events a batch"
    finally:
        worker.stop()


def _stock(settings: Settings, profile: Profile, events: int) -> Measured:
    """From its first output on, because its start is not to be counted and it cannot be held."""
    load(settings, Topics.named(settings.topic_prefix).raw, profile, events)
    names = Topics.named(settings.topic_prefix)

    def done() -> int:
        return _end(settings, names.curated) + _end(settings, names.dead_letters)

    faust = str(Path(sys.executable).with_name("faust"))
    worker = _child(settings, "stock", (faust, "-A", "bench.stock_faust", "worker", "-l", "info", "--without-web"))
    try:
        _until(lambda: done() > 0)
        before, began, first = _cpu_s(worker), time.monotonic(), done()
        last = first
        _until(lambda: done() >= int(events * 0.95))
        last = done()
        return Measured(f"{profile}: stock Faust", last - first, _cpu_s(worker) - before, time.monotonic() - began)
    finally:
        worker.stop()


def _free_port() -> int:
    with socket.socket() as any_:
        any_.bind(("127.0.0.1", 0))
        return int(any_.getsockname()[1])


def _child(settings: Settings, name: str, argv: tuple[str, ...]) -> Child:
    env = {key: os.environ[key] for key in ("HOME", "LANG", "PATH") if key in os.environ}
    spec = ChildSpec(
        name=name,
        argv=argv,
        env=env | settings.to_env() | {"PYTHONPATH": str(_ROOT)},
        log_path=settings.state_dir / f"{name}.log",
        stop_grace_s=20.0,
    )
    child = Child(spec)
    child.start()
    return child


def _committed(settings: Settings, group: str) -> int:
    consumer = Consumer(kafka.consumer(settings, group=group))
    raw = Topics.named(settings.topic_prefix).raw
    found = consumer.committed([TopicPartition(raw, p) for p in range(settings.partitions)], timeout=10)
    consumer.close()
    return sum(max(0, partition.offset) for partition in found)


def _end(settings: Settings, topic: str) -> int:
    consumer = Consumer(kafka.reader(settings, name="bench"))
    numbers = Lanes.of(settings).numbers
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1] for n in numbers]
    consumer.close()
    return sum(ends)


def _cpu_s(child: Child) -> float:
    fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _log(child: Child) -> str:
    return child.spec.log_path.read_text(encoding="utf-8")


def _until(condition: Callable[[], bool], *, at_most_s: float = _PATIENCE_S) -> None:
    deadline = time.monotonic() + at_most_s
    while not condition():
        if time.monotonic() > deadline:
            raise click.ClickException("it did not come to its end in time")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
