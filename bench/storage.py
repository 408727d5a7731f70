"""Forms that the table of events may have: `.venv/bin/python -m bench.storage --rows 400000`.

The rows are what stream workers make of `bench.raw_events`, spread over eight days of arrival, a few of them late, and
inserted a day at a time, without views. Each form gets the same blocks. Printed are bytes a row on disk once merged (in
all, and by group of columns), what they are of the bytes in memory, CPU time of the engine for an insert (reading the
block included), for merging all of it, and for each of five questions, mean of several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench.curated_events import curated_records
from bench.sink import Engine, embedded
from bench.streams import _cpu_s
from sinks.clickhouse import ClickHouse
from sinks.row import Row
from sinks.tables import events
from sinks.writer import INSERT_SETTINGS

_DAYS = 8
_FIRST_DAY = "2026-03-02"
_BLOCK_ROWS = 50_000
_ORDER = "tenant, event, toDate(occurred_at), visitor_id, occurred_at"
_TEXTS = ("event_id", "visitor_id", "session_id", "user_id", "url", "referrer", "path", "utm_term", "utm_content",
          "click_id")  # fmt: skip
_TIMES = ("arrival_at", "received_at", "occurred_at", "raw_offset", "kafka_offset")
_GROUPS = {
    "ids": ("event_id", "visitor_id", "session_id", "user_id"),
    "addresses": ("url", "referrer", "path", "click_id", "utm_term", "utm_content"),
    "JSON": ("properties", "context", "extra"),
    "times, offsets": (*_TIMES, "raw_partition", "kafka_partition"),
}


@dataclass(frozen=True, slots=True)
class Form:
    """`changes` are clauses of ALTER TABLE, made while the table is empty."""

    name: str
    changes: tuple[str, ...] = ()
    order: str = _ORDER
    granularity: int = 8_192


def _codec(columns: tuple[str, ...], codec: str) -> tuple[str, ...]:
    return tuple(f"MODIFY COLUMN {column} CODEC({codec})" for column in columns)


def _whole(codec: str) -> tuple[str, ...]:
    return (f"MODIFY SETTING default_compression_codec = '{codec}'",)


_TIMES_CODED = _codec(_TIMES, "Delta, ZSTD(1)")
FORMS = (
    Form("as it is"),
    Form("texts LZ4, as before migration 17", _codec(_TEXTS, "Default")),
    Form("times Delta, ZSTD(1)", _TIMES_CODED),
    Form("times DoubleDelta, ZSTD(1)", _codec(_TIMES, "DoubleDelta, ZSTD(1)")),
    Form("all ZSTD(1)", _whole("ZSTD(1)")),
    Form("all ZSTD(1), times Delta", (*_whole("ZSTD(1)"), *_TIMES_CODED)),
    Form("all ZSTD(3), times Delta", (*_whole("ZSTD(3)"), *_TIMES_CODED)),
    Form("bloom filter of visitor", ("ADD INDEX of_visitor visitor_id TYPE bloom_filter GRANULARITY 1",)),
    Form("bloom filter of path", ("ADD INDEX of_path path TYPE bloom_filter GRANULARITY 1",)),
    Form("granules of 2,048", granularity=2_048),
    Form("day before event", order="tenant, toDate(occurred_at), event, visitor_id, occurred_at"),
    Form("by visitor", order="tenant, visitor_id, occurred_at"),
    Form("by time", order="tenant, event, occurred_at"),
)
_OF = "FROM {table} WHERE tenant = 'acme' AND "
_HOUR = "occurred_at BETWEEN '2026-03-05 12:00:00' AND '2026-03-05 13:00:00'"
QUESTIONS = {
    "event": f"SELECT toDate(occurred_at) AS d, count(), uniqExact(visitor_id) {_OF} event = 'add_to_cart' GROUP BY d",
    "page": f"SELECT toDate(occurred_at) AS d, count() {_OF} event = 'page_view' AND path = '/products/7' GROUP BY d",
    "visitor": f"SELECT occurred_at, event, path {_OF} visitor_id = 'v-4711' ORDER BY occurred_at DESC LIMIT 50",
    "property": (
        f"SELECT JSONExtractString(properties, 'currency') AS p, count() {_OF} event = 'order_completed' GROUP BY p"
    ),
    "hour": f"SELECT event, count() {_OF} {_HOUR} GROUP BY event",
}


@click.command()
@click.option("--rows", default=400_000, show_default=True, help="Rows in all.")
@click.option("--asked", default=15, show_default=True, help="Times that each question is asked.")
def main(*, rows: int, asked: int) -> None:
    """Fill a table of each form and ask it."""
    with TemporaryDirectory() as folder, embedded(Path(folder)) as started:
        engine = started.database("forms")
        bodies = _bodies(engine.server, rows)
        click.echo(f"{rows:,} rows, {sum(map(len, bodies)) / rows:.0f} bytes a row as Native")
        groups = [*_GROUPS, "others"]
        heads = ["B/row", "of memory", *groups, "insert us", "merge us", *(f"{name} ms" for name in QUESTIONS)]
        click.echo(f"{'':34}" + "".join(f"{head:>15}" for head in heads))
        for number, form in enumerate(FORMS):
            values = _measured(engine, form, f"form_{number}", bodies, rows=rows, asked=asked)
            click.echo(f"{form.name:34}" + "".join(f"{value:15.2f}" for value in values))


def _bodies(server: ClickHouse, rows: int) -> list[bytes]:
    """A day each, without views: what the sink inserts, the days and lateness apart."""
    for (name,) in server.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView'"
    ):
        server.execute(f"DROP TABLE {name}")
    values = [value for _, _, value in curated_records("all", int(rows * 1.1), arrival_ms=1_772_409_600_000)][:rows]
    for at in range(0, rows, _BLOCK_ROWS):
        block = [Row(at + n, 1_772_409_600_000, value) for n, value in enumerate(values[at : at + _BLOCK_ROWS])]
        server.insert(events().insert, events().body(0, block, 0), settings=INSERT_SETTINGS)
    a_day = rows // _DAYS
    columns = ", ".join(_SHIFTED.get(name, name) for name in events().columns)
    return [
        server.fetch(
            f"WITH cityHash64(kafka_offset) AS h, toDateTime64('{_FIRST_DAY} 00:00:00', 3, 'UTC') "
            f"+ toIntervalMillisecond(intDiv(kafka_offset * 86400000, {a_day}) + h % 50) AS at "
            f"SELECT {columns} FROM events_log WHERE intDiv(kafka_offset, {a_day}) = {day} ORDER BY kafka_offset",
            form="Native",
        )
        for day in range(_DAYS)
    ]


# One in fifty happened hours before it arrived, the others a moment before.
_SHIFTED = {
    "arrival_at": "at AS arrival_at",
    "received_at": "at - toIntervalMillisecond(3 + h % 7) AS received_at",
    "occurred_at": "at - toIntervalMillisecond(if(h % 50 = 0, h % 200000000, 20 + h % 3000)) AS occurred_at",
}


def _measured(engine: Engine, form: Form, table: str, bodies: list[bytes], *, rows: int, asked: int) -> list[float]:
    server = engine.server
    server.execute(
        f"CREATE TABLE {table} AS events_log ENGINE = MergeTree PARTITION BY (arrival_day, generation) "
        f"ORDER BY ({form.order}) SETTINGS index_granularity = {form.granularity}, "
        "min_bytes_for_wide_part = 0"
    )
    for change in form.changes:
        server.execute(f"ALTER TABLE {table} {change}")
    insert = f"INSERT INTO {table} ({', '.join(events().columns)}) FORMAT Native"

    def fill() -> None:
        for body in bodies:
            server.insert(insert, body, settings=INSERT_SETTINGS)

    inserting = _engine_cpu_s(engine, fill)
    merging = _engine_cpu_s(engine, lambda: server.execute(f"OPTIMIZE TABLE {table} FINAL"))
    sizes = {name: (stored, memory) for name, stored, memory in server.rows(_SIZES, table=table)}
    stored = sum(each for each, _ in sizes.values())
    found = [stored / rows, stored / sum(memory for _, memory in sizes.values())]
    grouped = [sum(sizes[name][0] for name in names) / rows for names in _GROUPS.values()]
    found += [*grouped, stored / rows - sum(grouped), inserting / rows * 1e6, merging / rows * 1e6]
    for sql in QUESTIONS.values():
        text = sql.replace("{table}", table)
        server.execute(text)
        spent = _engine_cpu_s(engine, lambda text=text: [server.execute(text) for _ in range(asked)])  # type: ignore[misc]
        found.append(spent / asked * 1000)
    server.execute(f"DROP TABLE {table} SYNC")
    return found


_SIZES = (
    "SELECT column, sum(column_data_compressed_bytes), sum(column_data_uncompressed_bytes) FROM system.parts_columns "
    "WHERE active AND database = currentDatabase() AND table = {table:String} GROUP BY column"
)


def _engine_cpu_s(engine: Engine, call: Callable[[], object]) -> float:
    before = _cpu_s(engine.child)
    call()
    return _cpu_s(engine.child) - before


if __name__ == "__main__":
    main()
