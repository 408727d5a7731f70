"""Sinks as processes between a real Kafka and a real engine, nothing else: curated records go in, rows are judged."""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGKILL
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from core import kafka
from core.errors import SluiceError
from core.settings import Settings
from core.topics import Topics
from infra import topics
from infra.process import Child, ChildSpec, describe_exit
from schemas.codegen.encoder import compile_encoder
from schemas.registry import bundled
from sinks import migrate
from sinks.clickhouse import ClickHouse
from sinks.generations.record import Record
from sinks.recount import differences
from tests.infra.clickhouse.front import PASSWORD, Front
from tests.oracle.stream_run import embedded_kafka
from tests.sinks.curated import fields

_ROOT = Path(__file__).parents[2]
_INHERITED = ("HOME", "LANG", "PATH", "TZ", "VIRTUAL_ENV")
_encode = compile_encoder(bundled().latest("event")).encode
_FLUSH_S = 60.0


@dataclass(slots=True)
class SinkRig:
    """`sent` counts what is on the curated topic, `falls` how sinks ended: what one logged last is told only where it
    was not killed. Processes belong to the thread that starts them.
    """

    settings: Settings
    front: Front
    seed: int = 0
    sent: int = 0
    sinks: dict[str, Child] = field(default_factory=dict)
    falls: Counter[str] = field(default_factory=Counter)
    _producer: Any = None

    @property
    def server(self) -> ClickHouse:
        return ClickHouse(self.settings)

    @property
    def topics(self) -> Topics:
        return Topics.named(self.settings.topic_prefix)

    # -- records

    def send(self, count: int, *, days: int = 1, partitions: int | None = None) -> None:
        """`count` more events over partitions and the last `days` arrival days."""
        random_ = random.Random(f"{self.seed}:{self.sent}")
        now_ms = time.time_ns() // 1_000_000
        width = partitions or self.settings.partitions
        for number in range(self.sent, self.sent + count):
            later = (number - self.sent) * days // count
            arrival_ms = now_ms - (days - 1 - later) * 86_400_000
            self.produce(number % width, event(number, random_, arrival_ms, number % width), arrival_ms)
        self.sent += count
        self.flush()

    def produce(self, partition: int, value: bytes | None, arrival_ms: int, *, topic: str = "") -> None:
        if self._producer is None:
            config = kafka.producer(self.settings) | {"linger.ms": 20, "queue.buffering.max.messages": 1_000_000}
            self._producer = Producer(config)
        while True:
            try:
                self._producer.produce(topic or self.topics.curated, value, partition=partition, timestamp=arrival_ms)
            except BufferError:
                self._producer.poll(0.1)
                continue
            return

    def allow_any_timestamp(self) -> None:
        """Kafka refuses records of the future, unless it is told not to."""
        wide = ConfigEntry(
            "message.timestamp.after.max.ms", str(2**63 - 1), incremental_operation=AlterConfigOpType.SET
        )
        resource = ConfigResource(ConfigResource.Type.TOPIC, self.topics.curated, incremental_configs=[wide])
        admin = AdminClient(kafka.common(self.settings))
        admin.incremental_alter_configs([resource])[resource].result(10)

    def flush(self) -> None:
        assert self._producer.flush(_FLUSH_S) == 0

    def read(self, topic: str) -> list[Any]:
        """All committed messages of a topic."""
        reader = Consumer(kafka.reader(self.settings, name="rig"))
        count = len(reader.list_topics(topic, timeout=10).topics[topic].partitions)
        reader.assign([TopicPartition(topic, partition, 0) for partition in range(count)])
        try:
            return list(kafka.read_to_end(reader, partitions=count))
        finally:
            reader.close()

    # -- processes

    def start(self, name: str = "0", *, failpoint: str = "", plant: str = "", **changed: Any) -> Child:
        """A sink called `name`; one of that name that runs already goes on beside it."""
        settings = replace(self.settings, sink_worker_id=name, failpoint=failpoint, **changed)
        env = {variable: os.environ[variable] for variable in _INHERITED if variable in os.environ}
        spec = ChildSpec(
            name=f"sink-{name}",
            argv=(sys.executable, "-m", "cli", "sink"),
            env=env | settings.to_env() | {"PYTHONPATH": os.pathsep.join(filter(None, (plant, str(_ROOT))))},
            log_path=self.settings.state_dir / f"sink-{name}.log",
            stop_grace_s=30.0,
        )
        child = Child(spec)
        child.start()
        self.sinks[name] = child
        return child

    def log(self, name: str = "0") -> str:
        return (self.settings.state_dir / f"sink-{name}.log").read_text()

    def stop(self) -> None:
        for child in self.sinks.values():
            child.kill()
            child.stop()
        self.sinks.clear()

    def look(self) -> None:
        """Start again what has ended, as a supervisor does."""
        for child in self.sinks.values():
            code = child.poll()
            if code is not None:
                self.falls[describe_exit(code) if code == -SIGKILL else child.reason()] += 1
                child.start()

    # -- judgement

    def stored(self) -> int:
        try:
            return int(self.server.scalar("SELECT count() FROM events"))
        except SluiceError:
            return -1

    def settle(self, rows: int | None = None, *, timeout_s: float = 90.0) -> None:
        """Wait for `rows` rows (all that were sent), and a moment more in which nothing may be added."""
        wanted = self.sent if rows is None else rows
        self.until(lambda: self.stored() >= wanted, timeout_s=timeout_s, what=f"{wanted} rows")
        time.sleep(0.7)

    def until(self, reached: Callable[[], object], *, timeout_s: float, what: str) -> None:
        """Wait, and look after the sinks meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not reached():
            assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s; rows: {self.stored()}"
            self.look()
            time.sleep(0.05)

    def problems(self, *, refused: int = 0) -> list[str]:
        """What is wrong with base and rollups, against what was sent. Empty: each row is there once."""
        expected = self.sent - refused
        rows, places, ids = self.server.rows(
            "SELECT count(), uniqExact(kafka_partition, kafka_offset), uniqExact(event_id) FROM events"
        )[0]
        found = [
            f"{number} {what} where {expected} are due"
            for number, what in ((rows, "rows"), (places, "places"), (ids, "ids"))
            if number != expected
        ]
        record = Record(self.server)
        days = [day for (day,) in self.server.rows("SELECT DISTINCT toString(arrival_day) FROM events_log ORDER BY 1")]
        for day, generations in record.visible(days).items():
            for generation in generations:
                found += map(str, differences(self.server, day, generation))
        return found


def event(number: int, random_: random.Random, arrival_ms: int, partition: int) -> bytes:
    """A curated record of event `number`."""
    kind = ("page_view", "page_view", "page_view", "order_completed", "search")[random_.randrange(5)]
    visitor = random_.randrange(5_000)
    values = fields(
        raw_offset=number,
        partition=partition,
        arrival_ms=arrival_ms,
        received_at=arrival_ms - 3,
        occurred_at=arrival_ms - random_.randrange(3_600_000),
        tenant=f"tenant-{random_.randrange(3)}",
        event=kind,
        event_type="page_view" if kind == "page_view" else "custom_event",
        name="" if kind == "page_view" else kind,
        event_id=f"{number:032x}",
        visitor_id=f"v-{visitor}",
        session_id=f"s-{visitor}-{random_.randrange(3)}",
        url=f"https://shop.example/p/{random_.randrange(200)}?utm_source=mail&utm_campaign=c{random_.randrange(9)}",
        referrer=("", "https://news.example/a", "https://search.example/?q=x")[random_.randrange(3)],
        properties='{"status":200,"title":"A page of the shop"}',
        context="{}",
        ua_browser="Firefox",
        ua_device="desktop",
        geo_country="DE",
    )
    return _encode(*values.values())


@contextmanager
def sink_engines(folder: Path) -> Iterator[tuple[Settings, Front]]:
    """A broker and an engine for several rigs. Each takes a topic prefix and a database of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with embedded_kafka(folder / "kafka") as settings, Front(folder / "engine") as front:
        yield replace(settings, partitions=4, clickhouse_password=PASSWORD, clickhouse_user="default"), front


@contextmanager
def sink_rig(engines: tuple[Settings, Front], name: str, **changed: Any) -> Iterator[SinkRig]:
    settings, front = engines
    settings = replace(
        settings,
        topic_prefix=f"{name}.",
        state_dir=settings.state_dir / name,
        clickhouse_database=name,
        clickhouse_url=f"http://127.0.0.1:{front.port}",
    )
    settings = replace(settings, **changed)
    settings.state_dir.mkdir(parents=True)
    topics.apply(settings)
    migrate.apply(settings)
    rig = SinkRig(settings, front)
    try:
        yield rig
    finally:
        rig.stop()
