"""Blocks: the container equals what was passed in, read by fastavro."""

from __future__ import annotations

import copy
import dataclasses
import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, InputError
from schemas import framing
from schemas.codegen.encoder import compile_encoder
from schemas.registry import Schema, bundled
from sinks import block
from sinks.block import COLUMNS, Row, container, raw_offset, suffix
from tests.sinks.curated import row, rows

VERSIONS = [bundled().get("event", version) for version in bundled().versions("event")]
NEWEST = VERSIONS[-1]
ENCODE = {schema.version: compile_encoder(schema).encode for schema in VERSIONS}
INT, LONG = st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1)
# Times that Python's datetime holds, since fastavro reads them as such.
TIMES = st.integers(-62135596800000, 253402300799999)
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "int": INT,
    "long": LONG,
    "string": st.text(max_size=20),
}


def values(schema: Schema) -> st.SearchStrategy[tuple[Any, ...]]:
    kinds = [f["type"] if isinstance(f["type"], str) else f["type"]["type"] for f in schema.source["fields"]]
    times = ["timestamp-millis" in str(f["type"]) for f in schema.source["fields"]]
    return st.tuples(*(TIMES if time else BY_TYPE[kind] for kind, time in zip(kinds, times, strict=True)))


def records() -> st.SearchStrategy[list[tuple[int, tuple[Any, ...]]]]:
    """Records of any version, as (version, values): a topic holds all of them after an upgrade."""
    written = (st.tuples(st.just(schema.version), values(schema)) for schema in VERSIONS)
    return st.lists(st.one_of(*written), max_size=8)


def read(data: bytes) -> list[dict[str, Any]]:
    found = []
    for record in fastavro.reader(io.BytesIO(data), reader_schema=None):
        assert isinstance(record, dict)
        found.append({k: round(v.timestamp() * 1000) if hasattr(v, "timestamp") else v for k, v in record.items()})
    return found


@given(records())
def test_a_container_is_read_back(written: list[tuple[int, tuple[Any, ...]]]) -> None:
    sent = [Row(i, 0, ENCODE[version](*record)) for i, (version, record) in enumerate(written)]
    defaults = tuple(field.get("default") for field in NEWEST.source["fields"])
    expected = [record + defaults[len(record) :] for _, record in written]
    assert read(container(sent)) == [dict(zip(COLUMNS, record, strict=True)) for record in expected]


def test_the_columns_are_the_newest_schemas_fields() -> None:
    assert list(COLUMNS) == [field["name"] for field in NEWEST.source["fields"]]


def test_a_version_that_only_appends_has_a_suffix() -> None:
    assert suffix(VERSIONS[0], VERSIONS[1]) == b"\0\0"
    assert suffix(VERSIONS[1], VERSIONS[2]) == bytes(16)
    assert suffix(VERSIONS[0], VERSIONS[2]) == bytes(18)
    assert suffix(NEWEST, NEWEST) == b""


def changed(fields: list[dict[str, Any]]) -> Schema:
    return dataclasses.replace(NEWEST, source=NEWEST.source | {"fields": fields})


def other_forms() -> dict[str, Schema]:
    old = VERSIONS[0].source["fields"]
    retyped = copy.deepcopy(old)
    retyped[1]["type"] = "int"
    return {
        "a field in the middle": changed([{"name": "new", "type": "int", "default": 0}, *old]),
        "a field less": changed(old[:-1]),
        "another type": changed(retyped),
        "another name": changed([{**old[0], "name": "other"}, *old[1:]]),
        "no default": changed([*old, {"name": "new", "type": "int"}]),
    }


@pytest.mark.parametrize("new", other_forms().values(), ids=other_forms())
def test_a_version_that_does_more_is_refused(new: Schema) -> None:
    with pytest.raises(ConfigError, match="fields appended that have defaults"):
        suffix(VERSIONS[0], new)


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


# Of the fields that later versions append.
_BLANK = [0, "", *[""] * 4, False, *[""] * 10, False]


@given(INT, LONG)
def test_the_raw_offset_is_found(partition: int, offset: int) -> None:
    record = row(0, raw=offset, partition=0)
    assert raw_offset(record) == offset
    for schema in VERSIONS:
        values_ = [partition, offset, 1, 1, 1, "t", "e", 1, *[""] * 12, *_BLANK[: len(schema.source["fields"]) - 20]]
        assert raw_offset(Row(0, 0, ENCODE[schema.version](*values_))) == offset
