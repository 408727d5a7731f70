"""The schema files: those of this release, and what a broken one leads to."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

import schemas
from core.errors import ConfigError
from schemas import files, lock
from schemas.registry import DRAFT_ID, Registry, Schema, bundled, registry_at

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
    assert len(FILES) == len(ALL) > 20


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
        "event:2": 9,
        "raw_envelope:2": 10,
        "event:3": 11,
        "outcome:2": 12,
        "audit:1": 14,
        "abuse:1": 15,
        "drops:1": 20,
        "tracked_event:2": 21,
        "event:4": 22,
        "restatement:1": 30,
        "restated_ids:1": 40,
        "identity_context:1": 100,
        "consent_context:1": 101,
        "device_context:1": 102,
        "page_context:1": 103,
        "campaign_context:1": 104,
        "experiment_context:1": 105,
        "context:1": 106,
        "session_start:1": 107,
        "sign_up:1": 108,
        "log_in:1": 109,
        "search:1": 110,
        "add_to_cart:1": 111,
        "order_completed:1": 112,
        "form_submitted:1": 113,
        "error_shown:1": 114,
        "experiment_viewed:1": 115,
        "consent_changed:1": 116,
    }
    assert recorded.items() >= frozen.items()
    assert len(set(recorded.values())) == len(recorded)


@pytest.mark.parametrize("schema", ALL, ids=lambda s: f"{s.subject}:{s.version}")
def test_a_schema_is_known_by_its_id(schema: Schema) -> None:
    assert bundled().by_id(schema.id) is schema
    assert bundled().by_guid(schema.guid) is schema
    assert bundled().get(schema.subject, schema.version) is schema


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_record_and_field_is_documented(path: Path) -> None:
    source = json.loads(path.read_text(encoding="utf-8"))
    assert source["doc"].endswith(".")
    for record in records(source):
        for field in record["fields"]:
            assert field.get("doc", "").endswith("."), f"{record['name']}.{field['name']}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_plain_tools_read_the_file(path: Path) -> None:
    """As it is, with the types of the files that it refers to known by name."""
    source = json.loads(path.read_text(encoding="utf-8"))
    known: dict[str, Any] = {}
    for reference in source.get("references", ()):
        fastavro.parse_schema(bundled().get(reference["subject"], reference["version"]).resolved, named_schemas=known)
    fastavro.parse_schema(source, named_schemas=known)


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


EMPTY: dict[str, Any] = {"type": "record", "name": "T", "namespace": "n", "kind": "event", "fields": []}


def field(name: str, avro: Any = "int") -> dict[str, Any]:
    return {"name": name, "type": avro}


def put(folder: Path, subject: str, version: int, source: dict[str, Any], *, schema_id: int = 0) -> Path:
    """A schema file, released if it gets an id."""
    path = folder / "avro" / subject / f"{version}.avsc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(files.dump(source), encoding="utf-8")
    if schema_id:
        locked = lock.read(folder)
        locked.setdefault(subject, {})[version] = lock.entry(source, schema_id)
        lock.write(folder, locked)
    return path


def refused(folder: Path, *, drafts: bool = False) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        Registry(folder, drafts=drafts)
    return error.value


# -- versions, ids, GUIDs


def test_versions_are_numbers(tmp_path: Path) -> None:
    for version in (1, 2, 10):
        put(tmp_path, "thing", version, EMPTY | {"doc": str(version)}, schema_id=100 + version)
    registry = Registry(tmp_path)
    assert registry.versions("thing") == [1, 2, 10]
    assert registry.latest("thing").version == 10
    assert registry.versions("other") == []
    assert registry.subjects() == ["thing"]
    assert registry.by_id(99) is None
    with pytest.raises(KeyError):
        registry.latest("other")


def test_a_schema_is_found_by_its_guid(tmp_path: Path) -> None:
    put(tmp_path, "thing", 1, EMPTY, schema_id=100)
    schema = Registry(tmp_path).get("thing", 1)
    assert Registry(tmp_path).by_guid(schema.guid) is not None
    assert Registry(tmp_path).by_guid(uuid.uuid4()) is None


def test_two_files_may_name_their_types_alike(tmp_path: Path) -> None:
    """Each file stands alone: a type of one is neither known to nor in the way of another."""
    inner = field("a", {"type": "record", "name": "Q", "fields": []})
    for version in (1, 2):
        put(tmp_path, "thing", version, EMPTY | {"doc": str(version), "fields": [inner]}, schema_id=100 + version)
    assert Registry(tmp_path).versions("thing") == [1, 2]


def test_subjects_are_told_apart_by_kind(tmp_path: Path) -> None:
    put(tmp_path, "thing", 1, EMPTY, schema_id=100)
    put(tmp_path, "thing_context", 1, EMPTY | {"kind": "context"}, schema_id=101)
    assert Registry(tmp_path).subjects("event") == ["thing"]
    assert Registry(tmp_path).subjects("context") == ["thing_context"]


# -- drafts and released files


def test_a_draft_is_seen_by_those_only_who_ask(tmp_path: Path) -> None:
    put(tmp_path, "thing", 1, EMPTY, schema_id=100)
    put(tmp_path, "thing", 2, EMPTY | {"doc": "Two."})
    put(tmp_path, "other", 1, EMPTY)
    assert Registry(tmp_path).versions("thing") == [1]
    assert Registry(tmp_path).subjects() == ["thing"]
    everything = Registry(tmp_path, drafts=True)
    assert [(s.label, s.draft, s.id) for s in everything.schemas()] == [
        ("other:1", True, DRAFT_ID),
        ("thing:1", False, 100),
        ("thing:2", True, DRAFT_ID),
    ]
    assert everything.by_id(DRAFT_ID) is None


def test_a_broken_draft_is_no_trouble_of_those_who_do_not_ask(tmp_path: Path) -> None:
    put(tmp_path, "thing", 1, EMPTY, schema_id=100)
    path = put(tmp_path, "thing", 2, EMPTY)
    path.write_text("{")
    assert Registry(tmp_path).versions("thing") == [1]
    assert str(path) in refused(tmp_path, drafts=True).message


def test_an_edited_released_file_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "thing", 1, EMPTY, schema_id=100)
    path.write_text(files.dump(EMPTY | {"fields": [field("a")]}))
    error = refused(tmp_path)
    assert str(path) in error.message
    assert "version 2" in error.hint
    assert Registry(tmp_path, drafts=True).get("thing", 1).edited


def test_lifecycle_and_layout_of_a_released_file_may_change(tmp_path: Path) -> None:
    path = put(tmp_path, "thing", 1, EMPTY, schema_id=100)
    before = Registry(tmp_path).get("thing", 1)
    path.write_text(json.dumps(EMPTY | {"status": "deprecated", "sunset": "2027-01-01"}, indent=7))
    after = Registry(tmp_path).get("thing", 1)
    assert (after.edited, after.id, after.guid) == (False, before.id, before.guid)
    assert after.source["sunset"] == "2027-01-01"


def test_a_released_file_that_is_gone_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, "thing", 1, EMPTY, schema_id=100)
    path.unlink()
    assert str(path) in refused(tmp_path).message


# -- references


REFERRING = EMPTY | {
    "references": [{"name": "n.T", "subject": "thing", "version": 1}],
    "name": "U",
    "fields": [field("a", "n.T"), field("b", ["null", "T"])],
}


def test_a_referenced_type_is_written_out_once(tmp_path: Path) -> None:
    put(tmp_path, "thing", 1, EMPTY | {"fields": [field("x")]}, schema_id=100)
    put(tmp_path, "user", 1, REFERRING, schema_id=101)
    a, b = Registry(tmp_path).get("user", 1).resolved["fields"]
    assert a["type"]["fields"] == [field("x")]
    assert b["type"] == ["null", "n.T"]


def test_a_type_nobody_defines_is_named_with_its_line(tmp_path: Path) -> None:
    source = EMPTY | {"fields": [field("a"), field("b", "n.Elsewhere")]}
    path = put(tmp_path, "thing", 1, source, schema_id=100)
    error = refused(tmp_path)
    assert error.message.startswith(f"{path}:8: ")
    assert "n.Elsewhere" in error.message
    assert "references" in error.hint


@pytest.mark.parametrize(
    ("change", "says"),
    [({"version": 7}, "thing:7 is not there"), ({"name": "n.V"}, "thing:1 is n.T, not n.V")],
)
def test_a_reference_to_something_else_is_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    put(tmp_path, "thing", 1, EMPTY, schema_id=100)
    source = REFERRING | {"references": [REFERRING["references"][0] | change]}
    path = put(tmp_path, "user", 1, source, schema_id=101)
    error = refused(tmp_path)
    assert str(path) in error.message
    assert says in error.message


def test_references_in_a_circle_are_refused(tmp_path: Path) -> None:
    for here, there in (("a", "b"), ("b", "a")):
        references = [{"name": f"n.{there.upper()}", "subject": there, "version": 1}]
        put(tmp_path, here, 1, EMPTY | {"name": here.upper(), "references": references}, schema_id=100 + ord(here))
    assert "lead back to itself" in refused(tmp_path).message


# -- a folder of one's own


def test_a_folder_of_ones_own_has_the_records_of_the_release(tmp_path: Path) -> None:
    put(tmp_path, "thing", 1, EMPTY, schema_id=100)
    registry = registry_at(tmp_path)
    assert registry.subjects("event") == ["thing"]
    assert registry.subjects("record") == bundled().subjects("record")
    assert registry.by_id(3) is bundled().by_id(3)


def test_an_id_of_the_releases_records_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "thing", 1, EMPTY, schema_id=3)
    with pytest.raises(ConfigError, match="id"):
        registry_at(tmp_path)


def test_no_folder_means_the_starter_plan(tmp_path: Path) -> None:
    assert registry_at(None) is registry_at("") is bundled()
    with pytest.raises(ConfigError, match="no schema folder"):
        registry_at(tmp_path)


# -- broken files


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
        b'{"type": "record", "name": "T", "kind": "event"}',
        b'{"type": "record", "name": "T", "kind": "event", "fields": 3}',
        b'{"type": "record", "name": "T", "fields": []}',
        b'{"type": "record", "name": "T", "kind": "page", "fields": []}',
        b'{"type": "record", "name": "T", "kind": "event", "fields": [{"name": "a"}]}',
        b'{"type": "record", "name": "T", "kind": "event", "fields": [{"type": "int"}]}',
        b'{"type": "record", "name": "T", "kind": "event", "fields": [{"name": "a", "type": "nope"}]}',
        b'{"type": "record", "name": "T", "kind": "event", "fields": [{"name": "a", "type": 3}]}',
        b'{"type": "record", "name": "T", "kind": "event", "fields": [{"name": "a", "type": {"type": "enum"}}]}',
        b'{"type": "string"}',
        b'{"type": "enum", "name": "E", "symbols": ["a"]}',
    ],
    ids=repr,
)
def test_a_broken_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = put(tmp_path, "thing", 1, EMPTY)
    path.write_bytes(content)
    assert str(path) in refused(tmp_path, drafts=True).message


@pytest.mark.parametrize("name", ["0", "01", "one", "1.0", "-1"])
def test_a_file_that_is_named_after_no_version_is_refused(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, "thing", 1, EMPTY)
    path.rename(path.with_name(f"{name}.avsc"))
    assert f"{name}.avsc" in refused(tmp_path).message
