"""Contracts → typed views: which columns, of which type, in which order, and that no text breaks out of its quotes.

What the views say on a real engine is tested in tests/sinks/test_typed_views.py.
"""

from __future__ import annotations

import copy
import hashlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from schemas.codegen.columns import columns, identifier, quoted
from schemas.codegen.parse import parse
from schemas.codegen.views import COMPILER, View, view_sql, views
from schemas.registry import BUNDLED, Registry


def contract(*fields: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    head = {"type": "record", "name": "Thing", "namespace": "sluice.events", "kind": "event", "doc": "A thing."}
    return head | attributes | {"fields": list(fields)}


def field(name: str, type_: Any = "string", **attributes: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, "pii": "none"} | attributes


def record(name: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def made(view: View) -> list[tuple[str, str]]:
    """Name and type of the columns that come from the contract."""
    names = [column.name for column in view.columns]
    first = names.index("extra" if "extra" in names else "extra_names") + 1
    return [(column.name, column.type) for column in view.columns[first:]]


def plain(*versions: dict[str, Any]) -> list[tuple[str, str]]:
    return made(views(dict(enumerate(versions, 1)), "thing")[0])


def whole(*versions: dict[str, Any]) -> list[tuple[str, str]]:
    return made(views(dict(enumerate(versions, 1)), "thing")[-1])


def logical(base: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": base, "logicalType": name} | more


@pytest.mark.parametrize(
    ("avro", "expected"),
    [
        ("boolean", "Bool"),
        ("int", "Int32"),
        ("long", "Int64"),
        ("float", "Float64"),
        ("double", "Float64"),
        ("string", "String"),
        ("bytes", "String"),
        ({"type": "fixed", "name": "F", "size": 4}, "String"),
        ({"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"}, "UUID"),
        (logical("string", "uuid"), "UUID"),
        (logical("long", "timestamp-millis"), "DateTime64(3, 'UTC')"),
        (logical("long", "timestamp-micros"), "DateTime64(6, 'UTC')"),
        (logical("int", "date"), "Date32"),
        (logical("bytes", "decimal", precision=12, scale=3), "Decimal(12, 3)"),
        (logical("bytes", "decimal", precision=77, scale=3), "String"),
        ({"type": "enum", "name": "E", "symbols": ["a"]}, "LowCardinality(String)"),
        (["null", {"type": "enum", "name": "E", "symbols": ["a"]}], "LowCardinality(Nullable(String))"),
        (["null", "int"], "Nullable(Int32)"),
        (["long", "null"], "Nullable(Int64)"),
        (["null", logical("int", "date")], "Nullable(Date32)"),
        (["string"], "String"),
        (["string", "int"], "String"),
        (["null", "string", "int"], "Nullable(String)"),
        ({"type": "array", "items": "int"}, "Array(Int32)"),
        (["null", {"type": "array", "items": ["null", "int"]}], "Array(Nullable(Int32))"),
        ({"type": "array", "items": {"type": "array", "items": "string"}}, "Array(Array(String))"),
        ({"type": "map", "values": "double"}, "Map(String, Float64)"),
        ({"type": "map", "values": logical("int", "date")}, "Map(String, Date32)"),
        ({"type": "array", "items": {"type": "map", "values": "int"}}, "Array(Map(String, Int32))"),
    ],
    ids=str,
)
def test_each_type_has_its_column(avro: Any, expected: str) -> None:
    assert plain(contract(field("x", avro))) == [("x", expected)]


@pytest.mark.parametrize(
    ("avro", "expected"),
    [
        (record("R", field("a"), field("b", "int")), [("x_a", "String"), ("x_b", "Int32")]),
        (["null", record("R", field("a"))], [("x_a", "Nullable(String)")]),
        (record("R", field("a", record("S", field("b", ["null", "int"])))), [("x_a_b", "Nullable(Int32)")]),
        (
            {"type": "array", "items": record("R", field("a"), field("b"))},
            [("x_a", "Array(String)"), ("x_b", "Array(String)")],
        ),
        ({"type": "array", "items": ["null", record("R", field("a"))]}, [("x_a", "Array(Nullable(String))")]),
        ({"type": "map", "values": record("R", field("a", "int"))}, [("x_a", "Map(String, Int32)")]),
        ("null", []),
        (record("R"), []),
    ],
    ids=str,
)
def test_records_become_a_column_a_field(avro: Any, expected: list[tuple[str, str]]) -> None:
    assert plain(contract(field("x", avro))) == expected


def test_a_type_that_json_has_no_form_for_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\$\.x"):
        view_sql([contract(field("x", logical("long", "local-timestamp-millis")))], "thing")


def test_a_type_is_known_by_its_name_too() -> None:
    place = record("Place", field("city"))
    assert plain(contract(field("a", place), field("b", "sluice.events.Place"), field("c", "Place"))) == [
        ("a_city", "String"),
        ("b_city", "String"),
        ("c_city", "String"),
    ]


def test_a_name_that_is_taken_gets_another() -> None:
    fields = [
        field("tenant"),
        field("extra"),
        field("events"),
        field("_item0"),
        field("a", record("R", field("b"))),
        field("a_b"),
    ]
    assert [name for name, _ in plain(contract(*fields))] == [
        "properties_tenant",
        "properties_extra",
        "properties_events",
        "properties__item0",
        "a_b",
        "properties_a_b",
    ]


def test_columns_stay_and_new_ones_are_appended() -> None:
    first = contract(field("a"), field("r", record("R", field("x"))), field("b"), field("gone"))
    second = contract(
        field("new"), field("b"), field("r", record("R", field("before"), field("x"))), field("a", ["null", "string"])
    )
    third = contract(field("a", "long"), field("gone"), field("last"))
    stages = [plain(first), plain(first, second), plain(first, second, third)]
    assert stages[0] == [("a", "String"), ("r_x", "String"), ("b", "String"), ("gone", "String")]
    assert stages[1] == [*stages[0], ("new", "String"), ("r_before", "String"), ("a_v2", "Nullable(String)")]
    assert stages[2] == [*stages[1], ("a_v3", "Int64"), ("last", "String")]


PII = st.sampled_from(["none", "pseudonymous", "personal", "sensitive", None])
TYPES = st.sampled_from(["string", "int", ["null", "string"], {"type": "array", "items": "string"}])
NAMES = st.sampled_from(["a", "b", "c", "d_e", "tenant", "events"])


def some_field(name: str, type_: Any, pii: str | None) -> dict[str, Any]:
    return {"name": name, "type": type_} | ({} if pii is None else {"pii": pii})


def some_contract(fields: list[dict[str, Any]], inner: list[dict[str, Any]]) -> dict[str, Any]:
    nested = [{"name": "d", "type": record("D", *inner), "pii": "none"}] if inner else []
    return contract(*fields, *nested)


FIELDS = st.lists(st.builds(some_field, NAMES, TYPES, PII), max_size=5, unique_by=lambda f: f["name"])
CONTRACTS = st.builds(some_contract, FIELDS, FIELDS)


@given(st.lists(CONTRACTS, min_size=2, max_size=4))
def test_any_next_version_keeps_what_is_there(versions: list[dict[str, Any]]) -> None:
    for count in range(1, len(versions)):
        for kind in (plain, whole):
            if kind is whole and len(view_sql(versions[:count], "thing")) < 2:
                continue  # there was no such view yet
            before, after = kind(*versions[:count]), kind(*versions[: count + 1])
            assert after[: len(before)] == before


def class_of(version: dict[str, Any], name: str) -> str | None:
    """The strictest class of what a version has under `name` of `properties`; None if it has nothing there."""
    found = [f for f in version["fields"] if f["name"] == name]
    inner = [g for f in found if isinstance(f["type"], dict) for g in f["type"].get("fields", ())]
    classes = [f.get("pii", "unclassed") for f in found if f not in inner] + [g["pii"] for g in inner if "pii" in g]
    return next((each for each in classes if each not in ("none", "pseudonymous")), "none") if classes else None


@given(st.lists(CONTRACTS, min_size=1, max_size=4))
def test_the_first_view_reads_nothing_that_the_newest_version_calls_personal(versions: list[dict[str, Any]]) -> None:
    for column in views(dict(enumerate(versions, 1)), "thing")[0].columns:
        read = set(re.findall(r"events\.properties, '(\w+)'", column.expression)) - {"d"}
        for name in read:
            newest = [c for version in versions if (c := class_of(version, name)) is not None][-1]
            assert newest == "none", column


@pytest.mark.parametrize(
    "avro", ["string", {"type": "map", "values": "string"}, record("R", field("b", pii="personal"))]
)
def test_a_column_shows_no_personal_value_of_another_type(avro: Any) -> None:
    """The column that the first version made reads what rows of the second have in its place."""
    inner = (
        field("a", avro) if isinstance(avro, dict) and avro["type"] == "record" else field("a", avro, pii="personal")
    )
    for first in (
        field("a", "int"),
        field("a", {"type": "map", "values": "int"}),
        field("a", record("R", field("b", "int"))),
    ):
        masked = [c for c in views({1: contract(first), 2: contract(inner)}, "thing")[0].columns if c.name[0] == "a"]
        assert not [column for column in masked if "events.properties" in column.expression]


def test_a_class_above_holds_below() -> None:
    inner = record("R", field("x"), field("y", pii="pseudonymous"), {"name": "z", "type": "string"})
    assert plain(contract(field("a", inner, pii="personal"))) == []
    assert [name for name, _ in plain(contract(field("a", inner)))] == ["a_x", "a_y", "a_z"]
    unclassed = {"name": "a", "type": inner}
    assert [name for name, _ in plain(contract(unclassed))] == ["a_x", "a_y"]


def test_a_field_that_becomes_personal_keeps_its_place_and_loses_its_values() -> None:
    before, after = contract(field("a"), field("b")), contract(field("a", pii="personal"), field("b"))
    assert plain(before, after) == plain(before) == [("a", "String"), ("b", "String")]
    open_, closed = views({1: before, 2: after}, "thing")
    (masked,) = [column for column in open_.columns if column.name == "a"]
    assert masked.expression == "defaultValueOfTypeName('String')"
    assert "JSONExtract" in next(column.expression for column in closed.columns if column.name == "a")


def test_a_field_that_is_no_longer_personal_is_appended() -> None:
    before, after = contract(field("a", pii="personal"), field("b")), contract(field("a"), field("b"), field("c"))
    assert [name for name, _ in plain(before)] == ["b"]
    assert [name for name, _ in plain(before, after)] == ["b", "a", "c"]
    assert [name for name, _ in whole(before, after)] == ["a", "b", "c"]


def test_the_second_view_is_there_only_for_personal_fields() -> None:
    assert [v.name for v in views({1: contract(field("a"), field("b", pii="pseudonymous"))}, "thing")] == ["v_thing"]
    for pii in ("personal", "sensitive", None):
        versions = {1: contract(some_field("a", "string", pii))}
        assert [v.name for v in views(versions, "thing")] == ["v_thing", "v_thing_pii"]


def test_equal_versions_read_a_field_in_one_way() -> None:
    version = contract(field("a", default="x"))
    (statement,) = view_sql([version, copy.deepcopy(version)], "thing")
    assert "stable_version = 0" not in statement
    (statement,) = view_sql([version, contract(field("a", default="y"))], "thing")
    assert "if(if(events.stable_version = 0, events.version, events.stable_version) < 2, " in statement


TEXT = st.text(st.sampled_from(list("'`\"\\;-/*\n\t\r\0{}$%ab é")), max_size=12)


def unquoted(literal: str) -> str:
    """A literal's or identifier's text, as ClickHouse reads it: the inverse of what is tested."""
    back = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f"}
    return re.sub(r"\\(.)", lambda m: back.get(m[1], m[1]), literal[1:-1], flags=re.DOTALL)


@given(TEXT)
def test_quoted_text_ends_where_it_should(text: str) -> None:
    for literal, mark in ((quoted(text), "'"), (identifier(text), "`")):
        assert literal[0] == literal[-1] == mark
        assert re.fullmatch(rf"(?:[^{mark}\\]|\\.)*", literal[1:-1], re.DOTALL)
        assert unquoted(literal) == text


def skeleton(statement: str) -> str:
    """The statement without what is in quotes."""
    return re.sub(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`", "_", statement, flags=re.DOTALL)


@given(TEXT, TEXT, TEXT, TEXT)
def test_no_text_of_a_schema_changes_the_statement(doc: str, name: str, default: str, subject: str) -> None:
    """Also those that no schema may have, such as names with a quote: other checks may fail."""

    def of(doc: str, name: str, default: str, subject: str) -> list[str]:
        fields = [
            field(f"n{name}", default=f"d{default}", doc=doc, unit=doc),
            field("r", ["null", record("R", field(f"m{name}", pii="personal", doc=doc))]),
            field("l", {"type": "array", "items": record("L", field(f"o{name}", default=default or "x"))}),
        ]
        return [skeleton(each) for each in view_sql([contract(*fields, doc=doc)], subject)]

    assert of(doc, name, default, subject) == of("", "", "", "")


def test_every_event_of_the_plan_has_its_views() -> None:
    plan = Registry(BUNDLED, drafts=True)
    for subject in plan.subjects("event"):
        first, *_ = view_sql([plan.get(subject, version).resolved for version in plan.versions(subject)], subject)
        assert first.startswith(f"CREATE OR REPLACE VIEW `v_{subject}` (")


def test_another_text_needs_another_edition() -> None:
    """Of two releases with different texts, the database keeps the one with the greater `COMPILER`."""
    reference = contract(
        field("a", "long", default=1),
        field("b", ["null", logical("long", "timestamp-millis")], default=None, unit="s"),
        field(
            "c", {"type": "array", "items": record("R", field("d", logical("bytes", "decimal", precision=9, scale=2)))}
        ),
        field("e", {"type": "map", "values": logical("int", "date")}, pii="personal"),
    )
    text = "\0".join(view_sql([reference, reference | {"doc": "Said otherwise."}], "thing"))
    assert (COMPILER, hashlib.sha256(text.encode()).hexdigest()[:16]) == (1, "3e741d6de7f1becd")


def test_columns_are_read_from_where_they_are_told() -> None:
    (column,) = columns(parse(contract(field("it's"))), source="t.json")
    assert column.expression == "JSONExtract(t.json, 'it\\'s', 'String')"
