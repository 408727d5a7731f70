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

from core.errors import ConfigError, StateError
from schemas import framing
from schemas.codegen.encoder import compile_encoder
from schemas.registry import Schema, bundled
from sinks import block
from sinks.block import Container, UnreadableError, suffix
from sinks.row import Row
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


EVENTS = Container("event")
COORDINATES = ("generation", "kafka_partition", "kafka_offset")


@given(records(), st.integers(0, 2**31 - 1), st.lists(LONG, min_size=8, max_size=8, unique=True).map(sorted))
def test_a_container_is_read_back(
    written: list[tuple[int, tuple[Any, ...]]], partition: int, offsets: list[int]
) -> None:
    sent = [Row(o, 0, ENCODE[version](*record)) for o, (version, record) in zip(offsets, written, strict=False)]
    defaults = tuple(field.get("default") for field in NEWEST.source["fields"])
    expected = [
        (*record, *defaults[len(record) :], 2, partition, o) for o, (_, record) in zip(offsets, written, strict=False)
    ]
    assert read(EVENTS(partition, sent, 2)) == [dict(zip(EVENTS.columns, each, strict=True)) for each in expected]


def test_the_columns_are_the_newest_schemas_fields_and_where_the_record_stood() -> None:
    assert list(EVENTS.columns) == [*(field["name"] for field in NEWEST.source["fields"]), *COORDINATES]


@given(st.integers(-1, 253402300799999), LONG, st.text(max_size=10))
def test_a_record_that_does_not_tell_when_it_arrived_is_told(arrival_ms: int, offset: int, action: str) -> None:
    schema = bundled().latest("audit")
    record = {
        "id": "",
        "at": 7,
        "action": action,
        "actor": "a",
        "tenant": "",
        "subject": "",
        "network": "",
        "detail": {},
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, record)
    form = Container("audit", arrival=True)
    assert read(form(3, [Row(offset, arrival_ms, framing.prefix(schema.id) + out.getvalue())], 5)) == [
        record | {"arrival_at": arrival_ms, "generation": 5, "kafka_partition": 3, "kafka_offset": offset}
    ]
    assert form.columns == (*record, "arrival_at", *COORDINATES)


def test_fields_that_are_no_columns_stay_in_the_data() -> None:
    form = Container("outcome", arrival=True, without=frozenset({"ids"}))
    assert "ids" not in form.columns
    outcome = {"raw_partition": 1, "first": 2, "last": 3, "runs": [], "ids": b"x" * 16, "contracts": {"page_view:1": 2}}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, bundled().get("outcome", 1).parsed, outcome)
    (found,) = read(form(1, [Row(5, 6, framing.prefix(5) + out.getvalue())], 0))
    assert found == outcome | {
        "arrival_at": 6,
        "generation": 0,
        "firsts": [],
        "kafka_partition": 1,
        "kafka_offset": 5,
    }


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
    data = EVENTS(0, rows(0, count), 0)
    assert [record["raw_offset"] for record in read(data)] == [offset * 10 for offset in range(count)]
    sizes = [b.num_records for b in fastavro.block_reader(io.BytesIO(data))]
    assert sum(sizes) == count
    assert max(sizes, default=0) <= block._BLOCK_RECORDS


def test_bytes_are_passed_through() -> None:
    one = row(1, properties='{"a": "é"}')
    assert one.value is not None
    assert one.value[framing.ID_PREFIX_BYTES :] in EVENTS(0, [one], 0)


@pytest.mark.parametrize("value", [framing.prefix(bundled().get("outcome", 1).id) + b"x", b"", None, b"\0\0"])
def test_a_record_that_is_none_of_the_subject_is_refused(value: bytes | None) -> None:
    with pytest.raises(UnreadableError, match="offset 7 is no event"):
        EVENTS(2, [row(6), Row(7, 0, value)], 0)


def test_a_record_of_a_later_release_is_waited_with() -> None:
    with pytest.raises(StateError, match="does not know"):
        EVENTS(2, [row(6), Row(7, 0, framing.prefix(99) + b"x")], 0)
