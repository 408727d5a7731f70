"""Blocks: the container equals what was passed in, read by fastavro."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from schemas import framing
from schemas.codegen.encoder import compile_encoder
from schemas.registry import bundled
from sinks import block
from sinks.block import COLUMNS, Row, container, raw_offset
from tests.sinks.curated import row, rows

SCHEMA = bundled().get("event", 1)
encode = compile_encoder(SCHEMA).encode
INT, LONG = st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1)
# Times that Python's datetime holds, since fastavro reads them as such.
TIMES = st.integers(-62135596800000, 253402300799999)
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {"int": INT, "long": LONG, "string": st.text(max_size=20)}


def values() -> st.SearchStrategy[tuple[Any, ...]]:
    kinds = [f["type"] if isinstance(f["type"], str) else f["type"]["type"] for f in SCHEMA.source["fields"]]
    times = ["timestamp-millis" in str(f["type"]) for f in SCHEMA.source["fields"]]
    return st.tuples(*(TIMES if time else BY_TYPE[kind] for kind, time in zip(kinds, times, strict=True)))


def read(data: bytes) -> list[dict[str, Any]]:
    found = []
    for record in fastavro.reader(io.BytesIO(data), reader_schema=None):
        assert isinstance(record, dict)
        found.append({k: round(v.timestamp() * 1000) if hasattr(v, "timestamp") else v for k, v in record.items()})
    return found


@given(st.lists(values(), max_size=8))
def test_a_container_is_read_back(records: list[tuple[Any, ...]]) -> None:
    sent = [Row(i, 0, encode(*record)) for i, record in enumerate(records)]
    assert read(container(sent)) == [dict(zip(COLUMNS, record, strict=True)) for record in records]


def test_the_columns_are_the_schemas_fields() -> None:
    assert list(COLUMNS) == [field["name"] for field in SCHEMA.source["fields"]]


@pytest.mark.parametrize("count", [0, 1, 9_999, 10_000, 10_001, 20_001])
def test_container_blocks_end_where_they_say(count: int) -> None:
    data = container(rows(0, count))
    assert [record["raw_offset"] for record in read(data)] == [offset * 10 for offset in range(count)]
    sizes = [b.num_records for b in fastavro.block_reader(io.BytesIO(data))]
    assert sum(sizes) == count
    assert max(sizes, default=0) <= block._BLOCK_RECORDS


def test_bytes_are_passed_through() -> None:
    one = row(1, properties='{"a": "é"}')
    assert one.value[framing.ID_PREFIX_BYTES :] in container([one])


def test_a_record_of_another_schema_is_refused() -> None:
    stranger = Row(7, 0, framing.prefix(99) + row(7).value[framing.ID_PREFIX_BYTES :])
    with pytest.raises(InputError, match="curated offset 7"):
        container([row(6), stranger])


@given(INT, LONG)
def test_the_raw_offset_is_found(partition: int, offset: int) -> None:
    record = row(0, raw=offset, partition=0)
    assert raw_offset(record) == offset
    values_ = [partition, offset, 1, 1, 1, "t", "e", 1, *[""] * (len(COLUMNS) - 8)]
    assert raw_offset(Row(0, 0, encode(*values_))) == offset
