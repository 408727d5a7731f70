"""The official Python client, as the sinks use it."""

from __future__ import annotations

from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.infra.clickhouse.front import PASSWORD, Front


@pytest.fixture
def client(front: Front) -> Iterator[Client]:
    made = clickhouse_connect.get_client(host="127.0.0.1", port=front.port, username="default", password=PASSWORD)
    yield made
    made.close()


def test_statements_rows_and_parameters(client: Client, table: str) -> None:
    summary = client.insert(table, [[1, "a"], [2, "bé"]], column_names=["id", "s"])
    assert summary.written_rows == 2
    assert client.query(f"SELECT * FROM {table} ORDER BY id").result_rows == [(1, "a"), (2, "bé")]
    found = client.query(f"SELECT s FROM {table} WHERE id = {{id:UInt64}}", parameters={"id": 2})
    assert found.result_rows == [("bé",)]
    client.command(f"ALTER TABLE {table} ADD COLUMN n Nullable(Int32)")
    assert client.command(f"SELECT count() FROM {table} WHERE n IS NULL") == 2


@pytest.mark.parametrize("compression", [None, "gzip", "zstd", "lz4"])
def test_raw_inserts(client: Client, table: str, compression: str | None) -> None:
    rows = b"".join(b'{"id":%d,"s":"x"}\n' % number for number in range(1000))
    if compression is not None:
        from infra.clickhouse import codings

        encoder = codings.encoder(compression)
        rows = encoder.compress(rows) + encoder.flush()
    summary = client.raw_insert(
        table, ["id", "s"], rows, fmt="JSONEachRow", settings={"async_insert": 0}, compression=compression
    )
    assert summary.written_rows == 1000
    assert client.command(f"SELECT sum(id) FROM {table}") == sum(range(1000))


def test_large_inserts_and_streams(client: Client, table: str) -> None:
    client.insert(table, [[number, str(number)] for number in range(120_000)], column_names=["id", "s"])
    total = 0
    with client.query_row_block_stream(f"SELECT id FROM {table}") as blocks:
        for block in blocks:
            total += sum(row[0] for row in block)
    assert total == sum(range(120_000))


def test_settings_reach_the_engine(client: Client) -> None:
    assert client.command("SELECT getSetting('max_threads')", settings={"max_threads": 2}) == 2


def test_errors_are_the_clients_own(client: Client) -> None:
    with pytest.raises(DatabaseError, match="code: 60"):
        client.query("SELECT * FROM no_such_table")
    query = "SELECT throwIf(number = 3000000, 'boom') FROM numbers(5000000)"
    with client.query_row_block_stream(query) as blocks, pytest.raises(StreamFailureError, match="boom"):
        list(blocks)
    assert client.command("SELECT 1") == 1


def test_frames_of_other_libraries(client: Client) -> None:
    assert client.query_df("SELECT number AS n FROM numbers(3)")["n"].tolist() == [0, 1, 2]
    assert client.query_arrow("SELECT number AS n FROM numbers(3)").num_rows == 3
