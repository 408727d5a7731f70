"""Schemas as graphs of types: names, references, recursion, and what is no schema."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.compatibility.types import Array, Enum, Record, SchemaError, Union, branches, parse, parse_record
from schemas.compatibility.words import describe
from tests.schemas.compatibility.pairs import array, enum, field, fixed, logical, map_, of, record


@pytest.mark.parametrize(
    ("schema", "full_name"),
    [
        (enum("x", "E"), "E"),
        (enum("x", "E", namespace="a.b"), "a.b.E"),
        (enum("x", "c.E", namespace="a.b"), "c.E"),
        (enum("x", "E", namespace=""), "E"),
    ],
)
def test_full_names(schema: Any, full_name: str) -> None:
    found = parse(schema)
    assert isinstance(found, Enum)
    assert found.full_name == full_name


def test_names_inside_a_type_are_relative_to_its_namespace() -> None:
    outer = parse_record(
        record(
            field("a", record(field("b", enum("x")), name="other.Inner")),
            field("c", "other.E"),
            field("d", enum("x")),
            field("e", "E"),
            namespace="ours",
        )
    )
    types = {each.name: each.type for each in outer.fields}
    assert isinstance(types["c"], Enum)
    assert types["c"].full_name == "other.E"
    assert types["e"] is types["d"]
    assert isinstance(types["d"], Enum)
    assert types["d"].full_name == "ours.E"


def test_a_bare_name_is_looked_for_in_the_namespace_first() -> None:
    outer = parse_record(
        record(
            field("a", enum("x", "E", namespace="")),
            field("b", record(field("c", "E"), field("d", enum("y", "E")), field("e", "E"), name="n.Inner")),
        )
    )
    inner = outer.fields[1].type
    assert isinstance(inner, Record)
    assert [getattr(each.type, "full_name", "") for each in inner.fields] == ["E", "n.E", "n.E"]


def test_aliases_are_full_names() -> None:
    found = parse(enum("x", "E", namespace="n", aliases=["F", "m.G"]))
    assert isinstance(found, Enum)
    assert found.aliases == {"n.F", "m.G"}


def test_a_recursive_record_is_a_loop() -> None:
    node = parse_record(record(field("next", ["null", "R"]), field("all", array("R"))))
    union, children = (each.type for each in node.fields)
    assert isinstance(union, Union)
    assert union.branches[1] is node
    assert isinstance(children, Array)
    assert children.items is node


def test_a_type_of_nested_objects_is_the_innermost() -> None:
    assert str(parse({"type": {"type": {"type": "array", "items": "int"}}})) == "array<int>"
    assert [str(branch) for branch in branches(parse({"type": ["null", "int"]}))] == ["null", "int"]


@pytest.mark.parametrize(
    ("schema", "form", "words"),
    [
        ("int", "int", "integer"),
        (["null", "string"], "null | string", "optional text"),
        (["int", "string"], "int | string", "integer or text"),
        (array(map_("boolean")), "array<map<boolean>>", "list of map of true or false"),
        (enum("x y", "n.E"), "enum E", "one of x, y"),
        (fixed(4, "n.F"), "fixed F(4)", "fixed F(4)"),
        (of("int"), "record R", "record R"),
        (logical("long", "timestamp-millis"), "long (timestamp-millis)", "time in milliseconds"),
        (logical("string", "colour"), "string (colour)", "text (colour)"),
        (logical("bytes", "decimal", precision=9, scale=2), "bytes (decimal 9,2)", "decimal(9,2)"),
        (fixed(8, logicalType="decimal", precision=9), "fixed F(8) (decimal 9,0)", "decimal(9,0)"),
        (fixed(16, logicalType="uuid"), "fixed F(16) (uuid)", "UUID"),
        ([], "empty union", ""),
    ],
    ids=str,
)
def test_short_forms(schema: Any, form: str, words: str) -> None:
    assert str(parse(schema)) == form
    assert describe(parse(schema)) == words


@pytest.mark.parametrize(
    "schema",
    [
        "Unknown",
        None,
        3,
        {},
        {"type": None},
        {"type": "Unknown"},
        {"type": "array"},
        {"type": "map"},
        {"type": "enum", "name": "E"},
        {"type": "enum", "symbols": ["x"]},
        {"type": "fixed", "name": "F"},
        {"type": "record", "name": "R"},
        record({"name": "a"}),
        record({"type": "int"}),
        record(3),
        of("S"),
        record(field("a", "E"), field("b", enum("x"))),
        record(field("a", enum("x")), field("b", enum("x"))),
    ],
    ids=repr,
)
def test_what_is_no_schema(schema: Any) -> None:
    with pytest.raises(SchemaError):
        parse(schema)


def test_an_event_is_a_record() -> None:
    assert isinstance(parse_record(of("int")), Record)
    with pytest.raises(SchemaError, match="expected a record, got enum E"):
        parse_record(enum("x"))
