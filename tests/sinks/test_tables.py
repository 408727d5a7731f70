"""Every table on a real engine: what is sent is what is there, and a block in doubt lands once."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.settings import Settings
from core.topics import Topics
from schemas import framing
from schemas.registry import bundled
from sinks import migrate
from sinks.archive import Archive
from sinks.clickhouse import ClickHouse
from sinks.plan import Plan, Source
from sinks.row import Row
from sinks.source import stored_up_to
from sinks.tables import Table, filled
from sinks.writer import Block, Writer
from tests.sinks import curated
from tests.sinks.curated import NOON_MS

TABLES = {table.name: table for table in filled(Topics.named("")).values()}
DAY = "2023-11-14"
FAULT = {"code": "missing_field", "path": "$.a", "expected": "a string", "got": "nothing"}
RECORDS: dict[str, dict[str, Any]] = {
    "dead_letters_log": {
        "raw_partition": 2, "raw_offset": 77, "arrival_at": NOON_MS, "tenant": "t", "event": "page_view", "version": 1,
        "code": "missing_field", "faults": [FAULT, FAULT], "fingerprint": "f", "traceparent": "", "raw": b"\xff\0raw",
    },
    "outcomes_log": {
        "raw_partition": 2, "first": 10, "last": 12, "ids": b"i" * 16, "contracts": {"page_view:1": 3},
        "runs": [{"outcome": "curated", "first": 10, "count": 1}, {"outcome": "duplicate", "first": 11, "count": 2}],
        "firsts": [1, 4],
    },
    "audit_log": {
        "id": "i", "at": NOON_MS, "action": "key.revoked", "actor": "a", "tenant": "t", "subject": "k",
        "network": "192.0.2.0", "detail": {"x": "1"},
    },
    "abuse_log": {
        "id": "i", "since": NOON_MS, "until": NOON_MS + 1000, "collector": "c", "tenant": "t", "key_id": "k",
        "network": "192.0.2.0", "reason": "limit_key", "requests": 5,
    },
    "drops_log": {
        "collector": "c", "epoch": "e", "sequence": 3, "since": NOON_MS, "until": NOON_MS + 1000, "closing": True,
        "total": 5, "drops": [{"tenant": "t", "event": "page_view", "reason": "dnt", "events": 2, "total": 5}],
    },
}  # fmt: skip
SUBJECTS = {
    "dead_letters_log": "dead_letter",
    "outcomes_log": "outcome",
    "audit_log": "audit",
    "abuse_log": "abuse",
    "drops_log": "drops",
}


def value_of(name: str) -> bytes:
    schema = bundled().latest(SUBJECTS[name])
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, RECORDS[name])
    return framing.prefix(schema.id) + out.getvalue()


def rows_for(name: str, first: int, count: int) -> list[Row]:
    if name == "events_log":
        return curated.rows(first, count)
    if name == "raw_archive_log":
        return [Row(first + n, NOON_MS + n, b"value %d" % n, b"t|v%d" % n) for n in range(count)]
    return [Row(first + n, NOON_MS, value_of(name)) for n in range(count)]


@pytest.fixture(scope="module")
def server(engine_settings: Settings) -> Iterator[ClickHouse]:
    settings = dataclasses.replace(engine_settings, clickhouse_database="tables")
    migrate.apply(settings)
    yield ClickHouse(settings)
    ClickHouse(settings, database="").execute("DROP DATABASE tables")


@pytest.fixture(params=[*TABLES.values()], ids=[*TABLES])
def table(request: pytest.FixtureRequest, server: ClickHouse) -> Table:
    found: Table = request.param
    server.execute(f"TRUNCATE TABLE {found.name}")
    return found


def writer(server: ClickHouse, table: Table, source: str = "topic") -> Writer:
    return Writer(
        server,
        table,
        Source("cluster", source),
        commit_plan=lambda _partition, _plan: None,
        after_doubt=lambda _day: None,
    )


def block(rows: list[Row], *, uncertain: bool = False, partition: int = 3) -> Block:
    return Block(partition, rows, Plan(rows[0].offset, rows[-1].offset, len(rows)), uncertain=uncertain)


def test_a_block_in_doubt_lands_once(server: ClickHouse, table: Table, request: pytest.FixtureRequest) -> None:
    rows = rows_for(table.name, 20_000, 5)
    write = writer(server, table, request.node.name).write
    write(block(rows))
    for _ in range(2):
        write(block(rows, uncertain=True))
    write(block(rows_for(table.name, 20_005, 2)))
    write(block(rows, partition=4))
    coordinates = f"{table.partition_column}, {table.offset_column}"
    found = server.rows(f"SELECT {coordinates}, arrival_day, generation FROM {table.name} ORDER BY {coordinates}")
    live = [DAY, 0]
    assert found == [*([3, 20_000 + n, *live] for n in range(7)), *([4, 20_000 + n, *live] for n in range(5))]
    assert [stored_up_to(server, table, partition) for partition in (3, 4, 5)] == [20_006, 20_004, None]


def test_rows_whose_token_is_dead_are_inserted_anew(
    server: ClickHouse, table: Table, request: pytest.FixtureRequest
) -> None:
    rows = rows_for(table.name, 1, 5)
    write = writer(server, table, request.node.name).write
    write(block(rows))
    server.execute(f"ALTER TABLE {table.name} DELETE WHERE {table.offset_column} > 2 SETTINGS mutations_sync = 2")
    write(block(rows, uncertain=True))
    assert server.rows(f"SELECT {table.offset_column} FROM {table.name} ORDER BY 1") == [[n] for n in range(1, 6)]


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_records_fields_are_the_columns(name: str, server: ClickHouse, request: pytest.FixtureRequest) -> None:
    table = TABLES[name]
    server.execute(f"TRUNCATE TABLE {name}")
    writer(server, table, request.node.name).write(block(rows_for(name, 9, 1)))
    columns = [column for column in table.columns if column in RECORDS[name] and column != "raw"]
    stored = msgspec.json.decode(
        server.execute(
            f"SELECT {', '.join(columns)} FROM {name} FORMAT JSONEachRow "
            "SETTINGS output_format_json_quote_64bit_integers = 0, date_time_output_format = 'unix_timestamp'"
        )
    )
    for time in {"at", "arrival_at", "since", "until"} & stored.keys():
        stored[time] = round(float(stored[time]) * 1000)
    assert stored == {column: RECORDS[name][column] for column in columns}
    if "raw" in RECORDS[name]:
        assert server.scalar(f"SELECT hex(raw) FROM {name}") == RECORDS[name]["raw"].hex().upper()


NULLABLE = st.none() | st.binary(max_size=300)


@given(st.lists(st.tuples(NULLABLE, NULLABLE), min_size=1, max_size=20), st.integers(0, 2**62), st.integers(0, 2**31))
@hypothesis_settings(max_examples=25)
def test_the_archive_gives_back_every_byte(
    server: ClickHouse, records: list[tuple[bytes | None, bytes | None]], first: int, partition: int
) -> None:
    table = TABLES["raw_archive_log"]
    server.execute("TRUNCATE TABLE raw_archive_log")
    rows = [Row(first + n, NOON_MS + n, value, key) for n, (key, value) in enumerate(records)]
    server.insert(table.insert, table.body(partition, rows, 0), settings={})
    found = server.rows(
        "SELECT lane, raw_partition, raw_offset, toUnixTimestamp64Milli(arrival_at), hex(key), hex(value) "
        "FROM raw_archive ORDER BY raw_offset"
    )
    hexed = [None if each is None else each.hex().upper() for row in rows for each in (row.key, row.value)]
    assert found == [
        ["live", partition, row.offset, row.arrival_ms, hexed[2 * n], hexed[2 * n + 1]] for n, row in enumerate(rows)
    ]


@pytest.mark.parametrize("size", [127, 128, 16_383, 16_384, 1_048_576, 2_097_152])
def test_lengths_of_any_size(server: ClickHouse, size: int) -> None:
    table = TABLES["raw_archive_log"]
    server.execute("TRUNCATE TABLE raw_archive_log")
    server.insert(table.insert, table.body(0, [Row(0, NOON_MS, b"x" * size, b"")], 0), settings={})
    assert server.rows("SELECT length(value), length(key) FROM raw_archive") == [[size, 0]]


def test_lanes_share_the_archive(server: ClickHouse, request: pytest.FixtureRequest) -> None:
    live = TABLES["raw_archive_log"]
    other = dataclasses.replace(live, body=Archive("historic"), only="lane = 'historic'")
    server.execute("TRUNCATE TABLE raw_archive_log")
    rows = rows_for("raw_archive_log", 0, 3)
    for table in (live, other):
        write = writer(server, table, f"{request.node.name} {table.only}").write
        write(block(rows))
        write(block(rows, uncertain=True))
    assert server.rows("SELECT lane, count() FROM raw_archive GROUP BY lane ORDER BY lane") == [
        ["historic", 3],
        ["live", 3],
    ]


def test_a_hidden_day_is_hidden_in_its_layer_only(server: ClickHouse, request: pytest.FixtureRequest) -> None:
    views = {
        "events_log": "events",
        "outcomes_log": "outcomes",
        "dead_letters_log": "dead_letters",
        "raw_archive_log": "raw_archive",
        "audit_log": "audit",
        "abuse_log": "abuse",
        "drops_log": "drops",
    }
    for name, table in TABLES.items():
        server.execute(f"TRUNCATE TABLE {name}")
        writer(server, table, f"{request.node.name} {name}").write(block(rows_for(name, 0, 1)))

    def seen() -> dict[str, int]:
        return {view: server.scalar(f"SELECT count() FROM {view}") for view in views.values()}

    assert set(seen().values()) == {1}
    layers = {"raw": {"raw_archive"}, "outcomes": {"outcomes", "dead_letters"}, "system": {"audit", "abuse", "drops"}}
    for layer, hidden in (layers | {"events": {"events"}}).items():
        server.execute(
            "INSERT INTO generations (arrival_day, generation, visible, version, layer) "
            f"VALUES ('{DAY}', 0, 0, 1, '{layer}')"
        )
        assert {view for view, count in seen().items() if not count} == hidden
        server.execute("TRUNCATE TABLE generations")


def test_the_bytes_of_dead_letters_are_in_a_view_of_their_own(server: ClickHouse) -> None:
    columns = {
        view: {name for (name,) in server.rows("SELECT name FROM system.columns WHERE database = currentDatabase() "
                                               "AND table = {view:String}", view=view)}
        for view in ("dead_letters", "dead_letters_pii")
    }  # fmt: skip
    assert columns["dead_letters_pii"] - columns["dead_letters"] == {"raw"}
