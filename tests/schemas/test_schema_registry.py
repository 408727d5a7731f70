"""The schema files: those of this release, and what a broken one leads to."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

import schemas
from core.errors import ConfigError
from schemas.registry import Registry, Schema, bundled

ROOM = Path(schemas.__file__).parent
FILES = sorted((ROOM / "avro").glob("**/*.avsc"))
ALL = [schema for s in bundled().subjects() for schema in (bundled().get(s, v) for v in bundled().versions(s))]


def records(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("type") == "record":
            yield node
        for value in node.values():
            yield from records(value)
    elif isinstance(node, list):
        for value in node:
            yield from records(value)


def test_every_file_is_in_the_registry() -> None:
    assert {(p.parent.name, p.stem) for p in FILES} == {(s.subject, str(s.version)) for s in ALL}
    assert len(FILES) == len(ALL) > 5


def test_ids_never_change() -> None:
    """Topics name schemas by these numbers. Add lines; never change one."""
    recorded = {f"{s.subject}:{s.version}": s.id for s in ALL}
    frozen = {
        "raw_envelope:1": 1,
        "tracked_event:1": 2,
        "event:1": 3,
        "dead_letter:1": 4,
        "outcome:1": 5,
        "page_view:1": 6,
        "custom_event:1": 7,
        "identity:1": 8,
    }
    assert recorded.items() >= frozen.items()
    assert len(set(recorded.values())) == len(recorded)


@pytest.mark.parametrize("schema", ALL, ids=lambda s: f"{s.subject}:{s.version}")
def test_a_schema_is_known_by_its_id(schema: Schema) -> None:
    assert bundled().by_id(schema.id) is schema
    assert bundled().get(schema.subject, schema.version) is schema


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_record_and_field_is_documented(path: Path) -> None:
    source = json.loads(path.read_text(encoding="utf-8"))
    assert source["doc"].endswith(".")
    for record in records(source):
        for field in record["fields"]:
            assert field.get("doc", "").endswith("."), f"{record['name']}.{field['name']}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_fastavro_reads_the_file(path: Path) -> None:
    fastavro.parse_schema(json.loads(path.read_text(encoding="utf-8")), named_schemas={})


def test_timestamps_are_read_as_stored() -> None:
    schema = bundled().get("event", 1)
    names = [f["name"] for f in schema.source["fields"] if "timestamp-millis" in json.dumps(f)]
    assert names == ["arrival_at", "received_at", "occurred_at"]
    row = {
        f["name"]: 5 if f["name"] in {*names, "raw_partition", "raw_offset", "version"} else "x"
        for f in schema.source["fields"]
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.plain, row)
    assert fastavro.schemaless_reader(io.BytesIO(out.getvalue()), schema.plain) == row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "avro" / "thing").mkdir(parents=True)
    (tmp_path / "ids.json").write_text('{"thing": {"1": 1, "2": 2, "10": 3}}')
    return tmp_path


def test_versions_are_numbers(folder: Path) -> None:
    for version in (1, 2, 10):
        (folder / "avro" / "thing" / f"{version}.avsc").write_text('{"type": "record", "name": "T", "fields": []}')
    registry = Registry(folder)
    assert registry.versions("thing") == [1, 2, 10]
    assert registry.versions("other") == []
    assert registry.subjects() == ["thing"]
    assert registry.by_id(99) is None


def test_two_files_may_name_their_types_alike(folder: Path) -> None:
    """Each file stands alone: a type of one is neither known to nor in the way of another."""
    text = """{"type": "record", "name": "T", "fields": [
        {"name": "a", "type": {"type": "record", "name": "Q", "fields": []}}]}"""
    for version in (1, 2):
        (folder / "avro" / "thing" / f"{version}.avsc").write_text(text)
    assert Registry(folder).versions("thing") == [1, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"name": "T"}',
        b'{"type": "record"}',
        b'{"type": "record", "name": "T"}',
        b'{"type": "record", "name": "T", "fields": 3}',
        b'{"type": "record", "name": "T", "fields": [{"name": "a"}]}',
        b'{"type": "record", "name": "T", "fields": [{"type": "int"}]}',
        b'{"type": "record", "name": "T", "fields": [{"name": "a", "type": "nope"}]}',
        b'{"type": "record", "name": "T", "fields": [{"name": "a", "type": 3}]}',
        b'{"type": "record", "name": "T", "fields": [{"name": "a", "type": {"type": "enum", "name": "E"}}]}',
        b'{"type": "string"}',
        b'{"type": "enum", "name": "E", "symbols": ["a"]}',
    ],
    ids=repr,
)
def test_a_broken_file_is_named(content: bytes, folder: Path) -> None:
    path = folder / "avro" / "thing" / "1.avsc"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        Registry(folder)
    assert str(path) in refused.value.message


def test_a_file_without_an_id_is_named(folder: Path) -> None:
    path = folder / "avro" / "thing" / "3.avsc"
    path.write_text('{"type": "record", "name": "T", "fields": []}')
    with pytest.raises(ConfigError, match="no id is recorded") as refused:
        Registry(folder)
    assert str(path) in refused.value.message
    assert "ids.json" in refused.value.hint
