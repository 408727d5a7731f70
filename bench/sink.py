"""What a row costs on its way from the curated topic into the tables: `.venv/bin/python -m bench.sink`.

    worker   one sink process catching up on a real Kafka, all rollups on: CPU time of the sink and of the engine
    bodies   forms an insert may have: what making one costs in Python, and reading it costs the engine
    views    the engine's share of each materialized view

CPU time is that of whole processes, all threads; the broker is its own process and not counted.
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import fastavro
import msgspec
import urllib3
from confluent_kafka import Producer

from bench.curated_events import curated_records
from bench.streams import _child, _cpu_s, _until
from bench.timing import cpu_us
from core import kafka
from core.settings import Settings
from core.topics import Topics
from infra import ports, topics
from infra.kafka import broker
from infra.process import Child
from infra.supervisor import Supervisor
from schemas import framing
from schemas.registry import bundled
from sinks import migrate
from sinks.clickhouse import ClickHouse
from sinks.row import Row
from sinks.tables import events
from sinks.writer import INSERT_SETTINGS

_BLOCK_ROWS = 50_000
_RUNS = 5
_FORMS = ("Avro", "JSONEachRow", "RowBinary", "Native", "ArrowStream")


@dataclass(frozen=True, slots=True)
class Engine:
    """An embedded engine of its own."""

    settings: Settings
    child: Child

    @property
    def server(self) -> ClickHouse:
        return ClickHouse(self.settings)

    def database(self, name: str) -> Engine:
        made = Engine(replace(self.settings, clickhouse_database=name), self.child)
        migrate.apply(made.settings)
        return made


@click.group(invoke_without_command=True)
@click.option("--events", default=200_000, show_default=True, help="Raw events behind the rows.")
@click.pass_context
def main(context: click.Context, *, events: int) -> None:
    """All of it, or one part."""
    context.obj = events
    if context.invoked_subcommand is None:
        for part in (worker, bodies, views):
            context.invoke(part)


@main.command()
@click.pass_obj
def worker(events: int) -> None:
    """One sink process catching up."""
    with TemporaryDirectory() as folder, embedded(Path(folder)) as engine:
        settings = replace(engine.settings, state_dir=Path(folder) / "kafka", kafka_heap_mib=1024)
        prepared = broker.prepare(settings)
        with Supervisor([[prepared.spec]]):
            settings = replace(settings, kafka_bootstrap=prepared.bootstrap)
            topics.apply(settings)
            migrate.apply(settings)
            sent = _produce(settings, events)
            sink = _child(settings, "sink", (sys.executable, "-m", "cli", "sink"))
            try:
                server = engine.server
                _until(lambda: _rows(server) > 0)
                rows, began = _rows(server), time.monotonic()
                before, engine_before = _cpu_s(sink), _cpu_s(engine.child)
                _until(lambda: _rows(server) >= sent)
                rows, wall_s = sent - rows, time.monotonic() - began
                cpu, engine_cpu = _cpu_s(sink) - before, _cpu_s(engine.child) - engine_before
            finally:
                sink.stop()
    click.echo(
        f"worker: {rows:,} rows, {rows / wall_s:,.0f} rows/s, "
        f"sink {cpu / rows * 1e6:.2f} us CPU a row, engine {engine_cpu / rows * 1e6:.2f} us CPU a row"
    )


@main.command()
def bodies() -> None:
    """Forms of an insert."""
    rows = _sample_rows(_BLOCK_ROWS)
    made = _making(rows[:10_000])
    with TemporaryDirectory() as folder, embedded(Path(folder)) as engine:
        source = engine.database("source").server
        source.insert(events().insert, events().body(0, rows, 0), settings=INSERT_SETTINGS)
        columns = ", ".join(events().columns)
        click.echo("form                 bytes a row   Python us a row   engine us a row")
        for form in _FORMS:
            body = (
                events().body(0, rows, 0)
                if form == "Avro"
                else source.fetch(f"SELECT {columns} FROM events_log ORDER BY kafka_offset", form=form)
            )
            statement = f"INSERT INTO events_log ({columns}) FORMAT {form}"
            cost = statistics.median(_engine_us(engine.database(f"f{form}{n}"), statement, body) for n in range(_RUNS))
            click.echo(f"{form:20} {len(body) / len(rows):11.0f} {made.get(form, float('nan')):17.2f} {cost:17.2f}")


@main.command()
def views() -> None:
    """What each view costs the engine."""
    rows = _sample_rows(_BLOCK_ROWS)
    body = events().body(0, rows, 0)
    with TemporaryDirectory() as folder, embedded(Path(folder)) as engine:
        names = [name for (name,) in engine.database("names").server.rows(_VIEWS)]
        costs = {
            kept: statistics.median(_with_views(engine, kept, body, f"v{at}_{n}") for n in range(_RUNS))
            for at, kept in enumerate(["", *names, "*"])
        }
    base = costs[""]
    click.echo(f"base alone {base:8.2f} us CPU a row")
    for name in names:
        click.echo(f"{name:32} {costs[name] - base:8.2f}")
    click.echo(f"all of them together {costs['*'] - base:8.2f}")


_VIEWS = (
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView' ORDER BY name"
)


def _with_views(engine: Engine, kept: str, body: bytes, database: str) -> float:
    """`kept` is a view, nothing, or * for all."""
    made = engine.database(database)
    for (name,) in made.server.rows(_VIEWS):
        if kept not in {name, "*"}:
            made.server.execute(f"DROP TABLE {name}")
    return _engine_us(made, events().insert, body)


def _engine_us(engine: Engine, statement: str, body: bytes) -> float:
    """Three inserts of the body under tokens of their own, and what they cost the engine a row."""
    server, before = engine.server, _cpu_s(engine.child)
    for number in range(3):
        token = {"insert_deduplication_token": f"{number}"}
        server.insert(statement, body, settings=INSERT_SETTINGS | token)
    cost = (_cpu_s(engine.child) - before) / 3 / _BLOCK_ROWS * 1e6
    ClickHouse(engine.settings, database="").execute(f"DROP DATABASE {engine.settings.clickhouse_database} SYNC")
    return cost


def _making(rows: Sequence[Row]) -> dict[str, float]:
    """What it costs Python to make a body, in µs a row. The engine makes the others here: no client of ours can."""
    schema = bundled().latest("event")
    form = events().body
    names = [field["name"] for field in schema.source["fields"]]

    def decoded() -> list[dict[str, Any]]:
        out = []
        for row in rows:
            value = row.value or b""
            out.append(fastavro.schemaless_reader(io.BytesIO(value[framing.ID_PREFIX_BYTES :]), schema.plain))
        return out  # type: ignore[return-value]

    def ndjson() -> bytes:
        return b"\n".join(map(msgspec.json.encode, decoded()))

    def columns() -> list[list[Any]]:
        found = decoded()
        return [[each[name] for each in found] for name in names]

    return {
        "Avro": cpu_us(lambda: form(0, rows, 0), events=len(rows)),
        "JSONEachRow": cpu_us(ndjson, events=len(rows), runs=3),
        # Columns as lists are the least that any of these needs; packing them comes on top.
        "RowBinary": cpu_us(columns, events=len(rows), runs=3),
        "Native": cpu_us(columns, events=len(rows), runs=3),
        "ArrowStream": cpu_us(columns, events=len(rows), runs=3),
    }


def _sample_rows(count: int) -> list[Row]:
    now_ms = time.time_ns() // 1_000_000
    values = [value for _, _, value in curated_records("all", int(count * 1.2), arrival_ms=now_ms)][:count]
    return [Row(1_000_000 + at, now_ms, value) for at, value in enumerate(values)]


def _produce(settings: Settings, raw: int) -> int:
    producer = Producer(kafka.producer(settings) | {"linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    topic, now_ms, sent = Topics.named(settings.topic_prefix).curated, time.time_ns() // 1_000_000, 0
    for partition, key, value in curated_records("all", raw, arrival_ms=now_ms):
        producer.produce(topic, value, key, partition, timestamp=now_ms)
        sent += 1
        if sent % 10_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise click.ClickException("Kafka did not take the events in time")
    return sent


def _rows(server: ClickHouse) -> int:
    return int(server.scalar("SELECT count() FROM events_log"))


@contextmanager
def embedded(folder: Path) -> Iterator[Engine]:
    """An engine in a process of its own, which is what CPU time is asked of."""
    (port,) = ports.pick(1)
    (folder / "password").write_text("bench")
    url = f"http://127.0.0.1:{port}"
    settings = Settings(state_dir=folder, clickhouse_url=url, clickhouse_password="bench")  # noqa: S106 (its own)
    argv = (sys.executable, "-m", "infra.clickhouse", "--data", str(folder / "clickhouse"), "--port", str(port))
    child = _child(settings, "clickhouse", (*argv, "--password-file", str(folder / "password")))
    try:
        _until(lambda: _pings(url))
        yield Engine(settings, child)
    finally:
        child.stop()


def _pings(url: str) -> bool:
    try:
        return urllib3.request("GET", f"{url}/ping", timeout=1, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


if __name__ == "__main__":
    main()
